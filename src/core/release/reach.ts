import { lt, major } from 'semver';
import type { Manifest } from './manifest.js';

/** Where nothing else is said: to the next major version, not past it. */
const MAJOR_HOPS_MAX = 1;

/** What a node must run first, for a release that it cannot reach in one step. */
export interface Detour {
  /** The nearest stop: a version such as `2.4.0`, or any of a major version such as `3.x`. */
  readonly first: string;
  readonly message: string;
}

/**
 * Whether a node can go from what it runs to this release in one step: null when it can. Both ways
 * count: majors are crossed one by one (or as many at once as the release allows), forward and back, and
 * nothing below `min_from` goes here directly. A node on which nothing runs yet can take any.
 */
export function detourTo(
  { version, compatibility }: Pick<Manifest, 'version' | 'compatibility'>,
  from: string | null,
): Detour | null {
  if (from === null) return null;
  const { min_from: minFrom, major_hops_max: hopsMax = MAJOR_HOPS_MAX } = compatibility ?? {};
  const isUpgrade = lt(from, version);
  const hops = major(version) - major(from);
  if (Math.abs(hops) > hopsMax)
    return detour(version, from, `${major(from) + stepTo(hops, hopsMax)}.x`);
  const isTooOld = minFrom !== undefined && isUpgrade && lt(from, minFrom);
  return isTooOld ? detour(version, from, minFrom) : null;
}

/** As far as one may go at once. Where no major may be crossed, the way there goes by its own major. */
const stepTo = (hops: number, hopsMax: number): number =>
  hopsMax === 0 ? hops : hopsMax * Math.sign(hops);

function detour(version: string, from: string, first: string): Detour {
  const way = lt(from, version) ? 'upgrade' : 'downgrade';
  const message = `${version} cannot be reached from ${from}: requires ${way} to ${first} first`;
  return { first, message };
}
