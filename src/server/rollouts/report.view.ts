import { failuresIn, type Circumstances, type WaveState } from '../../core/rollout/index.js';
import type { Answer } from '../../protocol/api/index.js';
import type { StoredRollout } from './tables/rollouts.store.js';
import { momentView } from './rollout.view.js';

type Report = Answer<'rollouts.report'>;
type Ring = Report['rings'][number];

/** How many nodes of a wave run which version, as they last said. */
export interface VersionCount {
  readonly wave: number;
  readonly version: string | null;
  readonly online: number;
  readonly count: number;
}

/**
 * The same rollout as people ask for it: by ring, in words that peers use. A ring is all waves that were
 * cut from one rule; it says what its first wave says that is not through.
 */
export function reportView(
  { meta, state }: StoredRollout,
  mode: Circumstances['mode'],
  versions: readonly VersionCount[],
): Report {
  const names = [...new Set(state.plan.waves.map((wave) => wave.ring))];
  return {
    id: meta.id,
    status: state.status,
    reason: state.reason,
    mode,
    start_version: meta.startVersion,
    target_version: meta.version,
    rings: names.map((name) => {
      const of = state.waves.filter((wave) => state.plan.waves[wave.index]?.ring === name);
      const indexes = new Set(of.map((wave) => wave.index));
      return ringView(name, of, {
        pausedBecause: state.status === 'paused' ? state.reason : null,
        isCanary: (wave) => state.plan.waves[wave.index]?.part === 'canary',
        versions: versions.filter((one) => indexes.has(one.wave)),
        target: meta.version,
      });
    }),
  };
}

function ringView(
  ring: string,
  waves: readonly WaveState[],
  look: {
    /** Null when the rollout is not paused. */
    readonly pausedBecause: string | null;
    readonly isCanary: (wave: WaveState) => boolean;
    readonly versions: readonly VersionCount[];
    readonly target: string;
  },
): Ring {
  const sum = (of: (wave: WaveState) => number): number => waves.reduce((n, w) => n + of(w), 0);
  const current = waves.find((wave) => !isThrough(wave)) ?? waves.at(-1);
  const opened = waves.flatMap((wave) => wave.openedAt ?? []).sort((a, b) => a - b);
  const versions: Record<string, number> = {};
  for (const { version, count } of look.versions) {
    const key = version ?? 'none';
    versions[key] = (versions[key] ?? 0) + count;
  }
  const state = stateOf(waves, look);
  // What its wave said before the pause is not why nothing goes on.
  const paused = state === 'paused' ? look.pausedBecause : null;
  return {
    ring,
    state,
    reason: paused ?? current?.reason ?? '',
    until: momentView(current?.until ?? null),
    started_at: momentView(opened[0] ?? null),
    initial_count: sum((wave) => wave.size),
    present_count: look.versions.reduce((n, one) => n + one.online, 0),
    up_to_date_count: versions[look.target] ?? 0,
    failed_count: sum(failuresIn),
    versions,
  };
}

const isThrough = (wave: WaveState): boolean =>
  wave.status === 'passed' || wave.status === 'skipped';

function stateOf(
  waves: readonly WaveState[],
  look: {
    readonly pausedBecause: string | null;
    readonly isCanary: (wave: WaveState) => boolean;
  },
): Ring['state'] {
  if (waves.every((wave) => wave.status === 'skipped')) return 'skipped';
  if (waves.every(isThrough)) return 'done';
  // Canaries may be skipped before the others begin.
  if (waves.every((wave) => wave.openedAt === null)) return 'unstarted';
  if (look.pausedBecause !== null) return 'paused';
  const current = waves.find((wave) => !isThrough(wave));
  return current !== undefined && look.isCanary(current) ? 'canary' : 'active';
}
