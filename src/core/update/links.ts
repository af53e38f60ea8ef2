import { ended, isBeforeSwap, tell } from './changes.js';
import type { UpdateState } from './state.js';
import type { Facts, Input, Machine } from './types.js';

type LinksFound = Extract<Input, { type: 'links_found' }>;

/**
 * The links were moved while no agent ran, by the script that stands in for it or by a person: what
 * `current` leads to is what runs, and what the next way back must lead to. In the middle of a swap or
 * after it the machine itself knows what a moved link means. Taken again it changes nothing.
 */
export function linksFound(machine: Machine, found: LinksFound, facts: Facts): Machine {
  const { state } = machine;
  const { current, job } = state;
  const isMoving = job !== null && !isBeforeSwap(job);
  if (isMoving || current?.version === found.current.version) return machine;
  const next = { ...told(machine, found, facts), current: found.current, previous: found.previous };
  if (job === null) return { ...machine, state: next };
  if (job.version === found.current.version) {
    const how = { result: 'succeeded', error_code: null } as const;
    return ended({ ...machine, state: next }, facts, job, how);
  }
  const { current: from, previous: from_previous } = found;
  return { ...machine, state: { ...next, job: { ...job, from, from_previous } } };
}

/**
 * Another hand changed what runs, which is its good right: what is there counts. When it is what a job
 * waits to bring, that job has come to its end. In the middle of a swap, the machine knows better.
 * Taken again it changes nothing.
 */
export function changedByOthers(
  machine: Machine,
  current: UpdateState['current'] & object,
  facts: Facts,
): Machine {
  const { state } = machine;
  const { job } = state;
  const isMoving = job !== null && !isBeforeSwap(job);
  if (isMoving || isSame(state.current, current)) return machine;
  const next = { ...state, current, previous: state.current };
  if (job === null) return { ...machine, state: next };
  if (job.version !== current.version) {
    const moved = { ...job, from: current, from_previous: state.current };
    return { ...machine, state: { ...next, job: moved } };
  }
  const from_version = state.current?.version ?? null;
  const arrived = tell(next, facts, job.command_id, {
    type: 'upgrade_completed',
    severity: 'info',
    message: `${job.version} was brought by another hand`,
    details: { from_version, to_version: job.version, by_hand: true },
  });
  const how = { result: 'succeeded', error_code: null } as const;
  return ended({ ...machine, state: arrived }, facts, job, how);
}

const isSame = (
  before: UpdateState['current'],
  { version, sha256 }: UpdateState['current'] & object,
): boolean => before?.version === version && before.sha256 === sha256;

function told({ state }: Machine, { current }: LinksFound, facts: Facts): UpdateState {
  const said = state.current?.version ?? null;
  return tell(state, facts, null, {
    type: 'state_recovered',
    severity: 'critical',
    message: `\`current\` leads to ${current.version}, state.json said ${said ?? 'nothing'}: what is there counts`,
    details: {
      error_code: 'upgrade_state_invalid',
      from_version: said,
      to_version: current.version,
    },
  });
}
