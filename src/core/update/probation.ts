import { ended, tell, withJob } from './changes.js';
import type { InstalledVersion, Job, OutboxEvent } from './state.js';
import {
  watchAnew,
  type Facts,
  type HookProblem,
  type JobInput,
  type Machine,
  type Watch,
} from './types.js';

/** Why a version was turned back that nothing was wrong with, as far as the node could see. */
export const ROLLED_BACK_BY_HAND = 'upgrade_rolled_back_by_hand';
/** Healthy results in a row that are needed at the end of the window. One could be luck. */
export const HEALTHY_RESULTS_MIN = 3;
/** A service that was healthy and then fails this many checks in a row is sick again. */
export const SICK_RESULTS_MAX = 3;

export function swapEnded(machine: Machine, job: Job, input: JobInput, facts: Facts): Machine {
  if (input.type === 'swapped') return onProbation(machine, job, facts);
  return input.type === 'restore_failed' ? goBack(machine, input.code, input.message) : machine;
}

export function onProbation(machine: Machine, job: Job, facts: Facts): Machine {
  const installed: InstalledVersion = {
    version: job.version,
    channel: job.channel,
    sequence: job.artifact?.sequence ?? 0,
    state_schema: job.artifact?.state_schema ?? null,
    ...(job.artifact === null ? {} : { sha256: job.artifact.sha256 }),
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
    watch: watchAnew(machine.watch, facts.monotonicMs),
  };
}

export function watched(machine: Machine, job: Job, input: JobInput, facts: Facts): Machine {
  // The whole set has proven itself, and that was decided: what comes after is another story.
  if (facts.set?.says === 'keep') return judgedByTime(machine, job, facts);
  if (input.type === 'post_swap_ended') return afterHook(machine, job, input.problem);
  if (input.type === 'exited') return exited(machine, job, facts);
  if (input.type === 'condemned') return goBack(machine, input.code, input.message, input.details);
  return input.type === 'health' ? checked(machine, job, input.healthy, facts) : machine;
}

function afterHook(machine: Machine, job: Job, problem: HookProblem | null): Machine {
  if (problem === null) return withJob(machine, { ...job, post_swap_done: true });
  return goBack(machine, 'upgrade_hook_failed', problem.message, problem.details);
}

/** A hook that decides nothing is only told. */
export function hookTold(
  machine: Machine,
  job: Job,
  { message, details }: HookProblem,
  facts: Facts,
): Machine {
  const state = tell(machine.state, facts, job.command_id, {
    type: 'upgrade_hook_failed',
    severity: 'warning',
    message,
    details: { ...details, error_code: 'upgrade_hook_failed' },
  });
  return { ...machine, state };
}

function exited(machine: Machine, job: Job, facts: Facts): Machine {
  const { watch } = machine;
  const attempts = job.boot_attempts + 1;
  const next = withJob(
    { ...machine, watch: { ...watch, healthyInARow: 0 } },
    { ...job, boot_attempts: attempts },
  );
  if (attempts < facts.bootAttemptsMax) return next;
  return goBack(next, 'upgrade_crash_loop', `it ended ${attempts} times in its health window`);
}

function checked(machine: Machine, job: Job, isHealthy: boolean, facts: Facts): Machine {
  const { watch } = machine;
  const next: Watch = {
    ...watch,
    healthyInARow: isHealthy ? watch.healthyInARow + 1 : 0,
    sickInARow: isHealthy ? 0 : watch.sickInARow + 1,
    wasHealthy: watch.wasHealthy || isHealthy,
  };
  const moved = { ...machine, watch: next };
  if (next.wasHealthy && next.sickInARow >= SICK_RESULTS_MAX) {
    return goBack(moved, 'upgrade_unhealthy', 'it was healthy and fell sick in its health window');
  }
  return judgedByTime(moved, job, facts);
}

/**
 * Promotes at the end of the window on repeated health; goes back when there was none by then, or
 * when it is still in doubt after twice the window (a check that is slow deserves a second look,
 * one that hangs does not deserve a third).
 */
export function judgedByTime(machine: Machine, job: Job, facts: Facts): Machine {
  const { watch } = machine;
  const elapsedMs = facts.monotonicMs - watch.since;
  if (facts.set?.says === 'keep') return promoted(machine, job, facts, elapsedMs);
  if (elapsedMs < facts.healthWindowMs) return machine;
  if (isProven(machine, job, facts)) {
    if (facts.set === undefined) return promoted(machine, job, facts, elapsedMs);
    return watch.wasProven ? machine : { ...machine, watch: { ...watch, wasProven: true } };
  }
  if (isWithoutHealth(watch, elapsedMs, facts)) {
    return goBack(machine, 'upgrade_unhealthy', 'its health window ended without health');
  }
  return machine;
}

/** The hook after the swap has a time limit of its own: it is waited for while the service is healthy. */
function isWithoutHealth(watch: Watch, elapsedMs: number, { healthWindowMs }: Facts): boolean {
  if (watch.healthyInARow >= HEALTHY_RESULTS_MIN) return false;
  return !watch.wasHealthy || (!watch.wasProven && elapsedMs >= 2 * healthWindowMs);
}

/** Its window is over, it is healthy again and again, and nothing is left to do for it. */
export function isProven({ watch }: Machine, job: Job, facts: Facts): boolean {
  if (job.phase !== 'probation') return false;
  if (facts.hasPostSwap === true && job.post_swap_done !== true) return false;
  const elapsedMs = facts.monotonicMs - watch.since;
  return elapsedMs >= facts.healthWindowMs && watch.healthyInARow >= HEALTHY_RESULTS_MIN;
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

/**
 * The links were set back while no agent ran: the unit of the service gave up, and the script that
 * stands in for the agent did what it would have done. Only the telling is left.
 */
export function turnedBackMeanwhile(machine: Machine): Machine {
  const why = 'it ended again and again while no agent ran, and was turned back without one';
  return goBack(machine, 'upgrade_crash_loop', why);
}

export function goBack(
  machine: Machine,
  code: string,
  message: string,
  details?: OutboxEvent['details'],
): Machine {
  const { job } = machine.state;
  if (job === null) return machine;
  const failure = { code, message, ...(details === undefined ? {} : { details }) };
  return withJob(machine, { ...job, phase: 'rolling_back', failure });
}

export function turnedBack(machine: Machine, job: Job, input: JobInput, facts: Facts): Machine {
  if (input.type === 'rolled_back') return rolledBack(machine, job, facts);
  return input.type === 'rollback_failed' ? stuck(machine, job, input.message, facts) : machine;
}

function rolledBack(machine: Machine, job: Job, facts: Facts): Machine {
  const failure: Job['failure'] & object = job.failure ?? {
    code: 'upgrade_unhealthy',
    message: 'it failed its probation',
  };
  const to = job.from?.version ?? null;
  const state = tell(machine.state, facts, job.command_id, {
    type: 'upgrade_rolled_back',
    severity: failure.code === ROLLED_BACK_BY_HAND ? 'warning' : 'critical',
    message: `${job.version} was turned back to ${to ?? 'nothing'}: ${failure.message}`,
    details: {
      ...failure.details,
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
