import { compare, lt, major } from 'semver';
import { seenOn, widestOf } from './channels.js';
import { imageFor } from './image.js';
import { artifactFor, type Artifact, type Manifest } from './manifest.js';
import type { Channel } from './names.js';
import { detourTo, type Detour } from './reach.js';

/** A published release, as far as it matters who can take it. */
export type Offerable = Pick<
  Manifest,
  | 'product'
  | 'version'
  | 'channel'
  | 'sequence'
  | 'compatibility'
  | 'artifacts'
  | 'image'
  | 'images'
>;

/** What a node has that decides what it could take. */
export interface Taker {
  readonly product: string;
  readonly version: string | null;
  readonly host: Pick<Artifact, 'os' | 'arch' | 'variant'>;
  readonly channel: Channel;
  /** A workload runs images; `arch` is null where its pods may run on machines of several kinds. */
  readonly workload?: { readonly arch: string | null } | undefined;
}

/** A release that a node could come to: at once, or after another one. */
export interface Offer<R extends Offerable = Offerable> {
  readonly release: R;
  /** Null for an image: what of it a cluster has to fetch is not known here. */
  readonly artifact: Artifact | null;
  /** What must come first; null when it can be taken at once. */
  readonly detour: Detour | null;
}

/** How far what runs is behind the newest published major version of its channel. */
export type SupportWindow = 'in_window' | 'deprecated' | 'out_of_support' | 'unknown';

/**
 * What a node could come to, newest first, by the catalog alone: what its channel sees, with an
 * artifact for its host or, for a workload, an image. A version that is on several channels is offered on the widest. What its
 * local policy then says, only the node knows.
 */
export function offersFor<R extends Offerable>(
  taker: Taker,
  releases: readonly R[],
): { readonly upgrades: readonly Offer<R>[]; readonly downgrades: readonly Offer<R>[] } {
  const offers = visible(taker, releases).flatMap((release) => {
    const artifact = fittingOf(release, taker);
    if (artifact === undefined || release.version === taker.version) return [];
    return [{ release, artifact, detour: detourTo(release, taker.version) }];
  });
  const { version } = taker;
  const isOlder = ({ release }: Offer<R>): boolean =>
    version !== null && lt(release.version, version);
  return {
    upgrades: offers.filter((offer) => !isOlder(offer)),
    downgrades: offers.filter(isOlder),
  };
}

/** Null for an image that fits, undefined where nothing does. */
function fittingOf(release: Offerable, { host, workload }: Taker): Artifact | null | undefined {
  if (workload === undefined) return artifactFor(release, host);
  const { arch } = workload;
  return imageFor(release, { arch, variant: host.variant }) === undefined ? undefined : null;
}

/** One a version, newest first. */
function visible<R extends Offerable>({ product, channel }: Taker, releases: readonly R[]): R[] {
  const byVersion = new Map<string, R>();
  // The widest channel comes first, so it stays.
  for (const seen of seenOn(channel)) {
    for (const release of releases) {
      if (release.product !== product || release.channel !== seen) continue;
      if (!byVersion.has(release.version)) byVersion.set(release.version, release);
    }
  }
  return [...byVersion.values()].sort((a, b) => compare(b.version, a.version));
}

/**
 * The channel that a node seems to follow: the widest one that has what it runs; `stable` when it runs
 * nothing, or what nobody published here.
 */
export function channelOf(
  { product, version }: Pick<Taker, 'product' | 'version'>,
  releases: readonly Offerable[],
): Channel {
  const same = releases.filter((one) => one.product === product && one.version === version);
  return widestOf(same.map(({ channel }) => channel)) ?? 'stable';
}

/** The newest version that a channel sees; null when it sees none. */
export function newestOn(
  product: string,
  channel: Channel,
  releases: readonly Offerable[],
): string | null {
  const seen = seenOn(channel);
  let newest: string | null = null;
  for (const { product: of, channel: on, version } of releases) {
    if (of !== product || !seen.includes(on)) continue;
    if (newest === null || lt(newest, version)) newest = version;
  }
  return newest;
}

/** The major of the newest, or above: in the window; one behind: deprecated; more: out of support. */
export function windowOf(version: string | null, newest: string | null): SupportWindow {
  if (version === null || newest === null) return 'unknown';
  const behind = major(newest) - major(version);
  if (behind <= 0) return 'in_window';
  return behind === 1 ? 'deprecated' : 'out_of_support';
}
