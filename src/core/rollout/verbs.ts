import { ok, plus, refuse, type Instant, type Refusal, type Result } from '../kernel/index.js';
import { Draft, sumOver } from './draft.js';
import { countOf } from './evolve.js';
import { heldFor, isGlassBroken } from './glass.js';
import { flow, heldBack, openWave, pause } from './flow.js';
import {
  canRetry,
  type Circumstances,
  type Decision,
  type RolloutState,
  type RolloutStatus,
  type WaveState,
  type WaveStatus,
} from './types.js';

export type Verb =
  | { readonly verb: 'pause' | 'resume' | 'cancel' | 'mark_rolled_back' }
  | { readonly verb: 'retry_failed' }
  | { readonly verb: 'skip_wave'; readonly wave: number }
  | {
      readonly verb: 'break_glass';
      /** Id and name of the person. */
      readonly by: string;
      readonly byName: string;
      readonly reason: string;
      readonly forMs: number;
    }
  | {
      readonly verb: 'approve' | 'start_wave' | 'mark_done';
      readonly wave: number;
      /** Id of who says so. */
      readonly by: string;
    };
export type VerbName = Verb['verb'];

const FITS: Readonly<Record<VerbName, readonly RolloutStatus[]>> = {
  pause: ['pending', 'in_progress'],
  resume: ['paused'],
  retry_failed: ['in_progress', 'paused'],
  approve: ['pending', 'in_progress', 'paused'],
  skip_wave: ['pending', 'in_progress', 'paused'],
  break_glass: ['pending', 'in_progress', 'paused'],
  start_wave: ['pending', 'in_progress'],
  mark_done: ['pending', 'in_progress', 'paused'],
  cancel: ['pending', 'in_progress', 'paused'],
  mark_rolled_back: ['in_progress', 'paused', 'complete'],
};

const FITS_WAVE: Readonly<Partial<Record<VerbName, readonly WaveStatus[]>>> = {
  approve: ['pending'],
  skip_wave: ['pending'],
  start_wave: ['pending'],
  mark_done: ['pending', 'open', 'settling'],
};

/** The verbs that a rollout in this status takes, for the answer to one that does not fit. */
export const allowedVerbs = (status: RolloutStatus): readonly VerbName[] =>
  (Object.keys(FITS) as VerbName[]).filter((verb) => FITS[verb].includes(status));

export type VerbRefusal = Refusal<'rollout_wrong_state' | 'rollout_wave_unknown'>;

export interface VerbMoment {
  readonly now: Instant;
  readonly circumstances: Circumstances;
}

/**
 * Carries out an operator's verb, or refuses it when it does not fit the status of the rollout or of
 * the wave. A resume tries failed, rolled back and silent targets of running waves again: resuming
 * says "I mended it". `start_wave` goes past order, windows and waits, and is an approval of its own,
 * but never goes past the switch, a freeze, or an approval by others that is still missing: that takes
 * `break_glass`, which lets every wave past freezes, windows and approvals until a moment. `mark_done` says "I know, go on": the failures of that wave stop nothing more.
 */
export function decide(
  rollout: RolloutState,
  verb: Verb,
  moment: VerbMoment,
): Result<Decision, VerbRefusal> {
  if (!FITS[verb.verb].includes(rollout.status)) {
    const said = verb.verb.replaceAll('_', ' ');
    return refuse(
      'rollout_wrong_state',
      `a rollout that is ${rollout.status} cannot take: ${said}`,
    );
  }
  const draft = new Draft(rollout);
  const wrong = 'wave' in verb ? doOfWave(draft, verb, moment) : doOfRollout(draft, verb, moment);
  if (wrong !== null) return { ok: false, error: wrong };
  flow(draft, moment.now, moment.circumstances);
  return ok(draft.done());
}

function doOfRollout(
  draft: Draft,
  asked: Exclude<Verb, { wave: number }>,
  { now }: VerbMoment,
): VerbRefusal | null {
  switch (asked.verb) {
    case 'break_glass': {
      const { by, byName, reason, forMs } = asked;
      const until = plus(now, forMs);
      draft.add({ type: 'rollout_glass_broken', at: now, by, byName, reason, until });
      break;
    }
    case 'pause':
      pause(draft, { wave: null, reason: 'paused_by_operator', now });
      break;
    case 'resume':
      draft.add({ type: 'rollout_resumed', at: now });
      draft.effects.push({ kind: 'extend_deadlines' });
      retry(draft, now, isTrying);
      break;
    case 'retry_failed':
      if (sumOver(draft.rollout, retryable) === 0) {
        return {
          code: 'rollout_wrong_state',
          message: 'no target has failed that can be tried again',
        };
      }
      retry(draft, now, () => true);
      break;
    case 'cancel':
      draft.add({ type: 'rollout_cancelled', at: now, reason: 'cancelled_by_operator' });
      draft.effects.push({ kind: 'withdraw' });
      break;
    case 'mark_rolled_back':
      draft.add({ type: 'rollout_rolled_back', at: now, reason: 'marked_by_operator' });
      draft.effects.push({ kind: 'withdraw' });
      break;
  }
  return null;
}

const retryable = (wave: WaveState): number =>
  wave.status === 'pending' || wave.status === 'skipped'
    ? 0
    : countOf(wave.counts, canRetry) - wave.stuck;

/** A wave that is through stays through when the rollout goes on: what failed there was tolerated. */
const isTrying = (wave: WaveState): boolean => wave.status === 'open' || wave.status === 'settling';

function retry(draft: Draft, now: Instant, wanted: (wave: WaveState) => boolean): void {
  for (const wave of draft.rollout.waves) {
    const count = retryable(wave);
    if (count === 0 || !wanted(wave)) continue;
    if (wave.status !== 'open') {
      draft.add({ type: 'wave_reopened', at: now, wave: wave.index, reason: 'retried' });
    }
    draft.add({ type: 'targets_retried', at: now, wave: wave.index, count });
    draft.effects.push({ kind: 'retry', wave: wave.index });
  }
}

function doOfWave(
  draft: Draft,
  verb: Extract<Verb, { wave: number }>,
  moment: VerbMoment,
): VerbRefusal | null {
  const wave = draft.rollout.waves[verb.wave];
  if (wave === undefined) {
    const message = `there is no wave ${verb.wave + 1}; the last is ${draft.rollout.waves.length}`;
    return { code: 'rollout_wave_unknown', message };
  }
  const wrong = (message: string): VerbRefusal => ({ code: 'rollout_wrong_state', message });
  if (FITS_WAVE[verb.verb]?.includes(wave.status) !== true) {
    return wrong(`wave ${verb.wave + 1} is ${wave.status}: ${wave.reason}`);
  }
  switch (verb.verb) {
    case 'approve':
      return approve(draft, verb, moment.now, wrong);
    case 'skip_wave':
      draft.add({
        type: 'wave_skipped',
        at: moment.now,
        wave: verb.wave,
        count: wave.counts.pending,
      });
      draft.effects.push({ kind: 'skip', wave: verb.wave });
      return null;
    case 'start_wave':
    case 'mark_done':
      return byHand(draft, verb, moment, wrong);
  }
}

type ByHand = Extract<Verb, { verb: 'approve' | 'start_wave' | 'mark_done' }>;

function byHand(
  draft: Draft,
  { verb, wave, by }: ByHand,
  moment: VerbMoment,
  wrong: (message: string) => VerbRefusal,
): VerbRefusal | null {
  const { now } = moment;
  if (draft.wave(wave).status === 'pending') {
    const held = heldBack({
      now,
      circumstances: heldFor(draft.rollout, moment.circumstances, now),
    });
    if (held !== null) return wrong(`nothing new starts now: ${held.reason}`);
    const approvers = new Set([...draft.wave(wave).approvedBy, by]);
    const needed = isGlassBroken(draft.rollout, now) ? 0 : approvalsOf(draft, wave);
    if (approvers.size < needed) {
      return wrong(`wave ${wave + 1} needs ${needed} approvals, also to be started by hand`);
    }
    if (needed > draft.wave(wave).approvedBy.length) {
      draft.add({ type: 'wave_approved', at: now, wave, by });
    }
    openWave(draft, wave, { now, reason: 'manual_trigger', byHand: true });
  }
  if (verb === 'mark_done') {
    draft.add({ type: 'wave_passed', at: now, wave, reason: 'manual_forced_done', forced: true });
  }
  return null;
}

const approvalsOf = (draft: Draft, wave: number): number =>
  draft
    .plan(wave)
    .opens.reduce((n, gate) => (gate.kind === 'approval' ? Math.max(n, gate.needed) : n), 0);

function approve(
  draft: Draft,
  { wave: index, by }: { readonly wave: number; readonly by: string },
  now: Instant,
  wrong: (message: string) => VerbRefusal,
): VerbRefusal | null {
  if (approvalsOf(draft, index) === 0) {
    return wrong(`wave ${index + 1} needs no approval`);
  }
  if (draft.wave(index).approvedBy.includes(by)) {
    return wrong(
      `wave ${index + 1} was approved by the same person before, or by a token of theirs`,
    );
  }
  draft.add({ type: 'wave_approved', at: now, wave: index, by });
  return null;
}
