import { toIso, unreachable } from '../kernel/index.js';
import type { InstalledVersion, Job, OutboxEvent, UpdateOutcome, UpdateState } from './state.js';

/** Answers kept for repeated commands; a node gets a handful a day. */
const ANSWERS_MAX = 64;
/** Healthy results in a row that are needed at the end of the window. One could be luck. */
export const HEALTHY_RESULTS_MIN = 3;
/** A service that was healthy and then fails this many checks in a row is sick again. */
export const SICK_RESULTS_MAX = 3;

/** What is only true while this process lives: a restart of the agent starts it anew. */
export interface Watch {
  /** Monotonic time until which the permit counts; 0 without one. */
  readonly permitUntilMs: number;
  /** Ask for a permit not before this monotonic time. */
  readonly askPermitAtMs: number;
  /** Monotonic time at which the window began. */
  readonly since: number;
  readonly healthyInARow: number;
  readonly sickInARow: number;
  readonly wasHealthy: boolean;
}
export const FRESH_WATCH: Watch = {
  permitUntilMs: 0,
  askPermitAtMs: 0,
  since: 0,
  healthyInARow: 0,
  sickInARow: 0,
  wasHealthy: false,
};

export interface Machine {
  readonly state: UpdateState;
  readonly watch: Watch;
}

/** The two clocks and the part of the local policy that steers the machine. */
export interface Facts {
  /** Wall clock, for `apply_after`, `expires_at` and what people read. */
  readonly nowMs: number;
  /** Never goes back: leases and windows are measured by it, so a clock that jumps harms nothing. */
  readonly monotonicMs: number;
  readonly healthWindowMs: number;
  readonly bootAttemptsMax: number;
  readonly manualOnly: boolean;
}

export interface UpgradeOrder {
  readonly command_id: string;
  readonly generation: number;
  readonly version: string;
  readonly channel: 'stable' | 'beta' | 'dev';
  readonly sources: readonly string[];
  readonly apply_after_ms: number | null;
  readonly expires_at_ms: number;
  readonly needs_permit: boolean;
}

export type FailedStep = 'refused' | 'download' | 'verify' | 'stage' | 'swap';

export type Input =
  | { readonly type: 'upgrade'; readonly order: UpgradeOrder }
  | {
      readonly type: 'withdraw';
      readonly command_id: string;
      readonly generation: number;
      readonly withdraws: string;
    }
  | { readonly type: 'judged'; readonly artifact: NonNullable<Job['artifact']> }
  | { readonly type: 'downloaded' }
  | { readonly type: 'extracted' }
  | {
      readonly type: 'failed';
      readonly step: FailedStep;
      readonly code: string;
      readonly message: string;
    }
  | { readonly type: 'permit_granted'; readonly command_id: string; readonly lease_ms: number }
  | { readonly type: 'permit_denied'; readonly command_id: string; readonly retry_ms: number }
  | { readonly type: 'permit_asked' }
  /** The link is open (again): a question asked before may be lost. */
  | { readonly type: 'linked' }
  | { readonly type: 'apply_by_hand' }
  | { readonly type: 'swapped' }
  | { readonly type: 'exited' }
  | { readonly type: 'health'; readonly healthy: boolean }
  | { readonly type: 'tick' }
  | { readonly type: 'rolled_back' }
  | { readonly type: 'rollback_failed'; readonly message: string }
  | { readonly type: 'spooled'; readonly ids: readonly string[] }
  /** The agent has started; `current` is what the link on the disk points to. */
  | { readonly type: 'booted'; readonly current: string | null };

/** What the state asks the executor to do next. Each is safe to begin again after a crash. */
export type Action =
  | { readonly do: 'fetch'; readonly job: Job }
  | { readonly do: 'extract'; readonly job: Job }
  | { readonly do: 'ask_permit'; readonly job: Job }
  | { readonly do: 'swap'; readonly job: Job }
  | { readonly do: 'watch'; readonly job: Job }
  | { readonly do: 'roll_back'; readonly job: Job }
  /** Nothing until an input comes or, if given, this many ms have passed. */
  | { readonly do: 'wait'; readonly ms: number | null };

const EVENT_OF_STEP = {
  refused: 'upgrade_refused',
  download: 'upgrade_download_failed',
  verify: 'upgrade_verify_failed',
  stage: 'upgrade_stage_failed',
  swap: 'upgrade_swap_failed',
} as const satisfies Record<FailedStep, string>;

const isBeforeSwap = (job: Job): boolean =>
  job.phase === 'fetching' || job.phase === 'verifying' || job.phase === 'staged';

interface Told {
  readonly type: string;
  readonly severity: OutboxEvent['severity'];
  readonly message: string;
  readonly details?: OutboxEvent['details'];
}

/** Adds an event to the outbox; its id follows from the state, so a replay makes the same one. */
function tell(state: UpdateState, facts: Facts, commandId: string | null, told: Told): UpdateState {
  const made = state.events_made + 1;
  const event: OutboxEvent = {
    id: `${state.service}:${commandId ?? 'agent'}:${made}`,
    at: toIso(facts.nowMs),
    type: told.type,
    severity: told.severity,
    command_id: commandId,
    message: told.message,
    details: told.details ?? {},
  };
  return { ...state, events_made: made, outbox: [...state.outbox, event] };
}

function answered(
  state: UpdateState,
  commandId: string,
  generation: number,
  refusal: { readonly code: string; readonly message: string } | null,
): UpdateState {
  const answer = {
    command_id: commandId,
    error_code: refusal?.code ?? null,
    message: refusal?.message ?? '',
  };
  return {
    ...state,
    generation: Math.max(state.generation, generation),
    answers: [...state.answers, answer].slice(-ANSWERS_MAX),
  };
}

function ended(
  machine: Machine,
  facts: Facts,
  job: Pick<Job, 'command_id' | 'version'>,
  how: Pick<UpdateOutcome, 'result' | 'error_code'>,
): Machine {
  const outcome = {
    command_id: job.command_id,
    version: job.version,
    ...how,
    at: toIso(facts.nowMs),
  };
  return { state: { ...machine.state, job: null, outcome }, watch: FRESH_WATCH };
}

/** The answer that a command got; null for one that was never seen, or long ago. */
export const answerTo = (
  state: UpdateState,
  commandId: string,
): UpdateState['answers'][number] | null =>
  state.answers.find((answer) => answer.command_id === commandId) ?? null;

/**
 * The update machine of one service (DESIGN 7): values in, values out. Taking an input twice, or
 * one that no longer fits, changes nothing. The caller makes the new state durable before it acts
 * on it.
 */
export function step(machine: Machine, input: Input, facts: Facts): Machine {
  const { job } = machine.state;
  switch (input.type) {
    case 'upgrade':
      return takeOrder(machine, input.order, facts);
    case 'withdraw':
      return takeWithdrawal(machine, input, facts);
    case 'spooled': {
      const outbox = machine.state.outbox.filter((event) => !input.ids.includes(event.id));
      return { ...machine, state: { ...machine.state, outbox } };
    }
    default:
      return job === null ? machine : stepJob(machine, job, input, facts);
  }
}

type JobInput = Exclude<Input, { type: 'upgrade' | 'withdraw' | 'spooled' }>;

function stepJob(machine: Machine, job: Job, input: JobInput, facts: Facts): Machine {
  switch (input.type) {
    case 'judged':
      if (job.phase !== 'fetching') return machine;
      return withJob(machine, { ...job, artifact: input.artifact });
    case 'downloaded':
      return job.phase === 'fetching' ? downloaded(machine, job, facts) : machine;
    case 'extracted':
      return job.phase === 'verifying' ? staged(machine, job, facts) : machine;
    case 'failed':
      return failed(machine, job, input, facts);
    case 'linked':
      return { ...machine, watch: { ...machine.watch, askPermitAtMs: 0 } };
    case 'permit_asked':
    case 'permit_granted':
    case 'permit_denied':
      return permitted(machine, job, input, facts);
    case 'apply_by_hand':
      return withJob(machine, { ...job, applied_by_hand: true });
    case 'swapped':
      return job.phase === 'swapping' ? onProbation(machine, job, facts) : machine;
    case 'exited':
    case 'health':
      return job.phase === 'probation' ? watched(machine, job, input, facts) : machine;
    case 'tick':
      return ticked(machine, job, facts);
    case 'rolled_back':
      return job.phase === 'rolling_back' ? rolledBack(machine, job, facts) : machine;
    case 'rollback_failed':
      return job.phase === 'rolling_back' ? stuck(machine, job, input.message, facts) : machine;
    case 'booted':
      return resumed(machine, job, input.current, facts);
    default:
      return unreachable(input);
  }
}

const withJob = (machine: Machine, job: Job): Machine => ({
  ...machine,
  state: { ...machine.state, job },
});

function takeOrder(machine: Machine, order: UpgradeOrder, facts: Facts): Machine {
  const { state } = machine;
  if (answerTo(state, order.command_id) !== null) return machine;
  const refuse = (code: string, message: string): Machine => ({
    ...machine,
    state: answered(state, order.command_id, order.generation, { code, message }),
  });
  if (order.generation < state.generation) {
    return refuse('command_stale', `generation ${order.generation} is below ${state.generation}`);
  }
  if (order.expires_at_ms <= facts.nowMs) return refuse('command_expired', 'it came too late');
  if (state.job !== null && !isBeforeSwap(state.job)) {
    return refuse('upgrade_in_progress', `${state.job.version} is being installed`);
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
  const job: Job = {
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
  };
  const told = tell(accepted, facts, order.command_id, {
    type: 'upgrade_started',
    severity: 'info',
    message: `Upgrade to ${order.version} started`,
    details,
  });
  return { state: { ...told, job }, watch: FRESH_WATCH };
}

function takeWithdrawal(
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

function downloaded(machine: Machine, job: Job, facts: Facts): Machine {
  const state = tell(machine.state, facts, job.command_id, {
    type: 'upgrade_downloaded',
    severity: 'info',
    message: `${job.version} downloaded`,
    details: { to_version: job.version, size_bytes: job.artifact?.size ?? 0 },
  });
  return { ...machine, state: { ...state, job: { ...job, phase: 'verifying' } } };
}

function staged(machine: Machine, job: Job, facts: Facts): Machine {
  const details = { to_version: job.version, sha256: job.artifact?.sha256 ?? '' };
  const verified = tell(machine.state, facts, job.command_id, {
    type: 'upgrade_verified',
    severity: 'info',
    message: `${job.version} has the digest of its signed manifest`,
    details,
  });
  const told = tell(verified, facts, job.command_id, {
    type: facts.manualOnly ? 'upgrade_staged_manual' : 'upgrade_staged',
    severity: 'info',
    message: facts.manualOnly
      ? `${job.version} waits to be applied by hand`
      : `${job.version} staged`,
    details,
  });
  const next: Job = { ...job, phase: 'staged', staged_for_hand: facts.manualOnly };
  return { ...machine, state: { ...told, job: next } };
}

function failed(
  machine: Machine,
  job: Job,
  input: Extract<Input, { type: 'failed' }>,
  facts: Facts,
): Machine {
  // After the swap a failure is not an end but a reason to go back.
  if (job.phase === 'probation' || job.phase === 'rolling_back') return machine;
  if (job.phase === 'swapping' && input.step !== 'swap') return machine;
  const isGrave = input.step === 'swap' || input.code.includes('signature');
  const state = tell(machine.state, facts, job.command_id, {
    type: EVENT_OF_STEP[input.step],
    severity: isGrave ? 'critical' : 'warning',
    message: input.message,
    details: { error_code: input.code, to_version: job.version },
  });
  const how = { result: 'failed', error_code: input.code } as const;
  return ended({ ...machine, state }, facts, job, how);
}

function permitted(
  machine: Machine,
  job: Job,
  input: Extract<Input, { type: `permit_${string}` }>,
  facts: Facts,
): Machine {
  if (job.phase !== 'staged') return machine;
  const watch = machine.watch;
  if (input.type === 'permit_asked') {
    // No answer in five seconds: the question or the answer was lost, so ask again.
    return { ...machine, watch: { ...watch, askPermitAtMs: facts.monotonicMs + 5_000 } };
  }
  if (input.command_id !== job.command_id) return machine;
  if (input.type === 'permit_denied') {
    return { ...machine, watch: { ...watch, askPermitAtMs: facts.monotonicMs + input.retry_ms } };
  }
  return swapping(machine, job, facts, facts.monotonicMs + input.lease_ms);
}

function swapping(machine: Machine, job: Job, facts: Facts, permitUntilMs: number): Machine {
  const state = tell(machine.state, facts, job.command_id, {
    type: 'upgrade_swapping',
    severity: 'info',
    message: `Swapping ${job.from?.version ?? 'nothing'} for ${job.version}`,
    details: { from_version: job.from?.version ?? null, to_version: job.version },
  });
  return {
    state: { ...state, job: { ...job, phase: 'swapping' } },
    watch: { ...machine.watch, permitUntilMs },
  };
}

function onProbation(machine: Machine, job: Job, facts: Facts): Machine {
  const installed: InstalledVersion = {
    version: job.version,
    channel: job.channel,
    sequence: job.artifact?.sequence ?? 0,
  };
  const state = tell(machine.state, facts, job.command_id, {
    type: 'upgrade_probation',
    severity: 'info',
    message: `${job.version} runs on probation`,
    details: { to_version: job.version, window_secs: facts.healthWindowMs / 1000 },
  });
  return {
    state: {
      ...state,
      current: installed,
      previous: job.from,
      job: { ...job, phase: 'probation' },
    },
    watch: { ...FRESH_WATCH, since: facts.monotonicMs },
  };
}

function watched(
  machine: Machine,
  job: Job,
  input: Extract<Input, { type: 'exited' | 'health' }>,
  facts: Facts,
): Machine {
  const { watch } = machine;
  if (input.type === 'exited') {
    const attempts = job.boot_attempts + 1;
    const next = withJob(
      { ...machine, watch: { ...watch, healthyInARow: 0 } },
      { ...job, boot_attempts: attempts },
    );
    if (attempts < facts.bootAttemptsMax) return next;
    return goBack(next, 'upgrade_crash_loop', `it ended ${attempts} times in its health window`);
  }
  const next: Watch = {
    ...watch,
    healthyInARow: input.healthy ? watch.healthyInARow + 1 : 0,
    sickInARow: input.healthy ? 0 : watch.sickInARow + 1,
    wasHealthy: watch.wasHealthy || input.healthy,
  };
  const moved = { ...machine, watch: next };
  if (next.wasHealthy && next.sickInARow >= SICK_RESULTS_MAX) {
    return goBack(moved, 'upgrade_unhealthy', 'it was healthy and fell sick in its health window');
  }
  return judgedByTime(moved, job, facts);
}

/** Time alone can end a wait that nobody will end: an expired command, a lapsed permit, a window. */
function ticked(machine: Machine, job: Job, facts: Facts): Machine {
  if (isBeforeSwap(job) && job.expires_at_ms <= facts.nowMs) {
    const message = 'the command expired before the swap';
    return failed(
      machine,
      job,
      { type: 'failed', step: 'refused', code: 'command_expired', message },
      facts,
    );
  }
  if (job.phase === 'staged' && !job.needs_permit && mayApply(job, facts)) {
    return swapping(machine, job, facts, Number.MAX_SAFE_INTEGER);
  }
  if (job.phase === 'swapping' && machine.watch.permitUntilMs < facts.monotonicMs) {
    // The lease ran out before the swap began: no fresh permit, no swap.
    return { ...withJob(machine, { ...job, phase: 'staged' }), watch: FRESH_WATCH };
  }
  return job.phase === 'probation' ? judgedByTime(machine, job, facts) : machine;
}

/**
 * Promotes at the end of the window on repeated health; goes back when there was none by then, or
 * when it is still in doubt after twice the window (a check that is slow deserves a second look,
 * one that hangs does not deserve a third).
 */
function judgedByTime(machine: Machine, job: Job, facts: Facts): Machine {
  const { watch } = machine;
  const elapsedMs = facts.monotonicMs - watch.since;
  if (elapsedMs < facts.healthWindowMs) return machine;
  if (watch.healthyInARow >= HEALTHY_RESULTS_MIN) return promoted(machine, job, facts, elapsedMs);
  if (!watch.wasHealthy || elapsedMs >= 2 * facts.healthWindowMs) {
    return goBack(machine, 'upgrade_unhealthy', 'its health window ended without health');
  }
  return machine;
}

function promoted(machine: Machine, job: Job, facts: Facts, elapsedMs: number): Machine {
  const floor = Math.max(machine.state.floors[job.channel] ?? 0, job.artifact?.sequence ?? 0);
  const state = tell(machine.state, facts, job.command_id, {
    type: 'upgrade_completed',
    severity: 'info',
    message: `${job.version} is healthy and stays`,
    details: {
      from_version: job.from?.version ?? null,
      to_version: job.version,
      healthy_seconds: Math.round(elapsedMs / 1000),
    },
  });
  const floors = { ...state.floors, [job.channel]: floor };
  const how = { result: 'succeeded', error_code: null } as const;
  return ended({ ...machine, state: { ...state, floors } }, facts, job, how);
}

function goBack(machine: Machine, code: string, message: string): Machine {
  const { job } = machine.state;
  if (job === null) return machine;
  return withJob(machine, { ...job, phase: 'rolling_back', failure: { code, message } });
}

function rolledBack(machine: Machine, job: Job, facts: Facts): Machine {
  const failure = job.failure ?? { code: 'upgrade_unhealthy', message: 'it failed its probation' };
  const to = job.from?.version ?? null;
  const state = tell(machine.state, facts, job.command_id, {
    type: 'upgrade_rolled_back',
    severity: 'critical',
    message: `${job.version} was turned back to ${to ?? 'nothing'}: ${failure.message}`,
    details: {
      error_code: failure.code,
      boot_attempts: job.boot_attempts,
      from_version: job.version,
      to_version: to,
    },
  });
  const how = { result: 'rolled_back', error_code: failure.code } as const;
  const back = { ...state, current: job.from, previous: job.from_previous };
  return ended({ ...machine, state: back }, facts, job, how);
}

function stuck(machine: Machine, job: Job, message: string, facts: Facts): Machine {
  if (job.rollback_failed) return machine;
  const state = tell(machine.state, facts, job.command_id, {
    type: 'upgrade_rollback_failed',
    severity: 'critical',
    message: `Rollback to ${job.from?.version ?? 'nothing'} failed, it is tried again: ${message}`,
    details: { error_code: 'upgrade_rollback_failed', from_version: job.version },
  });
  return { ...machine, state: { ...state, job: { ...job, rollback_failed: true } } };
}

/**
 * After a start of the agent. A download goes on where it stopped, a staged version asks for a
 * new permit, a rollback goes on. Only `swapping` has to look: the link tells whether the swap
 * had happened.
 */
function resumed(machine: Machine, job: Job, current: string | null, facts: Facts): Machine {
  const restarted = { ...machine, watch: { ...FRESH_WATCH, since: facts.monotonicMs } };
  if (job.phase !== 'swapping') return restarted;
  if (current === job.version) return onProbation(restarted, job, facts);
  return withJob(restarted, { ...job, phase: 'staged' });
}

const mayApply = (job: Job, facts: Facts): boolean => {
  if (job.staged_for_hand && !job.applied_by_hand) return false;
  return job.apply_after_ms === null || job.apply_after_ms <= facts.nowMs;
};

/** How often time is looked at while something waits for it. */
const TICK_MS = 250;

/** What there is to do. Derived from the state alone, so it is the same after a crash. */
export function nextAction(machine: Machine, facts: Facts): Action {
  const { job } = machine.state;
  if (job === null) return { do: 'wait', ms: null };
  switch (job.phase) {
    case 'fetching':
      return { do: 'fetch', job };
    case 'verifying':
      return { do: 'extract', job };
    case 'staged': {
      if (!mayApply(job, facts) || !job.needs_permit) return { do: 'wait', ms: TICK_MS };
      const waitMs = machine.watch.askPermitAtMs - facts.monotonicMs;
      return waitMs > 0 ? { do: 'wait', ms: Math.min(waitMs, TICK_MS) } : { do: 'ask_permit', job };
    }
    case 'swapping':
      return machine.watch.permitUntilMs < facts.monotonicMs
        ? { do: 'wait', ms: 0 }
        : { do: 'swap', job };
    case 'probation':
      return { do: 'watch', job };
    case 'rolling_back':
      return { do: 'roll_back', job };
  }
}
