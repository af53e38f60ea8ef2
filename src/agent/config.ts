import { createPrivateKey, type KeyObject } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parse as parseToml } from 'smol-toml';
import { z } from 'zod';
import { FleetError } from '../core/kernel/index.js';
import { Labels } from '../protocol/node/index.js';
import { ServiceConfig } from './supervisor/index.js';

/** `agent.toml`: what this node is and what runs on it. Unknown keys are errors. */
export const AgentConfig = z
  .strictObject({
    /** Where the manager is, as nodes reach it; also the audience of every node token. */
    manager: z.url().max(2_048),
    /** Plain http and ws to others than this machine. For closed test networks. */
    allow_plaintext: z.boolean().default(false),
    labels: Labels.default({}),
    services: z.array(ServiceConfig).max(64).default([]),
  })
  .refine(({ services }) => new Set(services.map((s) => s.name)).size === services.length, {
    path: ['services'],
    message: 'two services of the same name',
  })
  .refine(({ services }) => new Set(services.map((s) => s.root)).size === services.length, {
    path: ['services'],
    message: 'two services with the same root',
  });
export type AgentConfig = z.infer<typeof AgentConfig>;

export const Identity = z.strictObject({
  node_id: z.string(),
  group_id: z.string(),
  name: z.string(),
  manager: z.string(),
});
export type Identity = z.infer<typeof Identity>;

const configError = (file: string, problems: string): FleetError =>
  new FleetError('config_invalid', `${file}: ${problems}`);

/** Reads and checks `agent.toml`. Throws `config_invalid` with every problem at once. */
export async function readConfig(dir: string): Promise<AgentConfig> {
  const file = join(dir, 'agent.toml');
  const text = await readFile(file, 'utf8').catch(() => null);
  if (text === null) {
    throw configError(file, 'cannot be read; run `bellwether-agent enroll` first');
  }
  let toml: unknown;
  try {
    toml = parseToml(text);
  } catch (error) {
    throw configError(file, (error as Error).message.split('\n')[0] ?? 'is not TOML');
  }
  const parsed = AgentConfig.safeParse(toml);
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map((i) => `${i.path.join('.') || 'file'}: ${i.message}`);
  throw configError(file, problems.join('; '));
}

export async function readIdentity(dir: string): Promise<{ identity: Identity; key: KeyObject }> {
  try {
    const identity = Identity.parse(JSON.parse(await readFile(join(dir, 'identity.json'), 'utf8')));
    const key = createPrivateKey(await readFile(join(dir, 'node.key'), 'utf8'));
    return { identity, key };
  } catch (error) {
    throw new FleetError('config_invalid', `${dir}: this node is not enrolled`, { cause: error });
  }
}

/** Plain text to another machine shows every release and command to whoever listens. */
export function requireSafeUrl(manager: string, allowPlaintext: boolean): void {
  const { protocol, hostname } = new URL(manager);
  const isLoopback = /^(localhost|127(\.\d+){3}|\[::1\])$/.test(hostname);
  if (protocol === 'https:' || (protocol === 'http:' && (isLoopback || allowPlaintext))) return;
  throw new FleetError(
    'config_invalid',
    `${manager}: use https (or allow_plaintext = true in a closed test network)`,
  );
}
