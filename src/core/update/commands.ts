import { ended, isBeforeSwap, tell, withJob } from './changes.js';
import type { Job, UpdateState } from './state.js';
import { watchAnew, type Facts, type Input, type Machine, type UpgradeOrder } from './types.js';

/**
 * How far one command may raise the number below which commands are stale. A manager counts one up for each
 * command to a node, so a larger step is none that it made: it is taken, and does not use the numbers up.
 * The largest number that JSON carries safely would need nine thousand million commands.
 */
export const GENERATION_STEP_MAX = 1_000_000;

/** Answers kept for repeated commands; a node gets a handful a day. */
const ANSWERS_MAX = 64;

interface Refused {
  readonly code: string;
  readonly message: string;
}

/** The answer that a command got; null for one that was never seen, or long ago. */
export const answerTo = (
  state: UpdateState,
  commandId: string,
): UpdateState['answers'][number] | null =>
  state.answers.find((answer) => answer.command_id === commandId) ?? null;

function answered(
  state: UpdateState,
  commandId: string,
  generation: number,
  refusal: Refused | null,
): UpdateState {
  const answer = {
    command_id: commandId,
    error_code: refusal?.code ?? null,
    message: refusal?.message ?? '',
  };
  return {
    ...state,
    generation: Math.max(
      state.generation,
      Math.min(generation, state.generation + GENERATION_STEP_MAX),
    ),
    answers: [...state.answers, answer].slice(-ANSWERS_MAX),
  };
}

/** Begins a job, says that there is nothing to do, or refuses; the same id gets the same answer. */
export function takeOrder(machine: Machine, order: UpgradeOrder, facts: Facts): Machine {
  const { state } = machine;
  if (answerTo(state, order.command_id) !== null) return machine;
  const refusal = refusalOf(state, order, facts);
  if (refusal !== null) {
    return { ...machine, state: answered(state, order.command_id, order.generation, refusal) };
  }
  // A newer decision of the manager wins over one that has not touched the service yet.
  const free = state.job === null ? machine : withdrawn(machine, state.job, facts);
  const accepted = answered(free.state, order.command_id, order.generation, null);
  const details = {
    from_version: state.current?.version ?? null,
    to_version: order.version,
    channel: order.channel,
    variant: state.variant,
  };
  if (state.current?.version === order.version) {
    const told = tell(accepted, facts, order.command_id, {
      type: 'upgrade_completed',
      severity: 'info',
      message: `${order.version} is installed already`,
      details: { ...details, already_current: true },
    });
    const done = { result: 'succeeded', error_code: null } as const;
    return ended({ ...free, state: told }, facts, order, done);
  }
  const told = tell(accepted, facts, order.command_id, {
    type: 'upgrade_started',
    severity: 'info',
    message: `Upgrade to ${order.version} started`,
    details,
  });
  return withJob({ state: told, watch: watchAnew(machine.watch) }, newJob(state, order));
}

function refusalOf(state: UpdateState, order: UpgradeOrder, facts: Facts): Refused | null {
  if (order.generation < state.generation) {
    const message = `generation ${order.generation} is below ${state.generation}`;
    return { code: 'command_stale', message };
  }
  if (order.expires_at_ms <= facts.nowMs) {
    return { code: 'command_expired', message: 'it came too late' };
  }
  if (state.job === null || isBeforeSwap(state.job)) return null;
  return { code: 'upgrade_in_progress', message: `${state.job.version} is being installed` };
}

const newJob = (state: UpdateState, order: UpgradeOrder): Job => ({
  ...order,
  sources: [...order.sources],
  phase: 'fetching',
  artifact: null,
  from: state.current,
  from_previous: state.previous,
  boot_attempts: 0,
  failure: null,
  rollback_failed: false,
  staged_for_hand: false,
  applied_by_hand: false,
});

/** Gives up the job that it names, unless that has swapped; then it changes nothing. */
export function takeWithdrawal(
  machine: Machine,
  input: Extract<Input, { type: 'withdraw' }>,
  facts: Facts,
): Machine {
  const { state } = machine;
  if (answerTo(state, input.command_id) !== null) return machine;
  const { job } = state;
  const isOurs = job?.command_id === input.withdraws && isBeforeSwap(job);
  const free = isOurs ? withdrawn(machine, job, facts) : machine;
  return { ...free, state: answered(free.state, input.command_id, input.generation, null) };
}

function withdrawn(machine: Machine, job: Job, facts: Facts): Machine {
  const state = tell(machine.state, facts, job.command_id, {
    type: 'upgrade_withdrawn',
    severity: 'info',
    message: `Upgrade to ${job.version} withdrawn before the swap`,
    details: { error_code: 'upgrade_withdrawn', to_version: job.version },
  });
  const how = { result: 'withdrawn', error_code: 'upgrade_withdrawn' } as const;
  return ended({ ...machine, state }, facts, job, how);
}
