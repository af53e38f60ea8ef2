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

type EventOf<T extends RolloutEvent['type']> = Extract<RolloutEvent, { type: T }>;
type WaveEvent = Extract<RolloutEvent, { wave: number }>;

/** How many targets are in a state for which `holds`. */
export const countOf = (counts: Counts, holds: (state: TargetState) => boolean): number =>
  TARGET_STATES.reduce((sum, state) => (holds(state) ? sum + counts[state] : sum), 0);

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

function moveSome(counts: Counts, from: TargetState, to: TargetState, count: number): Counts {
  invariant(
    counts[from] >= count,
    `${count} targets cannot leave ${from}: ${counts[from]} are in it`,
  );
  return { ...counts, [from]: counts[from] - count, [to]: counts[to] + count };
}

/** Called back at the end of its time: what has not swapped, and what only was absent. */
function expired(wave: WaveState): Counts {
  const counts = moveAll(wave.counts, canWithdraw, 'skipped');
  return moveSome(counts, 'silent', 'skipped', counts.silent - wave.lost);
}

/** Whoever is stuck cannot be tried again yet. */
const retried = (wave: WaveState): Counts =>
  moveSome(moveAll(wave.counts, canRetry, 'pending'), 'pending', 'failed', wave.stuck);

const movedOne = (wave: WaveState, event: EventOf<'target_moved'>): Partial<WaveState> => ({
  counts: moveSome(wave.counts, event.from, event.to, 1),
  lost: wave.lost + event.lost,
  stuck: wave.stuck + event.stuck,
  offline: wave.offline + event.offline,
});

function ofWave(
  wave: WaveState,
  event: Exclude<WaveEvent, EventOf<'rollout_paused'>>,
): Partial<WaveState> {
  switch (event.type) {
    case 'wave_waits':
      return { reason: event.reason, until: event.until };
    case 'wave_approved':
      return { approvedBy: [...wave.approvedBy, event.by] };
    case 'wave_opened':
      return {
        status: 'open',
        reason: event.reason,
        until: null,
        openedAt: event.at,
        byHand: event.byHand,
      };
    case 'wave_settling':
      return { status: 'settling', reason: 'settling', until: event.until, doneAt: event.at };
    case 'wave_passed':
      return {
        status: 'passed',
        reason: event.reason,
        until: null,
        endedAt: event.at,
        forced: event.forced,
      };
    case 'wave_reopened':
      return { status: 'open', reason: event.reason, until: null, doneAt: null, endedAt: null };
    case 'wave_skipped':
      return {
        status: 'skipped',
        reason: 'skipped_by_operator',
        until: null,
        endedAt: event.at,
        counts: moveSome(wave.counts, 'pending', 'skipped', event.count),
      };
    case 'targets_offered':
      return { counts: moveSome(wave.counts, 'pending', 'offered', event.count) };
    case 'targets_retried':
      return { lost: 0, counts: retried(wave) };
    case 'targets_expired':
      return { counts: expired(wave) };
    case 'target_joined':
      return {
        size: wave.size + 1,
        counts: { ...wave.counts, pending: wave.counts.pending + 1 },
      };
    case 'target_moved':
      return movedOne(wave, event);
    case 'target_presence':
      return { offline: wave.offline + event.offline };
    default:
      return unreachable(event);
  }
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
      // Whoever marks a wave of a paused rollout as done starts it, but does not resume it.
      if (rollout.status === 'paused') return { ...base, startedAt: event.at };
      return { ...base, status: 'in_progress', reason: 'started', startedAt: event.at };
    case 'rollout_waits':
      return { ...base, reason: event.reason };
    case 'rollout_paused':
      return { ...base, status: 'paused', reason: event.reason };
    case 'rollout_resumed':
      return {
        ...base,
        status: rollout.startedAt === null ? 'pending' : 'in_progress',
        reason: 'resumed',
      };
    case 'rollout_glass_broken': {
      const { type: _, ...glass } = event;
      return { ...base, glass };
    }
    case 'rollout_completed':
      return { ...base, status: 'complete', reason: event.reason };
    case 'rollout_cancelled':
    case 'rollout_rolled_back':
      return {
        ...base,
        status: event.type === 'rollout_cancelled' ? 'cancelled' : 'rolled_back',
        reason: event.reason,
        waves: rollout.waves.map((wave) => ({
          ...wave,
          counts: moveAll(wave.counts, canWithdraw, 'cancelled'),
        })),
      };
    default: {
      const waves = rollout.waves.map((wave) =>
        wave.index === event.wave ? { ...wave, ...ofWave(wave, event) } : wave,
      );
      return { ...base, waves };
    }
  }
}
