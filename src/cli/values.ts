import { z } from 'zod';
import { toIso } from '../core/kernel/index.js';

/** How values on the command line are written, each read to what the manager takes. */

/** One of some words. */
export const oneOf = <const W extends readonly [string, ...string[]]>(words: W) =>
  z.enum(words, { error: `take one of ${words.join(', ')}` });

/** A whole number. */
export const whole = (min: number, max: number) =>
  z.coerce
    .number({ error: 'take a number' })
    .int('take a whole number')
    .min(min, `take ${min} or more`)
    .max(max, `take ${max} or less`);

/** A share of the whole in percent; the sign may be left out. */
export const percent = (max: number) =>
  z
    .string()
    .regex(/^\d{1,3}(\.\d+)?%?$/, 'take a percent such as 25')
    .transform((text) => Number(text.replace('%', '')))
    .pipe(z.number().min(0.1, 'take 0.1 or more').max(max, `take ${max} or less`));

const UNIT_SECONDS = { s: 1, m: 60, h: 3_600, d: 86_400 } as const;

/** A time span in seconds: `90`, `30m`, `12h`, `7d`. */
export const Span = z
  .string()
  .regex(/^\d{1,7}[smhd]?$/, 'take seconds, or a time such as 30m, 12h, 7d')
  .transform((text) => {
    const unit = /[smhd]$/.exec(text)?.[0] as keyof typeof UNIT_SECONDS | undefined;
    return Number.parseInt(text, 10) * UNIT_SECONDS[unit ?? 's'];
  });

/** A moment with its zone, as UTC. Without a zone nobody knows which hour was meant. */
export const Moment = z.iso
  .datetime({ offset: true, error: 'take a moment such as 2026-12-01T22:00:00Z' })
  .transform((text) => toIso(Date.parse(text)));

const LIMIT = 'take a number such as 3, or a share such as 10%';

/** How many: `3`, or `10%` of the whole. */
export const Limit = z
  .string()
  .regex(/^(\d{1,7}|\d{1,3}(\.\d{1,6})?%)$/, LIMIT)
  .transform((text): number | string => (text.endsWith('%') ? text : Number(text)));

/** The same, or `any`, which is no limit. */
export const Tolerated = z.union([z.literal('any').transform(() => null), Limit], {
  error: `${LIMIT}, or any`,
});

/** Words with commas between. */
export const Words = z
  .string()
  .transform((text) => text.split(',').map((word) => word.trim()))
  .refine((words) => words.every((word) => word !== ''), 'take words such as site,rack');

/** `key=value`. */
export const Pair = z
  .string()
  .regex(/^[^=]+=/, 'take a pair such as site=fra')
  .transform((text): [string, string] => {
    const at = text.indexOf('=');
    return [text.slice(0, at), text.slice(at + 1)];
  });

/** Leaves out what was not given, so that the manager's defaults hold. */
export function present<T extends Record<string, unknown>>(fields: T) {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: Exclude<T[K], undefined>;
  };
}
