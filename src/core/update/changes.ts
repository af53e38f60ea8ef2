import { toIso } from '../kernel/index.js';
import type { Job, OutboxEvent, UpdateOutcome, UpdateState } from './state.js';
import { watchAnew, type Facts, type Machine } from './types.js';

/** The service has not been touched yet: a job can still be given up without a trace. */
export const isBeforeSwap = (job: Job): boolean =>
  job.phase === 'fetching' || job.phase === 'verifying' || job.phase === 'staged';

export const withJob = (machine: Machine, job: Job): Machine => ({
  ...machine,
  state: { ...machine.state, job },
});

export interface Told {
  readonly type: string;
  readonly severity: OutboxEvent['severity'];
  readonly message: string;
  readonly details?: OutboxEvent['details'];
}

/** Adds an event to the outbox; its id follows from the state, so a replay makes the same one. */
export function tell(
  state: UpdateState,
  facts: Facts,
  commandId: string | null,
  told: Told,
): UpdateState {
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

/** The job is over: what came of it is all that stays. */
export function ended(
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
  return { state: { ...machine.state, job: null, outcome }, watch: watchAnew(machine.watch) };
}
