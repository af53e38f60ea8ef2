import { isBeforeSwap, withJob } from './changes.js';
import { rollBackByHand } from './by-hand.js';
import { takeOrder, takeWithdrawal } from './commands.js';
import { learned } from './channels.js';
import { changedByOthers, linksFound } from './links.js';
import {
  hookTold,
  judgedByTime,
  onProbation,
  swapEnded,
  turnedBack,
  turnedBackMeanwhile,
  watched,
} from './probation.js';
import { setTurnsBack } from './sets.js';
import {
  failed,
  fetched,
  holdsPermit,
  isFreeToSwap,
  mayApply,
  permitted,
  staged,
  swapping,
} from './staging.js';
import type { Job } from './state.js';
import {
  leaseNowMs,
  watchAnew,
  type Facts,
  type Input,
  type JobInput,
  type Machine,
} from './types.js';

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
    case 'rollback_by_hand':
      return rollBackByHand(machine, input, facts);
    case 'links_found':
      return linksFound(machine, input, facts);
    case 'runs':
      return changedByOthers(machine, input.current, facts);
    case 'spooled': {
      const outbox = machine.state.outbox.filter((event) => !input.ids.includes(event.id));
      return { ...machine, state: { ...machine.state, outbox } };
    }
    case 'index_seen':
    case 'index_expired':
    case 'index_refused':
    case 'downgrade_used':
    case 'revoked':
      return learned(machine, input, facts);
    default:
      return job === null ? machine : stepJob(machine, job, input, facts);
  }
}

/** What can come in every phase; all else means something in one phase only. */
function stepJob(machine: Machine, job: Job, input: JobInput, facts: Facts): Machine {
  switch (input.type) {
    case 'failed':
      return failed(machine, job, input, facts);
    case 'linked':
      return { ...machine, watch: { ...machine.watch, askPermitAtMs: 0 } };
    case 'apply_by_hand':
      return withJob(machine, { ...job, applied_by_hand: true });
    case 'hurry_by_hand':
      return hurried(machine, job);
    case 'tick':
      return ticked(machine, job, facts);
    case 'booted':
      return resumed(machine, job, input.current, facts);
    case 'hook_failed':
      return hookTold(machine, job, input.problem, facts);
    default:
      return stepPhase(machine, job, input, facts);
  }
}

/** What was swapped already has waited for nothing that a hurry could spare. */
function hurried(machine: Machine, job: Job): Machine {
  const waived = isBeforeSwap(job) ? withJob(machine, { ...job, window_waived: true }) : machine;
  return { ...waived, watch: { ...machine.watch, askPermitAtMs: 0 } };
}

function stepPhase(machine: Machine, job: Job, input: JobInput, facts: Facts): Machine {
  switch (job.phase) {
    case 'fetching':
      return fetched(machine, job, input, facts);
    case 'verifying':
      return input.type === 'extracted' ? staged(machine, job, facts) : machine;
    case 'staged':
      return permitted(machine, job, input, facts);
    case 'swapping':
      return swapEnded(machine, job, input, facts);
    case 'probation':
      return watched(machine, job, input, facts);
    case 'rolling_back':
      return turnedBack(machine, job, input, facts);
  }
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
  const turnedBack = setTurnsBack(machine, job, facts);
  if (turnedBack !== null) return turnedBack;
  if (job.phase === 'staged') return readyToSwap(machine, job, facts);
  if (job.phase === 'swapping' && machine.watch.permitUntilMs < leaseNowMs(facts)) {
    // The lease ran out before the swap began: no fresh permit, no swap.
    return {
      ...withJob(machine, { ...job, phase: 'staged' }),
      watch: watchAnew(machine.watch),
    };
  }
  return job.phase === 'probation' ? judgedByTime(machine, job, facts) : machine;
}

function readyToSwap(machine: Machine, job: Job, facts: Facts): Machine {
  const mayGo = mayApply(job, facts) && isFreeToSwap(facts) && holdsPermit(machine, job, facts);
  if (!mayGo) return machine;
  const untilMs = job.needs_permit ? machine.watch.permitUntilMs : Number.MAX_SAFE_INTEGER;
  return swapping(machine, job, facts, untilMs);
}

/**
 * After a start of the agent. A download goes on where it stopped, a staged version asks for a
 * new permit, a rollback goes on. Only `swapping` has to look: the link tells whether the swap
 * had happened.
 */
function resumed(machine: Machine, job: Job, current: string | null, facts: Facts): Machine {
  const restarted = { ...machine, watch: watchAnew(machine.watch, facts.monotonicMs) };
  const isBack = current === (job.from?.version ?? null) && current !== job.version;
  if (job.phase === 'probation' && isBack) return turnedBackMeanwhile(restarted);
  if (job.phase !== 'swapping') return restarted;
  if (current === job.version) return onProbation(restarted, job, facts);
  return withJob(restarted, { ...job, phase: 'staged' });
}
