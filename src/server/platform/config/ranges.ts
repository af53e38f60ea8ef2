import { isIP } from 'node:net';

const PREFIX_MAX = { 4: 32, 6: 128 } as const;

/** Addresses and CIDR ranges with commas between; null when one of them is none. */
export function parseRanges(text: string): readonly string[] | null {
  const ranges = text.split(',').map((range) => range.trim());
  const areRanges = ranges.every((range) => {
    const match = /^([^/]+?)(?:\/(\d{1,3}))?$/.exec(range);
    const family = isIP(match?.[1] ?? '');
    if (family === 0) return false;
    return Number(match?.[2] ?? 0) <= PREFIX_MAX[family === 6 ? 6 : 4];
  });
  return areRanges ? ranges : null;
}
