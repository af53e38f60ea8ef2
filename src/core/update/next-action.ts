import { holdsPermit, mayApply } from './staging.js';
import { leaseNowMs, type Action, type Facts, type Machine } from './types.js';

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
      if (!mayApply(job, facts) || facts.set?.says === 'wait') return { do: 'wait', ms: TICK_MS };
      if (holdsPermit(machine, job, facts)) return { do: 'wait', ms: TICK_MS };
      const waitMs = machine.watch.askPermitAtMs - facts.monotonicMs;
      return waitMs > 0 ? { do: 'wait', ms: Math.min(waitMs, TICK_MS) } : { do: 'ask_permit', job };
    }
    case 'swapping':
      return machine.watch.permitUntilMs < leaseNowMs(facts)
        ? { do: 'wait', ms: TICK_MS }
        : { do: 'swap', job };
    case 'probation':
      return { do: 'watch', job };
    case 'rolling_back':
      return { do: 'roll_back', job };
  }
}
