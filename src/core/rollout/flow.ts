import { plus, type Instant } from '../kernel/index.js';
import { frozenUntil } from './calendar.js';
import { Draft, sumOver } from './draft.js';
import { countOf } from './evolve.js';
import { heldFor } from './glass.js';
import {
  askAll,
  badBecause,
  failuresIn,
  isDone,
  openIn,
  verdictGate,
  type GateAnswer,
  type GateView,
} from './gates/index.js';
import {
  canWithdraw,
  isOpen,
  type Circumstances,
  type Decision,
  type RolloutState,
  type WaveState,
} from './types.js';

/** So many commands in one pass, so that one transaction stays short whatever the wave's size. */
export const OFFERS_PER_PASS = 500;

const ended = (wave: WaveState): boolean => wave.status === 'passed' || wave.status === 'skipped';
const running = (wave: WaveState): boolean =>
  wave.status === 'open' || wave.status === 'settling' || wave.status === 'passed';

/** Of the longest settle gate of a wave; 0 when it has none. */
const settleMsOf = (draft: Draft, index: number): number =>
  draft
    .plan(index)
    .passes.reduce((most, gate) => (gate.kind === 'settle' ? Math.max(most, gate.ms) : most), 0);

/**
 * Pauses the rollout when the evidence of one wave is bad. A wave that had passed is opened again
 * first: what let the next ones start no longer holds.
 */
export function stopIfBad(draft: Draft, index: number, now: Instant): void {
  const wave = draft.wave(index);
  if (draft.rollout.status !== 'in_progress' || !running(wave) || wave.forced) return;
  const gate = verdictGate(draft.plan(index));
  const reason = gate === null ? null : badBecause(gate, wave);
  if (reason === null) return;
  if (wave.status === 'passed') {
    draft.add({ type: 'wave_reopened', at: now, wave: index, reason });
  }
  pause(draft, { wave: index, reason, now });
}

export function pause(
  draft: Draft,
  why: { readonly wave: number | null; readonly reason: string; readonly now: Instant },
): void {
  const failures = why.wave === null ? 0 : failuresIn(draft.wave(why.wave));
  const { wave, reason, now } = why;
  draft.add({ type: 'rollout_paused', at: now, wave, reason, failures });
}

/**
 * Starts the settle time of a wave in which everybody (or enough) has ended. Where the clock was set back
 * behind its start, it starts anew: what was watched cannot be told, and nobody waits for the clock to catch up.
 */
export function settleIfDone(draft: Draft, index: number, now: Instant): void {
  const wave = draft.wave(index);
  // A silent node came back while the wave settled: when it has ended too, the wave settles anew.
  const isAnew = wave.status === 'settling' && (wave.until === null || (wave.doneAt ?? now) > now);
  if (draft.rollout.status !== 'in_progress' || (wave.status !== 'open' && !isAnew)) return;
  if (!isDone(wave, draft.plan(index))) return;
  const until = plus(now, settleMsOf(draft, index));
  draft.add({ type: 'wave_settling', at: now, wave: index, until });
}

export function openWave(
  draft: Draft,
  index: number,
  how: { readonly now: Instant; readonly reason: string; readonly byHand: boolean },
): void {
  const { now, reason, byHand } = how;
  if (draft.rollout.startedAt === null) draft.add({ type: 'rollout_started', at: now });
  draft.add({ type: 'wave_opened', at: now, wave: index, reason, byHand });
}

/**
 * Goes as far as evidence, time and circumstances allow: passes waves that have proved themselves,
 * opens those whose gates are open, offers the next batch, ends the rollout. Idempotent: called again
 * with the same input it adds nothing, once no batch is left. Only a rollout that is `pending` or
 * `in_progress` moves.
 */
export function flow(draft: Draft, now: Instant, around: Circumstances): void {
  const circumstances = heldFor(draft.rollout, around, now);
  const { length } = draft.rollout.waves;
  expire(draft, now);
  if (isExpired(draft.rollout, now)) complete(draft, now);
  for (let index = 0; index < length && isMoving(draft.rollout); index += 1) {
    settleIfDone(draft, index, now);
    stopIfBad(draft, index, now);
    passIfProven(draft, index, { now, circumstances });
    openIfMay(draft, index, { now, circumstances });
    offerSome(draft, index, { now, circumstances });
    // A wave that nobody is left in is done as soon as it is open.
    settleIfDone(draft, index, now);
  }
  complete(draft, now);
  tell(draft, now);
}

/** `flow` for a rollout that is woken: to be called at `nextWake` or later, as often as one likes. */
export function advance(
  rollout: RolloutState,
  now: Instant,
  circumstances: Circumstances,
): Decision {
  const draft = new Draft(rollout);
  flow(draft, now, circumstances);
  return draft.done();
}

const isMoving = (rollout: RolloutState): boolean =>
  rollout.status === 'pending' || rollout.status === 'in_progress';

interface Moment {
  readonly now: Instant;
  readonly circumstances: Circumstances;
}

const viewOf = (draft: Draft, index: number, moment: Moment): GateView => ({
  ...moment,
  rollout: draft.rollout,
  wave: draft.wave(index),
  plan: draft.plan(index),
});

function passIfProven(draft: Draft, index: number, moment: Moment): void {
  if (draft.rollout.status !== 'in_progress' || draft.wave(index).status !== 'settling') return;
  const answer = askAll(draft.plan(index).passes, viewOf(draft, index, moment));
  const { now } = moment;
  if (answer.say === 'open') {
    const reason = 'wave_passed';
    draft.add({ type: 'wave_passed', at: now, wave: index, reason, forced: false });
  } else if (answer.say === 'stop') {
    pause(draft, { wave: index, reason: answer.reason, now });
  } else {
    waits(draft, index, answer, now);
  }
}

/** In sequence every wave before has ended; independent rings look at their own waves only. */
function isNext({ plan, waves }: RolloutState, index: number): boolean {
  const ring = plan.waves[index]?.ring;
  return waves
    .slice(0, index)
    .every(
      (wave) =>
        ended(wave) || (plan.order === 'independent' && plan.waves[wave.index]?.ring !== ring),
    );
}

function openIfMay(draft: Draft, index: number, moment: Moment): void {
  if (!isMoving(draft.rollout) || draft.wave(index).status !== 'pending') return;
  if (isExpired(draft.rollout, moment.now)) return;
  // The waves behind say nothing new before it is their turn.
  if (!isNext(draft.rollout, index)) return;
  const answer = heldBack(moment) ?? askAll(draft.plan(index).opens, viewOf(draft, index, moment));
  if (answer.say === 'open') {
    openWave(draft, index, { now: moment.now, reason: 'wave_open', byHand: false });
  } else {
    waits(draft, index, answer, moment.now);
  }
}

const HELD = ['upgrades_suspended', 'upgrades_disabled', 'frozen', 'release_yanked'];
const isHeld = (wave: WaveState): boolean => HELD.includes(wave.reason);

/** What holds every wave back, whoever wants it open: a yank, the switch, and freezes. */
export function heldBack(moment: Moment): Extract<GateAnswer, { say: 'wait' }> | null {
  const { mode, freezes, yanked } = moment.circumstances;
  if (yanked === true) return { say: 'wait', reason: 'release_yanked', until: null };
  if (mode !== 'enabled') return { say: 'wait', reason: `upgrades_${mode}`, until: null };
  const frozen = frozenUntil(freezes, moment.now);
  return frozen === null ? null : { say: 'wait', reason: 'frozen', until: frozen.until };
}

function waits(
  draft: Draft,
  index: number,
  answer: Exclude<GateAnswer, { say: 'open' }>,
  now: Instant,
): void {
  const until = answer.say === 'wait' ? answer.until : null;
  const wave = draft.wave(index);
  if (wave.reason === answer.reason && wave.until === until) return;
  draft.add({ type: 'wave_waits', at: now, wave: index, reason: answer.reason, until });
}

function offerSome(draft: Draft, index: number, moment: Moment): void {
  const wave = draft.wave(index);
  if (draft.rollout.status !== 'in_progress' || !running(wave) || wave.counts.pending === 0) return;
  const held = heldBack(moment);
  if (held !== null) {
    waits(draft, index, held, moment.now);
    return;
  }
  if (isHeld(wave))
    waits(draft, index, { say: 'wait', reason: 'wave_open', until: null }, moment.now);
  const count = Math.min(wave.counts.pending, OFFERS_PER_PASS);
  draft.add({ type: 'targets_offered', at: moment.now, wave: index, count });
  draft.effects.push({ kind: 'offer', wave: index, count });
}

/** Absent without blame. */
const missingIn = (wave: WaveState): number => wave.counts.silent - wave.lost;

/** Not begun to swap, or absent without blame. */
const expiring = (wave: WaveState): number => countOf(wave.counts, canWithdraw) + missingIn(wave);

/** At the end of its time a rollout no longer waits for anybody who has not begun to swap. */
function expire(draft: Draft, now: Instant): void {
  const { expiresAt } = draft.rollout.plan;
  if (expiresAt === null || now < expiresAt || !isMoving(draft.rollout)) return;
  let isAny = false;
  for (const { index } of draft.rollout.waves) {
    const wave = draft.wave(index);
    const count = expiring(wave);
    if (count === 0) continue;
    isAny = true;
    draft.add({ type: 'targets_expired', at: now, wave: index, count });
  }
  if (isAny) draft.effects.push({ kind: 'expire' });
}

const isExpired = (rollout: RolloutState, now: Instant): boolean =>
  rollout.plan.expiresAt !== null && now >= rollout.plan.expiresAt;

/** Whether nobody is waited for any more: neither at work nor, while there is time, away. */
function isThrough(rollout: RolloutState): boolean {
  const isWaiting = rollout.plan.expiresAt !== null && sumOver(rollout, missingIn) > 0;
  return rollout.waves.every(ended) && sumOver(rollout, openIn) === 0 && !isWaiting;
}

function complete(draft: Draft, now: Instant): void {
  const { rollout } = draft;
  if (!isMoving(rollout)) return;
  const isOut = isExpired(rollout, now) && sumOver(rollout, openIn) === 0;
  if (!isThrough(rollout) && !isOut) return;
  const failures = sumOver(rollout, failuresIn);
  draft.add({
    type: 'rollout_completed',
    at: now,
    reason: isThrough(rollout) ? howComplete(failures, sumOver(rollout, missingIn)) : 'expired',
    completed: sumOver(rollout, (wave) => wave.counts.succeeded),
    failures,
  });
}

const howComplete = (failures: number, missing: number): string => {
  if (failures > 0) return 'complete_with_failures';
  return missing > 0 ? 'complete_with_silent' : 'complete';
};

/** The rollout says what the first wave says that is not through. */
export function tell(draft: Draft, now: Instant): void {
  if (!isMoving(draft.rollout)) return;
  const first = draft.rollout.waves.find((wave) => !ended(wave));
  const reason = first?.reason ?? waitingFor(draft.rollout);
  if (reason !== draft.rollout.reason) draft.add({ type: 'rollout_waits', at: now, reason });
}

const waitingFor = (rollout: RolloutState): string =>
  sumOver(rollout, (wave) => countOf(wave.counts, isOpen)) > 0
    ? 'waiting_for_last_nodes'
    : 'waiting_for_offline_nodes';

/**
 * When `advance` has something to do at the earliest. `firstDeadlineAt` is the earliest deadline of
 * any open target. Null: nothing to wait for but reports or people. While paused no deadline runs:
 * nodes that wait for a permit are not to blame; a resume starts their deadlines anew.
 */
export function nextWake(rollout: RolloutState, firstDeadlineAt: Instant | null): Instant | null {
  if (!isMoving(rollout)) return null;
  if (isThrough(rollout)) return AT_ONCE;
  const hasWhatExpires = rollout.waves.some((wave) => expiring(wave) > 0);
  const expiresAt = hasWhatExpires ? rollout.plan.expiresAt : null;
  const times = [firstDeadlineAt, expiresAt, ...rollout.waves.map((wave) => nextOf(rollout, wave))];
  return times.reduce(
    (first, at) => (at !== null && (first === null || at < first) ? at : first),
    null,
  );
}

/**
 * Whether a switch or a freeze holds it back. Either can be taken away at any moment, and the alarm that
 * tells so can be lost: whoever keeps the alarms must look again now and then.
 */
export const isHeldBack = (rollout: RolloutState): boolean =>
  isMoving(rollout) &&
  rollout.waves.some(
    (wave) =>
      isHeld(wave) &&
      ((wave.status === 'pending' && isNext(rollout, wave.index)) ||
        (running(wave) && wave.counts.pending > 0)),
  );

/** A wave that still has commands to give, or has just ended, wants to be looked at at once. */
const AT_ONCE = 0 as Instant;

function nextOf(rollout: RolloutState, wave: WaveState): Instant | null {
  if (running(wave) && wave.counts.pending > 0) return isHeld(wave) ? wave.until : AT_ONCE;
  if (wave.status === 'settling') return wave.until;
  // What a wave said before an earlier one was opened again, or what lies after the end of all, would
  // ring at once again and again.
  if (wave.status !== 'pending' || wave.until === null) return null;
  const { expiresAt } = rollout.plan;
  const isInTime = expiresAt === null || wave.until < expiresAt;
  return isInTime && isNext(rollout, wave.index) ? wave.until : null;
}
