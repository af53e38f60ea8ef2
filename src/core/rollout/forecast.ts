import { instant, plus, type Instant } from '../kernel/index.js';
import { opensInWindow } from './gates/index.js';
import type { Gate, RolloutState, WavePlan } from './types.js';

/** Fewer than so many say nothing about the next one. */
const KNOWN_MIN = 5;

/** How long an upgrade usually takes: the median of those that are known; null when too few are. */
export function usualMs(knownMs: readonly number[]): number | null {
  if (knownMs.length < KNOWN_MIN) return null;
  const sorted = [...knownMs].sort((a, b) => a - b);
  const upper = sorted[Math.floor(sorted.length / 2)] ?? 0;
  const lower = sorted[Math.floor((sorted.length - 1) / 2)] ?? 0;
  return Math.round((lower + upper) / 2);
}

export interface Forecast {
  /** When each wave opens; null from the first one on that waits for people. */
  readonly opens: readonly (Instant | null)[];
  /** When the last one is through; null when that waits for people. */
  readonly ends: Instant | null;
}

/**
 * How a rollout goes at the earliest: every gate that waits for time alone opens at its moment, and each
 * node takes as long as one usually does. The waves of a ring go one after the other, and so do rings,
 * unless they are independent. Nothing is known of freezes that are still to come.
 */
export function forecast(rollout: RolloutState, now: Instant, nodeTakesMs: number): Forecast {
  const { plan } = rollout;
  const opens: (Instant | null)[] = [];
  const ends: (Instant | null)[] = [];
  for (const [index, wave] of plan.waves.entries()) {
    const before = ends.filter(
      (_, other) => plan.order === 'sequential' || plan.waves[other]?.ring === wave.ring,
    );
    const opensAt = wave.opens.reduce<Instant | null>(
      // What a wave before it opened at counts for a wait, also when that is of another ring.
      (at, gate) => at && opensFrom(gate, at, { rollout, before: opens[index - 1] }),
      latest([now, ...before]),
    );
    opens.push(opensAt);
    ends.push(opensAt && plus(opensAt, nodeTakesMs + plan.spreadMs + settleMsOf(wave)));
  }
  return { opens, ends: latest(ends) };
}

/** Null when one of them is not known. */
const latest = (times: readonly (Instant | null)[]): Instant | null =>
  times.includes(null) ? null : instant(Math.max(...times.flatMap((at) => at ?? [])));

const settleMsOf = ({ passes }: WavePlan): number =>
  passes.reduce((most, gate) => (gate.kind === 'settle' ? Math.max(most, gate.ms) : most), 0);

function opensFrom(
  gate: Gate,
  at: Instant,
  known: {
    readonly rollout: RolloutState;
    /** When the wave before it opens; undefined for a first wave. */
    readonly before: Instant | null | undefined;
  },
): Instant | null {
  switch (gate.kind) {
    case 'approval':
      return null;
    case 'not_before':
      return latest([at, gate.at]);
    case 'wait':
      if (known.before === undefined) return at;
      return known.before && latest([at, plus(known.before, gate.ms)]);
    case 'window':
      return opensInWindow(gate, { rollout: known.rollout, now: at, freezes: [] });
    default:
      return at;
  }
}
