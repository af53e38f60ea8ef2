import { toIso } from '../kernel/index.js';
import { ended, tell, withJob } from './changes.js';
import type { Job, OutboxEvent } from './state.js';
import {
  leaseNowMs,
  type Arrival,
  type Facts,
  type FailedStep,
  type Input,
  type JobInput,
  type Machine,
} from './types.js';

const EVENT_OF_STEP = {
  refused: 'upgrade_refused',
  download: 'upgrade_download_failed',
  verify: 'upgrade_verify_failed',
  stage: 'upgrade_stage_failed',
  swap: 'upgrade_swap_failed',
} as const satisfies Record<FailedStep, string>;

/** What went as a person on the node wanted it, or is nothing to wake anybody for. */
const MILD_CODES: Readonly<Record<string, OutboxEvent['severity']>> = {
  upgrade_dry_run: 'info',
  upgrade_hook_failed: 'warning',
};

/** What no honest mistake explains well. */
const GRAVE_CODES = /signature|revoked|index_mismatch/;

/**
 * No answer to the question for a permit for this long: it, or the answer, was lost. As long as a
 * permit usually counts, from the question on: one that comes later would be of no use.
 */
const PERMIT_UNANSWERED_MS = 10_000;

export function fetched(machine: Machine, job: Job, input: JobInput, facts: Facts): Machine {
  if (input.type === 'judged') return withJob(machine, { ...job, artifact: input.artifact });
  if (input.type !== 'downloaded') return machine;
  return downloaded(machine, job, input.arrival ?? null, facts);
}

function downloaded(machine: Machine, job: Job, arrival: Arrival | null, facts: Facts): Machine {
  const state = tell(machine.state, facts, job.command_id, {
    type: 'upgrade_downloaded',
    severity: 'info',
    message: `${job.version} downloaded${howItCame(arrival)}`,
    details: {
      to_version: job.version,
      size_bytes: job.artifact?.size ?? 0,
      ...(arrival === null ? {} : { delta: arrival.as === 'content', bytes: arrival.bytes }),
      ...(arrival?.as === 'image' ? { image: true } : {}),
      ...(arrival === null || arrival.deltaProblem === null
        ? {}
        : { delta_problem: arrival.deltaProblem }),
    },
  });
  const next: Job = { ...job, phase: 'verifying', arrived: arrival?.as };
  return { ...machine, state: { ...state, job: next } };
}

function howItCame(arrival: Arrival | null): string {
  if (arrival?.as === 'content') return ' as a delta';
  if (arrival?.as === 'image') return ': its image is known by digest, and pulled when it is run';
  const problem = arrival?.deltaProblem ?? null;
  return problem === null ? '' : ` as a whole, not as a delta: ${problem}`;
}

export function staged(machine: Machine, job: Job, facts: Facts): Machine {
  const details = { to_version: job.version, sha256: job.artifact?.sha256 ?? '' };
  const verified = tell(machine.state, facts, job.command_id, {
    type: 'upgrade_verified',
    severity: 'info',
    message: `${job.version} has the digest of its signed manifest`,
    details,
  });
  const waits = isInWindow(facts) || isWindowWaived(job) ? null : windowInWords(facts);
  const told = tell(verified, facts, job.command_id, {
    type: facts.manualOnly ? 'upgrade_staged_manual' : 'upgrade_staged',
    severity: 'info',
    message: facts.manualOnly ? handInWords(job, facts) : stagedInWords(job, waits),
    details: {
      ...details,
      ...(waits === null ? {} : windowDetails(facts)),
      ...(facts.manualOnly ? handDetails(facts) : {}),
    },
  });
  const next: Job = { ...job, phase: 'staged', staged_for_hand: facts.manualOnly };
  return { ...machine, state: { ...told, job: next } };
}

const handInWords = ({ version }: Job, { handNote }: Facts): string =>
  handNote?.message ?? `${version} waits to be applied by hand`;

const stagedInWords = ({ version }: Job, waits: string | null): string =>
  `${version} staged${waits === null ? '' : `; it waits: ${waits}`}`;

const handDetails = ({ handNote }: Facts): OutboxEvent['details'] =>
  handNote === undefined ? {} : { ...handNote.details, error_code: handNote.code };

/** Before the swap a failure is the end of the job; after it, it is not taken. */
export function failed(
  machine: Machine,
  job: Job,
  input: Extract<Input, { type: 'failed' }>,
  facts: Facts,
): Machine {
  // A failure after the swap is not an end but a reason to go back.
  if (job.phase === 'probation' || job.phase === 'rolling_back') return machine;
  if (job.phase === 'swapping' && input.step !== 'swap') return machine;
  const isGrave = input.step === 'swap' || GRAVE_CODES.test(input.code);
  const severity = MILD_CODES[input.code] ?? (isGrave ? 'critical' : 'warning');
  const state = tell(machine.state, facts, job.command_id, {
    type: EVENT_OF_STEP[input.step],
    severity,
    message: input.message,
    details: { ...input.details, error_code: input.code, to_version: job.version },
  });
  const how = { result: 'failed', error_code: input.code } as const;
  return ended({ ...machine, state }, facts, job, how);
}

const isInWindow = ({ windowOpensAtMs, nowMs }: Facts): boolean =>
  windowOpensAtMs === undefined || (windowOpensAtMs !== null && windowOpensAtMs <= nowMs);

/** At the word of a person on this machine, who outranks the window in its policy. */
const isWindowWaived = (job: Job): boolean => job.applied_by_hand || job.window_waived === true;

const windowDetails = ({ windowOpensAtMs: opens }: Facts): OutboxEvent['details'] => ({
  waits_for: 'window',
  window_opens_at: opens === null || opens === undefined ? null : toIso(opens),
});

const windowInWords = ({ windowOpensAtMs: opens }: Facts): string =>
  opens === null || opens === undefined
    ? 'the maintenance window of the local policy does not open'
    : `the maintenance window of the local policy opens at ${toIso(opens)}`;

/**
 * Neither its time, nor the local window, nor a person is being waited for. Whoever applies it by
 * hand, or wants it now, does not wait for the window; nor does a set that moves, which began in it.
 */
export const mayApply = (job: Job, facts: Facts): boolean => {
  if (facts.set?.says === 'swap') return true;
  if ((job.staged_for_hand || facts.manualOnly) && !job.applied_by_hand) return false;
  if (!isInWindow(facts) && !isWindowWaived(job)) return false;
  return job.apply_after_ms === null || job.apply_after_ms <= facts.nowMs;
};

export function permitted(machine: Machine, job: Job, input: JobInput, facts: Facts): Machine {
  const { watch } = machine;
  const askAgainIn = (ms: number): Machine => ({
    ...machine,
    watch: { ...watch, askPermitAtMs: facts.monotonicMs + ms },
  });
  if (input.type === 'permit_asked') {
    const asked = { asks: watch.asks + 1, askedAtMs: leaseNowMs(facts) };
    const askPermitAtMs = facts.monotonicMs + PERMIT_UNANSWERED_MS;
    return { ...machine, watch: { ...watch, ...asked, askPermitAtMs } };
  }
  if (input.type !== 'permit_granted' && input.type !== 'permit_denied') return machine;
  if (input.command_id !== job.command_id || input.ask !== watch.asks) return machine;
  if (input.type === 'permit_denied') return askAgainIn(input.retry_ms);
  // A permit that nobody asked for does not stand in for the hand of a person.
  if (!mayApply(job, facts)) return machine;
  // Counted from the question: the manager answered after it, so the permit ends here no later than
  // there, however long the answer took. One that took too long is asked for again.
  const untilMs = watch.askedAtMs + input.lease_ms;
  const leftMs = untilMs - leaseNowMs(facts);
  if (leftMs < 0) return askAgainIn(0);
  if (isFreeToSwap(facts)) return swapping(machine, job, facts, untilMs);
  // It is kept for the moment at which the others of the set have theirs, and asked for again after.
  const askPermitAtMs = facts.monotonicMs + leftMs;
  return { ...machine, watch: { ...watch, permitUntilMs: untilMs, askPermitAtMs } };
}

/** On its own, or all of its set have come as far. */
export const isFreeToSwap = ({ set }: Facts): boolean => set === undefined || set.says === 'swap';

/** A permit is held, or none is needed. */
export const holdsPermit = ({ watch }: Machine, job: Job, facts: Facts): boolean =>
  !job.needs_permit || (watch.permitUntilMs > 0 && watch.permitUntilMs >= leaseNowMs(facts));

export function swapping(machine: Machine, job: Job, facts: Facts, permitUntilMs: number): Machine {
  const state = tell(machine.state, facts, job.command_id, {
    type: 'upgrade_swapping',
    severity: 'info',
    message:
      job.from === null
        ? `Installing ${job.version}`
        : `Swapping ${job.from.version} for ${job.version}`,
    details: {
      from_version: job.from?.version ?? null,
      to_version: job.version,
      ...(job.applied_by_hand ? { by_hand: true } : {}),
      ...(job.window_waived === true ? { window_waived: true } : {}),
    },
  });
  return {
    state: { ...state, job: { ...job, phase: 'swapping' } },
    watch: { ...machine.watch, permitUntilMs },
  };
}
