import { invariant, unreachable } from '../kernel/index.js';
import {
  canRetry,
  canWithdraw,
  TARGET_STATES,
  type Counts,
  type RolloutEvent,
  type RolloutState,
  type TargetState,
  type WaveState,
} from './types.js';

/** Moves every counted target for which `moves` holds to `to`. */
function moveAll(counts: Counts, moves: (state: TargetState) => boolean, to: TargetState): Counts {
  const next = { ...counts };
  for (const state of TARGET_STATES) {
    if (state !== to && moves(state)) {
      next[to] += next[state];
      next[state] = 0;
    }
  }
  return next;
}

const changeWave = (
  rollout: RolloutState,
  index: number,
  change: (wave: WaveState) => Partial<WaveState>,
): readonly WaveState[] =>
  rollout.waves.map((wave) => (wave.index === index ? { ...wave, ...change(wave) } : wave));

function moveOne(
  wave: WaveState,
  event: Extract<RolloutEvent, { type: 'target_moved' }>,
): Partial<WaveState> {
  invariant(wave.counts[event.from] > 0, `no target of wave ${wave.index} is ${event.from}`);
  const counts = { ...wave.counts };
  counts[event.from] -= 1;
  counts[event.to] += 1;
  return { counts, lost: wave.lost + event.lost };
}

/**
 * The one place where a rollout changes. Total and deterministic; applying the journal to the
 * planned rollout gives the snapshot, whatever process does it. An event about a target that no
 * counter knows is a mistake of ours and throws.
 */
export function evolve(rollout: RolloutState, event: RolloutEvent): RolloutState {
  const base = { ...rollout, updatedAt: event.at };
  switch (event.type) {
    case 'rollout_started':
      return { ...base, status: 'in_progress', reason: 'started' };
    case 'wave_opened':
      return {
        ...base,
        wave: event.wave,
        reason: 'wave_open',
        waves: changeWave(rollout, event.wave, (wave) => ({
          status: 'open',
          openedAt: event.at,
          counts: moveAll(wave.counts, (state) => state === 'pending', 'offered'),
        })),
      };
    case 'target_moved':
      return { ...base, waves: changeWave(rollout, event.wave, (wave) => moveOne(wave, event)) };
    case 'wave_settling':
      return {
        ...base,
        reason: 'settling',
        waves: changeWave(rollout, event.wave, () => ({
          status: 'settling',
          settlesAt: event.settlesAt,
        })),
      };
    case 'wave_passed':
      return {
        ...base,
        reason: 'wave_passed',
        waves: changeWave(rollout, event.wave, () => ({ status: 'passed' })),
      };
    case 'rollout_paused':
      return { ...base, status: 'paused', reason: event.reason };
    case 'rollout_resumed':
      return { ...base, status: 'in_progress', reason: 'resumed' };
    case 'targets_retried':
      return {
        ...base,
        waves: changeWave(rollout, event.wave, (wave) => ({
          status: 'open',
          settlesAt: null,
          lost: 0,
          counts: moveAll(wave.counts, canRetry, 'offered'),
        })),
      };
    case 'rollout_completed':
      return { ...base, status: 'complete', reason: event.reason };
    case 'rollout_cancelled':
      return {
        ...base,
        status: 'cancelled',
        reason: event.reason,
        waves: rollout.waves.map((wave) => ({
          ...wave,
          counts: moveAll(wave.counts, canWithdraw, 'cancelled'),
        })),
      };
    default:
      return unreachable(event);
  }
}
