import type { NodePolicy } from '../../core/release/index.js';
import { waitingForHand, type Job } from '../../core/update/index.js';
import { ERRORS, isErrorCode } from '../../protocol/index.js';
import { nextOpeningOf } from '../local-window.js';
import type { ServiceStatus, Status } from './status-schema.js';

interface Around {
  readonly name: string;
  readonly rules: NodePolicy | null;
  readonly isLinked: boolean;
}

/** What has to come before a job goes on, in words. */
export function waitOf(job: Job, around: Around): string {
  switch (job.phase) {
    case 'fetching':
      return around.isLinked ? 'its download' : 'its download; the manager is not connected';
    case 'verifying':
      return 'being unpacked';
    case 'staged':
      return waitOfStaged(job, around);
    case 'swapping':
      return 'being swapped in';
    case 'probation': {
      const secs = around.rules?.boot_health_window_secs ?? 120;
      return `its health, for a window of ${secs} s`;
    }
    case 'rolling_back':
      return job.rollback_failed ? 'the way back, which failed and is tried again' : 'the way back';
  }
}

function waitOfStaged(job: Job, { name, rules, isLinked }: Around): string {
  if (waitingForHand({ job }, rules?.manual_only ?? false).ok) {
    return `a person: bellwether-agent apply ${name}`;
  }
  if (job.apply_after_ms !== null && job.apply_after_ms > Date.now()) {
    return `its time, ${new Date(job.apply_after_ms).toISOString()}`;
  }
  const isWaived = job.applied_by_hand || job.window_waived === true;
  const opensAt = rules === null || isWaived ? null : nextOpeningOf(rules, Date.now());
  if (opensAt !== null && Date.parse(opensAt) > Date.now()) return `its window, from ${opensAt}`;
  if (!job.needs_permit) return 'its turn';
  return isLinked ? 'a permit of the manager' : 'the manager, which is not connected';
}

/** What `status` prints for people. */
export function statusInWords(status: Status): string {
  const { node, manager, agent_pid, services } = status;
  const lines = [
    `node      ${node.name} (${node.node_id})`,
    `manager   ${manager}`,
    `agent     ${agent_pid === null ? 'not running' : `running (process ${agent_pid})`}`,
    `link      ${linkInWords(status)}`,
  ];
  if (services.length === 0) lines.push('', 'no services in agent.toml');
  for (const service of services) lines.push('', ...serviceInWords(service));
  return lines.join('\n');
}

function linkInWords(status: Status): string {
  const { link, link_since, link_transport, link_manager, link_next_try } = status;
  if (link === null) return 'none';
  const by = link_transport === null ? '' : ` by ${link_transport} (${link_manager ?? ''})`;
  const next = link_next_try === null ? '' : `, next try at ${link_next_try}`;
  return `${link} since ${link_since ?? 'an unknown time'}${by}${next}`;
}

function serviceInWords(service: ServiceStatus): string[] {
  const { name, version, previous, target, state, problems } = service;
  const lines = [
    name,
    `  version   ${version ?? 'none'}`,
    `  previous  ${previous ?? 'none'}`,
    `  doing     ${target === null ? 'nothing' : `${target.phase} ${target.version}`}`,
  ];
  if (target !== null) {
    lines.push(`  waits     for ${target.waits_for}`);
    const from = target.apply_after === null ? '' : `from ${target.apply_after} `;
    lines.push(`  window    ${from}until ${target.expires_at}`);
  }
  if (service.window_opens_at !== null) lines.push(`  opens     ${service.window_opens_at}`);
  const outcome = state?.outcome ?? null;
  if (outcome !== null) {
    const why = outcome.error_code === null ? '' : ` (${outcome.error_code})`;
    lines.push(`  last      ${outcome.version} ${outcome.result}${why} at ${outcome.at}`);
    lines.push(...reasonOf(outcome.error_code));
  }
  lines.push(`  by hand   ${handInWords(service)}`, `  policy    ${policyInWords(service.policy)}`);
  for (const problem of problems) lines.push(`  problem   ${problem}`);
  return lines;
}

const reasonOf = (code: string | null): string[] =>
  code !== null && isErrorCode(code) ? [`            ${ERRORS[code].meaning}`] : [];

function handInWords({ enabled, pin }: ServiceStatus): string {
  const pinned = pin === null ? '' : `pinned to ${pin}`;
  if (enabled) return pinned === '' ? 'nothing is held up' : pinned;
  return `upgrades are switched off${pinned === '' ? '' : `, ${pinned}`}`;
}

function policyInWords(policy: ServiceStatus['policy']): string {
  if (policy === null) return 'cannot be used: every upgrade is refused';
  const { enabled, allowed_channels, manual_only, min_version, digest } = policy;
  if (!enabled) return 'upgrades are switched off in policy.toml';
  const parts = [
    `channels ${allowed_channels.join(', ')}`,
    ...(min_version === null ? [] : [`${min_version} or newer`]),
    ...(manual_only ? ['by hand only'] : []),
    `digest ${digest.slice(0, 12)}`,
  ];
  return parts.join('; ');
}
