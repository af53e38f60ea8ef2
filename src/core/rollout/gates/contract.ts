import type { Instant } from '../../kernel/index.js';
import type { Circumstances, Gate, RolloutState, WavePlan, WaveState } from '../types.js';

/** What a gate may look at. It never changes anything and never remembers. */
export interface GateView {
  readonly now: Instant;
  readonly rollout: RolloutState;
  readonly wave: WaveState;
  readonly plan: WavePlan;
  readonly circumstances: Circumstances;
}

/**
 * `wait`: not yet; `until` is the first moment at which time alone could change that, null when only
 * news can. `stop`: it will not open by itself, so the rollout must be paused.
 */
export type GateAnswer =
  | { readonly say: 'open' }
  | { readonly say: 'wait'; readonly reason: string; readonly until: Instant | null }
  | { readonly say: 'stop'; readonly reason: string };

export type GateRule<K extends Gate['kind']> = (
  gate: Extract<Gate, { kind: K }>,
  view: GateView,
) => GateAnswer;

export const OPEN: GateAnswer = { say: 'open' };
