import { DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS } from '../../core/kernel/index.js';

const UNITS = [
  [DAY_MS, 'd'],
  [HOUR_MS, 'h'],
  [MINUTE_MS, 'm'],
  [SECOND_MS, 's'],
] as const;
/** Of so many one tells the next smaller unit too: `1d 5h`, but `12d`. */
const ONE_UNIT_FROM = 10;

/** A time span in a few letters: `4s`, `3m`, `1h 20m`, `12d`. Never negative. */
export function spanInShort(spanMs: number): string {
  const rounded = Math.max(0, Math.floor(spanMs / SECOND_MS) * SECOND_MS);
  const at = UNITS.findIndex(([unitMs]) => rounded >= unitMs);
  const [unitMs, letter] = UNITS[at] ?? [SECOND_MS, 's'];
  const count = Math.floor(rounded / unitMs);
  const [nextMs, nextLetter] = UNITS[at + 1] ?? [0, ''];
  const rest = nextMs === 0 ? 0 : Math.floor((rounded - count * unitMs) / nextMs);
  // Seconds beside minutes only while one waits for them.
  const isFine = count < ONE_UNIT_FROM && rest > 0;
  return isFine ? `${count}${letter} ${rest}${nextLetter}` : `${count}${letter}`;
}

/** Whether a text is a moment in UTC as the manager writes it, and nothing else. */
export const isMoment = (text: string): boolean =>
  /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z$/.test(text);

/** A moment seen from now: `3m ago`, `in 2h`, `now`. What is no moment stays as it is. */
export function distance(moment: string, now: number): string {
  if (!isMoment(moment)) return moment;
  const at = Date.parse(moment);
  const span = spanInShort(Math.abs(at - now));
  if (span === '0s') return 'now';
  return at > now ? `in ${span}` : `${span} ago`;
}
