import { z } from 'zod';

/** More stars say nothing that fewer do not, and each makes matching slower. */
const STARS_MAX = 4;

/**
 * Which branch or tag of a repository may sign: a full ref such as `refs/heads/main`, or one with
 * stars, such as `refs/tags/v*`. A star stands for any letters but a slash. Nothing else is special, so
 * that no pattern means more than it shows; letters that git itself allows in no ref are refused.
 */
export const RefPattern = z
  .string()
  .max(200)
  .regex(/^refs\/(heads|tags)\/[A-Za-z0-9._/@+*-]+$/, 'take refs/heads/NAME or refs/tags/v*')
  .refine((text) => !/\/\/|\/$|\.\.|\*\*/.test(text), 'an empty part, two dots or two stars')
  .refine((text) => text.split('*').length <= STARS_MAX + 1, `at most ${STARS_MAX} stars`);

/** Whether a ref is one that the pattern means. Time grows with the product of both lengths at most. */
export function matchesRef(pattern: string, ref: string): boolean {
  let [p, r] = [0, 0];
  // Where the last star stands, and up to where it reaches so far.
  let [star, reach] = [-1, 0];
  while (r < ref.length) {
    if (pattern[p] === '*') {
      [star, reach] = [p, r];
      p += 1;
    } else if (pattern[p] === ref[r]) {
      p += 1;
      r += 1;
    } else if (star >= 0 && ref[reach] !== '/') {
      reach += 1;
      [p, r] = [star + 1, reach];
    } else {
      return false;
    }
  }
  while (pattern[p] === '*') p += 1;
  return p === pattern.length;
}
