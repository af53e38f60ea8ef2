import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { UpdateState } from '../core/update/index.js';
import { readConfig, readIdentity, type Identity } from './config.js';
import { readLinkNote, type LinkNote } from './link-note.js';
import { nextOpeningOf } from './local-window.js';
import { lockOwner } from './lock.js';
import { PolicyFile } from './policy-file.js';

export interface ServiceStatus {
  readonly name: string;
  readonly root: string;
  /** Null before the first start of the agent. */
  readonly state: UpdateState | null;
  /** When its maintenance window is open next, or now is in it; null for a policy without one, or none that opens. */
  readonly window_opens_at: string | null;
  /** What is wrong with `state.json` or the policy; empty when nothing is. */
  readonly problems: readonly string[];
}

export interface Status {
  readonly node: Identity;
  readonly manager: string;
  /** Process id of the agent; null when none runs. */
  readonly agent_pid: number | null;
  /** `connected` when the manager has welcomed this node; null when no agent runs. */
  readonly link: LinkNote['state'] | null;
  readonly link_since: string | null;
  readonly services: readonly ServiceStatus[];
}

/** What lies on the disk; asks neither the manager nor a running agent. Throws `config_invalid`. */
export async function readStatus(dir: string): Promise<Status> {
  const config = await readConfig(dir);
  const { identity } = await readIdentity(dir);
  const services: ServiceStatus[] = [];
  for (const { name, root } of config.services) {
    const problems: string[] = [];
    const state = await readState(root, problems);
    const policy = await new PolicyFile(root).read();
    if (!policy.ok) problems.push(policy.error.message);
    const window_opens_at = policy.ok ? nextOpeningOf(policy.value, Date.now()) : null;
    services.push({ name, root, state, window_opens_at, problems });
  }
  const note = readLinkNote(dir);
  return {
    node: identity,
    manager: config.manager,
    agent_pid: lockOwner(dir),
    link: note?.state ?? null,
    link_since: note?.since ?? null,
    services,
  };
}

async function readState(root: string, problems: string[]): Promise<UpdateState | null> {
  const path = join(root, 'state.json');
  try {
    const parsed = UpdateState.safeParse(JSON.parse(await readFile(path, 'utf8')));
    if (parsed.success) return parsed.data;
  } catch (error) {
    if ((error as { code?: string }).code === 'ENOENT') return null;
  }
  problems.push(`${path} is damaged; the agent rebuilds it when it starts`);
  return null;
}

/** The same for people. */
export function statusInWords(status: Status): string {
  const { node, manager, agent_pid, link, link_since, services } = status;
  const lines = [
    `node      ${node.name} (${node.node_id})`,
    `manager   ${manager}`,
    `agent     ${agent_pid === null ? 'not running' : `running (process ${agent_pid})`}`,
    `link      ${link === null ? 'none' : `${link} since ${link_since ?? 'an unknown time'}`}`,
  ];
  if (services.length === 0) lines.push('', 'no services in agent.toml');
  for (const { name, state, window_opens_at, problems } of services) {
    const job = state?.job ?? null;
    lines.push(
      '',
      name,
      `  version   ${state?.current?.version ?? 'none'}`,
      `  previous  ${state?.previous?.version ?? 'none'}`,
      `  doing     ${job === null ? 'nothing' : `${job.phase} ${job.version}`}`,
    );
    if (window_opens_at !== null) lines.push(`  window    open from ${window_opens_at}`);
    const outcome = state?.outcome ?? null;
    if (outcome !== null) {
      const why = outcome.error_code === null ? '' : ` (${outcome.error_code})`;
      lines.push(`  last      ${outcome.version} ${outcome.result}${why} at ${outcome.at}`);
    }
    for (const problem of problems) lines.push(`  problem   ${problem}`);
  }
  return lines.join('\n');
}
