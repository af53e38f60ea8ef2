import { FleetError, type Refusal, type Result } from '../../core/kernel/index.js';
import type { NodePolicy } from '../../core/release/index.js';
import type { IndexInput, Input, Job, UpdateState } from '../../core/update/index.js';
import type { ErrorCode } from '../../protocol/index.js';
import { arrivedOf, bring, keepArrived } from './bring.js';
import type { Channels } from './channels.js';
import { chooseArtifact } from './choose-artifact.js';
import { extract } from './extract.js';
import type { InstallRoot } from './install-root.js';
import type { JobHooks } from './job-hooks.js';
import { patient } from './patience.js';
import { failureOf } from './translate.js';
import type { UpdaterOptions } from './updater-options.js';

interface Step {
  readonly job: Job;
  readonly options: UpdaterOptions;
  readonly root: InstallRoot;
  readonly signal: AbortSignal;
  /** What became of the job, durable when it resolves. */
  readonly take: (input: Input) => Promise<void>;
}

/** Judges the release and brings its bytes to the disk. Throws what the machine takes as a failure. */
export async function fetchStep(
  step: Step,
  {
    policy,
    channels,
    state,
    learn,
  }: {
    readonly policy: Result<NodePolicy, Refusal<ErrorCode>>;
    readonly channels: Channels;
    readonly state: () => UpdateState;
    readonly learn: (input: IndexInput) => Promise<void>;
  },
): Promise<void> {
  if (!policy.ok) throw new FleetError(policy.error.code, policy.error.message);
  const { job, options, root, signal, take } = step;
  const { faults, clock, log } = options;
  const trust = await options.trust();
  const judging = { job, policy: policy.value, trust, root, channels, signal, nowMs: clock.now() };
  const waiting = {
    signal,
    random: Math.random,
    onWait: ({ message }: FleetError): void => {
      log('nobody gives the release; asking again', { service: options.service.name, message });
    },
  };
  const fetcher = patient(options.fetcher, waiting);
  const chosen = await chooseArtifact({ ...options, fetcher }, { ...judging, state });
  await take({ type: 'judged', artifact: chosen.artifact });
  if (chosen.permit !== null) await learn(chosen.permit);
  const ways = { sources: job.sources, fetcher, faults, ...waiting };
  const arrival = await bring(root, chosen, ways);
  faults.hit('after-download');
  await take({ type: 'downloaded', arrival });
}

/** Asks the hook, and unpacks what was fetched. Throws what the machine takes as a failure. */
export async function extractStep(
  step: Step,
  policy: NodePolicy | null,
  hooks: JobHooks,
): Promise<void> {
  const { job, options, root, signal, take } = step;
  const { version, channel, artifact } = job;
  if (artifact === null) throw new FleetError('internal_error', 'no artifact to unpack');
  await hooks.preStage(job, signal, policy?.dry_run ?? false);
  const { sha256, sequence, state_schema } = artifact;
  const arrived = arrivedOf(root, job, artifact);
  await extract({
    root,
    ...arrived,
    version,
    marker: { version, channel, sequence, state_schema, sha256 },
    faults: options.faults,
  });
  await take({ type: 'extracted' });
  await keepArrived(root, { job, artifact, arrived, policy });
  await root.clearDownloads([]);
}

/** What the machine takes when the hook before the swap refuses; null when it agrees, or is called off. */
export async function askToSwap(hooks: JobHooks, job: Job): Promise<Input | null> {
  try {
    await hooks.preSwap(job);
    return null;
  } catch (error) {
    return hooks.isStopping ? null : { type: 'failed', ...failureOf(error, job), step: 'swap' };
  }
}
