import { FleetError } from '../../core/kernel/index.js';
import {
  judgeFreshness,
  judgeStanding,
  revocationOf,
  revokedMessage,
  type Indexes,
  type NodePolicy,
  type Standing,
} from '../../core/release/index.js';
import type {
  FailedStep,
  Facts,
  Input,
  Job,
  OutboxEvent,
  UpdateState,
} from '../../core/update/index.js';
import type { ErrorCode } from '../../protocol/index.js';
import type { Command, ServiceReport } from '../../protocol/node/index.js';
import type { UpdaterOptions } from './updater-options.js';
import { windowOpensAtMs } from '../local-window.js';
import type { ServiceConfig } from '../supervisor/index.js';

/** What the policy refuses without looking at the release: no reason to download anything. */
export function judgeEarly(policy: NodePolicy, job: Job): FleetError | null {
  if (!policy.enabled) {
    return new FleetError('upgrade_disabled', 'upgrades are switched off in the local policy');
  }
  if (policy.allowed_channels.includes(job.channel)) return null;
  return new FleetError(
    'upgrade_channel_not_allowed',
    `channel ${job.channel} is not one of ${policy.allowed_channels.join(', ')}`,
  );
}

/** The same once it is staged: the policy or the kill list may have changed while it waited. */
export function judgeStaged(
  policy: NodePolicy,
  job: Job,
  { indexes, nowMs }: { readonly indexes: Indexes; readonly nowMs: number },
): Pick<FleetError, 'code' | 'message'> | null {
  const refusal = judgeEarly(policy, job);
  if (refusal !== null) return refusal;
  const { version, channel, artifact } = job;
  const standing = artifact === null ? null : judgeStanding(policy, standingOf(job, artifact));
  if (standing?.ok === false) return standing.error;
  const revoked = revocationOf(indexes, { version, sha256: artifact?.sha256 ?? null });
  if (revoked !== null) {
    return { code: 'upgrade_revoked', message: revokedMessage(version, revoked) };
  }
  const fresh = judgeFreshness({ policy, indexes, channel, nowMs });
  if (!fresh.ok) return fresh.error;
  return policy.dry_run ? { code: 'upgrade_dry_run', message: dryRun(policy, job, nowMs) } : null;
}

const standingOf = (
  { version, from }: Job,
  { size, signers, by_permit }: NonNullable<Job['artifact']>,
): Standing => ({
  version,
  size,
  signers,
  installed: by_permit === true ? null : (from?.version ?? null),
});

/** What would happen now, if it were no dry run. */
function dryRun(policy: NodePolicy, { version, from, apply_after_ms }: Job, nowMs: number): string {
  const opensAtMs = windowOpensAtMs(policy, nowMs);
  const laterMs = Math.max(opensAtMs ?? 0, apply_after_ms ?? 0);
  const at = laterMs > nowMs ? `, not before ${new Date(laterMs).toISOString()}` : '';
  const when = opensAtMs === null ? ', but its maintenance window never opens' : at;
  const hand = policy.manual_only ? ', by hand' : '';
  const what = from === null ? 'be installed' : `replace ${from.version}`;
  return `dry run: ${version} passed every check and was staged; it would ${what}${hand}${when}`;
}

/** A command as the machine takes it. */
export const inputOf = (command: Command): Input =>
  command.action === 'withdraw'
    ? {
        type: 'withdraw',
        command_id: command.command_id,
        generation: command.generation,
        withdraws: command.withdraws,
      }
    : {
        type: 'upgrade',
        order: {
          command_id: command.command_id,
          generation: command.generation,
          version: command.version,
          channel: command.channel,
          sources: command.sources,
          apply_after_ms: command.apply_after === null ? null : Date.parse(command.apply_after),
          expires_at_ms: Date.parse(command.expires_at),
          needs_permit: command.permit === 'required',
        },
      };

/** Clocks, and the part of the policy that steers the machine; its defaults while none is readable. */
export const factsOf = (
  clock: UpdaterOptions['clock'],
  policy: NodePolicy | null,
  hasPostSwap = false,
): Facts => ({
  hasPostSwap,
  nowMs: clock.now(),
  monotonicMs: clock.monotonicMs(),
  ...(clock.bootMs === undefined ? {} : { bootMs: clock.bootMs() }),
  healthWindowMs: (policy?.boot_health_window_secs ?? 120) * 1000,
  bootAttemptsMax: policy?.max_boot_attempts ?? 3,
  manualOnly: policy?.manual_only ?? false,
  ...windowFacts(policy, clock.now()),
});

function windowFacts(policy: NodePolicy | null, nowMs: number): Pick<Facts, 'windowOpensAtMs'> {
  const windowMs = policy === null ? undefined : windowOpensAtMs(policy, nowMs);
  return windowMs === undefined ? {} : { windowOpensAtMs: windowMs };
}

const STEP_OF_CODE: Readonly<Record<string, FailedStep>> = {
  upgrade_network_error: 'download',
  upgrade_url_invalid: 'download',
  upgrade_download_slow: 'download',
  upgrade_length_mismatch: 'download',
  upgrade_disk_full: 'download',
  upgrade_signature_invalid: 'verify',
  upgrade_identity_not_allowed: 'verify',
  upgrade_manifest_invalid: 'verify',
  upgrade_checksum_mismatch: 'verify',
  upgrade_extract_failed: 'stage',
};

/** An error as the machine takes it: which step, which code of the closed list, what to say. */
export function failureOf(
  error: unknown,
  job: Job,
): { step: FailedStep; code: ErrorCode; message: string; details?: OutboxEvent['details'] } {
  const during: FailedStep = job.phase === 'verifying' ? 'stage' : 'download';
  if (error instanceof FleetError) {
    const isHook = error.code === 'upgrade_hook_failed';
    return {
      step: during === 'stage' ? 'stage' : (STEP_OF_CODE[error.code] ?? 'refused'),
      code: error.code as ErrorCode,
      message: error.message,
      ...(isHook ? { details: error.context as OutboxEvent['details'] } : {}),
    };
  }
  const { code, message } = error as { code?: string; message?: string };
  const isFull = code === 'ENOSPC' || code === 'EDQUOT';
  return {
    step: during,
    code: isFull
      ? 'upgrade_disk_full'
      : during === 'stage'
        ? 'upgrade_extract_failed'
        : 'upgrade_network_error',
    message: isFull ? 'the disk is full' : (message ?? 'unknown error').slice(0, 500),
  };
}

/** What is told when `state.json` had to be built anew. */
export const damageEvent = (service: string, damage: string, nowMs: number): OutboxEvent => ({
  id: `${service}:state:${nowMs}`,
  at: new Date(nowMs).toISOString(),
  type: 'state_recovered',
  severity: 'critical',
  command_id: null,
  message: `state.json was damaged and was rebuilt from what is installed: ${damage}`,
  details: { error_code: 'upgrade_state_invalid' },
});

/** A service as the link tells it, from what is durable. */
export const reportOf = (
  { name, product, variant }: ServiceConfig,
  { current, previous, job, outcome }: UpdateState,
  { healthy, restarts, by_hand }: Pick<ServiceReport, 'healthy' | 'restarts' | 'by_hand'>,
): ServiceReport => ({
  name,
  product,
  variant,
  version: current?.version ?? null,
  previous_version: previous?.version ?? null,
  phase: job?.phase ?? 'idle',
  command_id: job?.command_id ?? null,
  healthy,
  restarts,
  outcome: outcome === null ? null : { ...outcome, error_code: outcome.error_code as ErrorCode },
  ...(by_hand === undefined ? {} : { by_hand }),
});
