import { ok, refuse, type Refusal, type Result } from '../kernel/index.js';
import { ended, isBeforeSwap, tell } from './changes.js';
import { goBack, ROLLED_BACK_BY_HAND } from './probation.js';
import type { InstalledVersion, Job, UpdateState } from './state.js';
import { watchAnew, type Facts, type Input, type Machine } from './types.js';

const WHY = 'a person on the node asked for it';

type HandRefusal = Refusal<'upgrade_in_progress' | 'nothing_to_apply' | 'nothing_to_go_back_to'>;

/** The version that waits for the hand of a person, or why none does. */
export function waitingForHand(
  { job }: Pick<UpdateState, 'job'>,
  manualOnly: boolean,
): Result<Job, HandRefusal> {
  if (job === null) return refuse('nothing_to_apply', 'no version is staged');
  if (job.phase !== 'staged') {
    return refuse('nothing_to_apply', `${job.version} is not staged, it is ${job.phase}`);
  }
  if (job.applied_by_hand) {
    return refuse('nothing_to_apply', `${job.version} was let go by hand already`);
  }
  if (job.staged_for_hand || manualOnly) return ok(job);
  return refuse('nothing_to_apply', `${job.version} does not wait for a hand`);
}

/** What a rollback by hand leads from and to, or why there is none. */
export function wayBack({
  job,
  current,
  previous,
}: UpdateState): Result<
  { readonly from: string; readonly to: InstalledVersion | null },
  HandRefusal
> {
  if (job?.phase === 'probation') return ok({ from: job.version, to: job.from });
  if (job !== null && !isBeforeSwap(job)) {
    const what = job.phase === 'swapping' ? 'is being swapped in' : 'is being turned back';
    return refuse('upgrade_in_progress', `${job.version} ${what}`);
  }
  if (current === null) return refuse('nothing_to_go_back_to', 'nothing is installed');
  if (previous !== null) return ok({ from: current.version, to: previous });
  return refuse('nothing_to_go_back_to', `there is no version before ${current.version}`);
}

/**
 * Goes back at the word of a person. What is on probation is turned back as the watchdog would do it;
 * what has proven itself gives way to the version before, and what was only being prepared is given
 * up. Where there is no way back it changes nothing.
 */
export function rollBackByHand(
  machine: Machine,
  { id }: Extract<Input, { type: 'rollback_by_hand' }>,
  facts: Facts,
): Machine {
  const way = wayBack(machine.state);
  if (!way.ok) return machine;
  const { job } = machine.state;
  if (job?.phase === 'probation') return goBack(machine, ROLLED_BACK_BY_HAND, WHY);
  const free = job === null ? machine : givenUp(machine, job, facts);
  const { current } = free.state;
  if (current === null) return machine;
  const back = backJob(id, { current, to: way.value.to, generation: free.state.generation }, facts);
  return { state: { ...free.state, job: back }, watch: watchAnew(machine.watch) };
}

function givenUp(machine: Machine, job: Job, facts: Facts): Machine {
  const state = tell(machine.state, facts, job.command_id, {
    type: 'upgrade_refused',
    severity: 'warning',
    message: `${job.version} was given up: ${WHY}`,
    details: { error_code: ROLLED_BACK_BY_HAND, to_version: job.version },
  });
  const how = { result: 'failed', error_code: ROLLED_BACK_BY_HAND } as const;
  return ended({ ...machine, state }, facts, job, how);
}

/** A job that begins where a failed one ends: from here on it is like every rollback. */
const backJob = (
  id: string,
  way: { current: InstalledVersion; to: InstalledVersion | null; generation: number },
  facts: Facts,
): Job => ({
  command_id: id,
  generation: Math.max(1, way.generation),
  version: way.current.version,
  channel: way.current.channel,
  sources: [],
  apply_after_ms: null,
  expires_at_ms: facts.nowMs,
  needs_permit: false,
  phase: 'rolling_back',
  artifact: null,
  from: way.to,
  from_previous: null,
  boot_attempts: 0,
  failure: { code: ROLLED_BACK_BY_HAND, message: WHY },
  rollback_failed: false,
  staged_for_hand: false,
  applied_by_hand: true,
});
