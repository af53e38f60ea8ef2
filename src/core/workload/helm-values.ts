import { ok, refuse, type Refusal, type Result } from '../kernel/index.js';
import { USUAL_SET } from './helm-command.js';
import { readImage } from './image-ref.js';
import { ANNOTATIONS } from './opt-in.js';
import type { WorkloadView } from './types.js';

/** One value of a chart, and where it stands. */
export interface HelmValue {
  readonly path: readonly string[];
  readonly value: string;
}

const SETS_MAX = 16;
const DEPTH_MAX = 16;
const PART = /^[A-Za-z0-9_][A-Za-z0-9_./-]{0,62}$/;
type Read = Result<readonly HelmValue[], Refusal<'workload_unsupported'>>;
const bad = (why: string): Read => refuse('workload_unsupported', `${ANNOTATIONS.helmSet}: ${why}`);

/**
 * What the annotation says of where image and version stand among the values of a chart, as `helm --set`
 * would take it: `image.tag={version},image.digest={digest}`. Besides there are `{repository}` (the image
 * without tag and digest) and `{image}` (its whole text). `\.` and `\,` stand for themselves; lists are
 * refused, since an index names another element tomorrow.
 */
export function helmValues(
  { annotations }: Pick<WorkloadView, 'annotations'>,
  to: { readonly image: string; readonly version: string | null },
): Read {
  const words = wordsFor(to);
  const sets = split(annotations[ANNOTATIONS.helmSet] ?? USUAL_SET, ',');
  if (sets.length > SETS_MAX) return bad(`at most ${SETS_MAX} values`);
  const values: HelmValue[] = [];
  for (const set of sets) {
    const at = set.indexOf('=');
    const path = split(set.slice(0, Math.max(0, at)).trim(), '.');
    if (path.length > DEPTH_MAX || !path.every((part) => PART.test(part))) {
      return bad(`"${set.slice(0, 100)}" is not key.key=value`);
    }
    const value = set.slice(at + 1).replace(WORD, (_, word: string) => words.get(word) ?? '');
    values.push({ path, value });
  }
  return ok(values);
}

const WORD = /\{(version|digest|repository|image)\}/g;

function wordsFor({
  image,
  version,
}: {
  readonly image: string;
  readonly version: string | null;
}): ReadonlyMap<string, string> {
  const ref = readImage(image) ?? { reference: image, tag: null, digest: null };
  return new Map([
    // What goes back to an image of which no version is known goes back to its tag.
    ['version', version ?? ref.tag ?? ''],
    ['digest', ref.digest ?? ''],
    ['repository', ref.reference],
    ['image', image],
  ]);
}

/** At each separator that no backslash stands before; the backslash goes. */
function split(text: string, separator: '.' | ','): string[] {
  const parts = text.split(new RegExp(`(?<!\\\\)\\${separator}`));
  return parts.map((part) => part.replaceAll(`\\${separator}`, separator));
}
