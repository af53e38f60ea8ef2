import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { UpdateState } from '../../core/update/index.js';
import { readConfig, readIdentity } from '../config.js';
import { ControlFile } from '../control-file.js';
import { readLinkNote } from '../link-note.js';
import { nextOpeningOf } from '../local-window.js';
import { lockOwner } from '../lock.js';
import { PolicyFile } from '../policy-file.js';
import type { ServiceStatus, Status } from './status-schema.js';
import { waitOf } from './status-words.js';

/** What lies on the disk; asks neither the manager nor a running agent. Throws `config_invalid`. */
export async function readStatus(dir: string): Promise<Status> {
  const config = await readConfig(dir);
  const { identity } = await readIdentity(dir);
  const note = readLinkNote(dir);
  const isLinked = note?.state === 'connected';
  const services = await Promise.all(
    config.services.map((service) => readService(service, isLinked)),
  );
  return {
    node: identity,
    manager: config.manager,
    agent_pid: lockOwner(dir),
    link: note?.state ?? null,
    link_since: note?.since ?? null,
    link_transport: note?.transport ?? null,
    link_manager: note?.manager ?? null,
    link_next_try: note?.next_try ?? null,
    up_to_date: services.every(({ target }) => target === null),
    services,
  };
}

async function readService(
  { name, root }: { readonly name: string; readonly root: string },
  isLinked: boolean,
): Promise<ServiceStatus> {
  const problems: string[] = [];
  const state = await readState(root, problems);
  const file = new PolicyFile(root);
  const policy = await file.read();
  if (!policy.ok) problems.push(policy.error.message);
  const rules = policy.ok ? policy.value : null;
  const control = new ControlFile(root);
  const decided = await control.read();
  if (!decided.ok) problems.push(decided.error.message);
  const { enabled, pin } = control.known;
  const job = state?.job ?? null;
  return {
    name,
    root,
    version: state?.current?.version ?? null,
    previous: state?.previous?.version ?? null,
    target: job === null ? null : targetOf(job, waitOf(job, { name, rules, isLinked })),
    enabled,
    pin,
    window_opens_at: rules === null ? null : nextOpeningOf(rules, Date.now()),
    policy:
      rules === null
        ? null
        : {
            digest: await file.digest(),
            enabled: rules.enabled,
            allowed_channels: rules.allowed_channels,
            manual_only: rules.manual_only,
            min_version: rules.min_version ?? null,
            sequence: rules.sequence,
          },
    state,
    problems,
  };
}

const isoOf = (ms: number): string => new Date(ms).toISOString();

const targetOf = (
  job: NonNullable<UpdateState['job']>,
  waits_for: string,
): NonNullable<ServiceStatus['target']> => ({
  version: job.version,
  phase: job.phase,
  waits_for,
  apply_after: job.apply_after_ms === null ? null : isoOf(job.apply_after_ms),
  expires_at: isoOf(job.expires_at_ms),
});

/** As it lies there; what is wrong with it goes into `problems`. */
export async function readState(root: string, problems: string[]): Promise<UpdateState | null> {
  const path = join(root, 'state.json');
  try {
    const parsed = UpdateState.safeParse(JSON.parse(await readFile(path, 'utf8')));
    if (parsed.success) return parsed.data;
  } catch (error) {
    const { code } = error as { code?: string };
    if (code === 'ENOENT') return null;
    if (code !== undefined) {
      problems.push(`${path} cannot be read (${code})`);
      return null;
    }
  }
  problems.push(`${path} is damaged; the agent rebuilds it when it starts`);
  return null;
}
