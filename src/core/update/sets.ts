import { z } from 'zod';
import { ProductName } from '../release/index.js';
import { isBeforeSwap } from './changes.js';
import { goBack, isProven } from './probation.js';
import { failed, holdsPermit, mayApply } from './staging.js';
import type { Job, UpdateState } from './state.js';
import type { Facts, Machine, SetWord } from './types.js';

/**
 * How long after the first swap of a set the last may come. A hook before the swap may take five
 * minutes and a permit be asked for twice; whoever has not come along by then holds up the others.
 */
export const MOVING_MS_MAX = 600_000;

/**
 * What the services of a set have agreed on, durable beside their own states. `gathering`: some have
 * an order and wait for each other. `moving`: they swap, and none of them stays yet. `kept`, `back`:
 * decided for all of them, for ever. With `kept` on the disk, and not before, the first may stay; so
 * whatever is cut short, either all of them stay or all go back.
 */
export const Pact = z.object({
  schema: z.literal('bellwether.set.v1'),
  phase: z.enum(['gathering', 'moving', 'kept', 'back']),
  members: z
    .array(z.object({ service: ProductName, command_id: z.string().max(64) }))
    .min(1)
    .max(64),
  /** Who brought the others back, and why. */
  cause: z
    .object({ service: ProductName, code: z.string().max(64), message: z.string().max(2_000) })
    .nullable(),
});
export type Pact = z.infer<typeof Pact>;

/** One service of the set, as it is at this moment; null where it cannot be looked after (yet). */
export interface SetMember {
  readonly service: string;
  readonly now: { readonly machine: Machine; readonly facts: Facts } | null;
}

type Sworn = Pact['members'][number];

/**
 * What has been agreed on after this moment: the same object when nothing changed, null when no
 * member has an order. The caller makes it durable before anybody acts on it. `movingMs`: for how
 * long, by the monotonic clock of this process, the members have been moving.
 */
export function stepSet(
  pact: Pact | null,
  members: readonly SetMember[],
  movingMs: number,
): Pact | null {
  if (pact === null || pact.phase === 'gathering') return gathered(pact, members);
  if (pact.phase === 'moving') return moved(pact, members, movingMs);
  return pact.members.some((sworn) => isAtIt(sworn, members)) ? pact : gathered(null, members);
}

/** Nothing is agreed on while one of them cannot be seen: it may have an order, too. */
function gathered(pact: Pact | null, members: readonly SetMember[]): Pact | null {
  if (members.some(({ now }) => now === null)) return pact;
  const jobs = members.flatMap(({ service, now }) => {
    const job = now?.machine.state.job ?? null;
    return job === null || now === null ? [] : [{ service, job, ...now }];
  });
  const waiting = jobs.filter(({ job }) => isBeforeSwap(job));
  if (waiting.length === 0) return null;
  const cause = firstOf(pact, (sworn) => failureOf(sworn, members));
  if (pact !== null && cause !== null) return { ...pact, phase: 'back', cause };
  // What moved before there was a set is waited for, and not bound.
  const isFree = waiting.length === jobs.length;
  const isReady = waiting.every(
    ({ job, machine, facts }) => isStaged(job, facts) && holdsPermit(machine, job, facts),
  );
  return changed(pact, {
    schema: 'bellwether.set.v1',
    phase: isFree && isReady ? 'moving' : 'gathering',
    members: waiting.map(({ service, job }) => ({ service, command_id: job.command_id })),
    cause: null,
  });
}

function moved(pact: Pact, members: readonly SetMember[], movingMs: number): Pact {
  const cause = firstOf(pact, (sworn) => reasonToGoBack(sworn, members));
  if (cause !== null) return { ...pact, phase: 'back', cause };
  const found = pact.members.map((sworn) => ({ sworn, now: nowOf(sworn, members) }));
  const isKept = found.every(({ now }) => {
    const job = now?.machine.state.job ?? null;
    return now !== null && job !== null && isProven(now.machine, job, now.facts);
  });
  if (isKept) return { ...pact, phase: 'kept' };
  const late = found.find(({ now }) => now?.machine.state.job?.phase !== 'probation');
  if (late === undefined || movingMs <= MOVING_MS_MAX) return pact;
  const message = `it did not come along within ${MOVING_MS_MAX / 60_000} minutes`;
  return { ...pact, phase: 'back', cause: because(late.sworn, 'upgrade_set_failed', message) };
}

/** What the set says to this service; undefined where it has nothing to say. */
export function wordTo(
  service: string,
  pact: Pact | null,
  members: readonly SetMember[],
): SetWord | undefined {
  const job = members.find((one) => one.service === service)?.now?.machine.state.job ?? null;
  if (job === null) return undefined;
  if (pact === null || !isSworn(pact, service, job)) {
    return isBeforeSwap(job) ? { says: 'wait' } : undefined;
  }
  return wordOf(pact, members);
}

const isSworn = ({ members }: Pact, service: string, { command_id }: Job): boolean =>
  members.some((one) => one.service === service && one.command_id === command_id);

function wordOf(pact: Pact, members: readonly SetMember[]): SetWord {
  switch (pact.phase) {
    case 'gathering':
      return { says: isAllStaged(members) ? 'ask' : 'wait' };
    case 'moving':
      return { says: 'swap' };
    case 'kept':
      return { says: 'keep' };
    case 'back':
      return pact.cause === null ? { says: 'wait' } : { says: 'back', cause: pact.cause };
  }
}

/** The end of a job that the set turns back; null when it does not, or not at this point. */
export function setTurnsBack(machine: Machine, job: Job, facts: Facts): Machine | null {
  if (facts.set?.says !== 'back') return null;
  const { service, code: cause, message: why } = facts.set.cause;
  const details = { cause_service: service, cause_code: cause };
  const code = 'upgrade_set_failed';
  const message = `${service} of the same set did not make it (${cause}): ${why}`.slice(0, 1_000);
  if (isBeforeSwap(job)) {
    return failed(machine, job, { type: 'failed', step: 'refused', code, message, details }, facts);
  }
  return job.phase === 'probation' ? goBack(machine, code, message, details) : null;
}

const isStaged = (job: Job, facts: Facts): boolean =>
  job.phase === 'staged' && mayApply(job, facts);

/** All members that have an order are staged, and none is in the middle of an older swap. */
const isAllStaged = (members: readonly SetMember[]): boolean =>
  members.every(({ now }) => {
    const job = now?.machine.state.job ?? null;
    return now !== null && (job === null || isStaged(job, now.facts));
  });

const firstOf = (pact: Pact | null, of: (sworn: Sworn) => Pact['cause']): Pact['cause'] =>
  pact?.members.map(of).find((one) => one !== null) ?? null;

const nowOf = (sworn: Sworn, members: readonly SetMember[]): SetMember['now'] =>
  members.find(({ service }) => service === sworn.service)?.now ?? null;

/** Works on what was agreed, or cannot be seen: then nobody knows. */
function isAtIt(sworn: Sworn, members: readonly SetMember[]): boolean {
  if (!members.some(({ service }) => service === sworn.service)) return false;
  const now = nowOf(sworn, members);
  return now === null || now.machine.state.job?.command_id === sworn.command_id;
}

const because = (
  { service }: Sworn,
  code: string,
  message: string,
): NonNullable<Pact['cause']> => ({ service, code, message: message.slice(0, 500) });

/** Its order came to an end that is no success, and that nobody asked for. */
function failureOf(sworn: Sworn, members: readonly SetMember[]): Pact['cause'] {
  const state = nowOf(sworn, members)?.machine.state;
  const outcome = outcomeOf(sworn, state);
  if (outcome === null || outcome.result === 'succeeded' || outcome.result === 'withdrawn') {
    return null;
  }
  const { version, result, error_code } = outcome;
  return because(sworn, error_code ?? 'internal_error', `${version} ${inWords(result)}`);
}

const inWords = (result: 'failed' | 'rolled_back'): string =>
  result === 'failed' ? 'could not be installed' : 'was turned back';

const outcomeOf = ({ command_id }: Sworn, state: UpdateState | undefined) =>
  state?.job?.command_id !== command_id && state?.outcome?.command_id === command_id
    ? state.outcome
    : null;

/** While they move, whoever leaves brings all of them back. */
function reasonToGoBack(sworn: Sworn, members: readonly SetMember[]): Pact['cause'] {
  if (!members.some(({ service }) => service === sworn.service)) {
    return because(sworn, 'upgrade_set_failed', 'it does not belong to the set any more');
  }
  const state = nowOf(sworn, members)?.machine.state;
  if (state === undefined) return null;
  const { job } = state;
  if (job?.command_id === sworn.command_id) return reasonOf(sworn, job);
  if (outcomeOf(sworn, state)?.result === 'succeeded') return null;
  const failure = failureOf(sworn, members);
  return failure ?? because(sworn, 'upgrade_withdrawn', 'its order was withdrawn');
}

function reasonOf(sworn: Sworn, { phase, failure }: Job): Pact['cause'] {
  if (phase !== 'rolling_back') return null;
  return because(sworn, failure?.code ?? 'upgrade_unhealthy', failure?.message ?? '');
}

/** The old one where the new one says the same, so that nothing is written for nothing. */
const changed = (before: Pact | null, after: Pact): Pact =>
  before !== null && JSON.stringify(before) === JSON.stringify(after) ? before : after;
