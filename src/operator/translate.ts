import type { NodePolicy } from '../core/release/index.js';
import type { Facts, InstalledVersion, Job, UpdateState } from '../core/update/index.js';
import { readImage, versionOf, type Mode, type WorkloadView } from '../core/workload/index.js';
import type { ErrorCode } from '../protocol/index.js';
import type { ServiceReport } from '../protocol/node/index.js';
import { factsOf, type Clock } from '../agent/parts/index.js';
import type { NodeState } from './state-store.js';

export const imageIn = ({ containers }: WorkloadView, container: string): string =>
  containers.find(({ name }) => name === container)?.image ?? '';

/** What runs, in the words of the machine. What is not known of it is taken from what was known before. */
function installedFrom(
  { current, previous, job }: UpdateState,
  version: string,
  image: string,
): InstalledVersion {
  const sha256 = readImage(image)?.digest?.slice('sha256:'.length);
  const known = [current, previous, job?.from].find((one) => one?.version === version);
  const own = sha256 === undefined ? {} : { sha256 };
  if (job?.version === version) {
    const { sequence = 0, state_schema = null } = job.artifact ?? {};
    return { version, channel: job.channel, sequence, state_schema, ...own };
  }
  const { channel = 'stable', sequence = 0, state_schema = null } = known ?? {};
  return { version, channel, sequence, state_schema, ...own };
}

/**
 * Clocks and policy, as for an agent, with two differences: the health window begins when the workload
 * is complete, however long that took; and in signal mode a person applies what waits.
 */
export function kubeFacts(
  clock: Clock,
  policy: NodePolicy | null,
  now: {
    readonly mode: Mode;
    readonly job: Job | null;
    readonly since: number;
    readonly completeAtMs: number | null;
    readonly command: () => string;
  },
): Facts {
  const facts = factsOf(clock, policy);
  const { mode, job, since, completeAtMs } = now;
  if (job?.phase === 'probation') {
    const sinceMs = completeAtMs === null ? Infinity : Math.max(0, completeAtMs - since);
    return { ...facts, healthWindowMs: sinceMs + facts.healthWindowMs };
  }
  if (mode !== 'signal') return facts;
  const note = {
    code: 'helm_upgrade_required',
    message: `${job?.version ?? ''} passed every check and waits for helm`,
  };
  const details: Record<string, string> =
    job === null ? {} : { to_version: job.version, command: now.command() };
  return { ...facts, manualOnly: true, handNote: { ...note, details } };
}

export const reportFrom = (
  names: { readonly name: string; readonly product: string; readonly variant: string },
  { current, previous, job, outcome }: UpdateState,
  healthy: boolean | null,
  hand: { readonly version: string; readonly command: string } | null,
): ServiceReport => ({
  ...names,
  version: current?.version ?? null,
  previous_version: previous?.version ?? null,
  phase: job?.phase ?? 'idle',
  command_id: job?.command_id ?? null,
  healthy,
  restarts: 0,
  outcome: outcome === null ? null : { ...outcome, error_code: outcome.error_code as ErrorCode },
  ...(hand === null
    ? {}
    : { waits_for_hand: { error_code: 'helm_upgrade_required' as const, ...hand } }),
});

/** What other hands made a workload run; null where that is no news, or nobody can say what it is. */
export function runsNow(
  workload: WorkloadView,
  container: string,
  { update, digests }: Pick<NodeState, 'update' | 'digests'>,
): InstalledVersion | null {
  const image = imageIn(workload, container);
  const found = versionOf(image, workload.templateLabels, new Map(digests));
  if (found === null) return null;
  const now = installedFrom(update, found.version, image);
  const { current } = update;
  return current?.version === now.version && current.sha256 === now.sha256 ? null : now;
}
