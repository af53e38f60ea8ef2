import { createPrivateKey, type KeyObject } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parse as parseToml } from 'smol-toml';
import { z } from 'zod';
import { FleetError } from '../core/kernel/index.js';
import { Id, Labels, SERVICES_PER_NODE_MAX } from '../protocol/node/index.js';
import { AuditKeyText } from './audit-key.js';
import { GuardedFile } from './guarded-file.js';
import { problemWithUrl } from './safe-url.js';
import { problemsOfSets, SetConfig } from './set-config.js';
import { ServiceConfig } from './supervisor/index.js';

export const CONFIG_FILE = 'agent.toml';
export const IDENTITY_FILE = 'identity.json';
export const KEY_FILE = 'node.key';
/** 64 services with long environments; more is another file. */
const CONFIG_BYTES_MAX = 1024 * 1024;

/** As `curl --pinnedpubkey` takes it. */
const PIN = /^sha256\/\/[A-Za-z0-9+/]{43}=$/;
const PIN_HINT = 'write sha256// and 44 characters of base64: the SHA-256 of the public key (SPKI)';

const isUnique = (values: readonly string[]): boolean => new Set(values).size === values.length;

/** How the manager is reached; needed before there is an identity, too. */
export const ReachSettings = z.object({
  /** Where it is reached, in order of preference; `manager` alone when left out. */
  manager_urls: z.array(z.url().max(2_048)).min(1).max(8).optional(),
  /** Certificates in PEM: whom to trust as manager, and nobody else. */
  manager_ca_file: z.string().min(1).max(4_096).optional(),
  /** The manager must also hold one of these keys. */
  manager_pins: z.array(z.string().regex(PIN, PIN_HINT)).min(1).max(8).optional(),
  /** For all that goes by https, in place of `HTTPS_PROXY`; an empty text: none. */
  https_proxy: z.union([z.literal(''), z.url({ protocol: /^https?$/ }).max(2_048)]).optional(),
  /** Hosts that are reached without it, as in `NO_PROXY`, which it replaces. */
  no_proxy: z.string().max(2_048).optional(),
});
export type ReachSettings = z.infer<typeof ReachSettings>;

/** `agent.toml`: what this node is and what runs on it. Unknown keys are errors. */
export const AgentConfig = z
  .strictObject({
    /** Where the manager is, as nodes reach it; its origin is the audience of every node token. */
    manager: z.url().max(2_048),
    /** `auto`: a WebSocket where that works, else requests (a poll). */
    transport: z.enum(['auto', 'socket', 'poll']).default('auto'),
    /** Plain http and ws to others than this machine. For closed test networks. */
    allow_plaintext: z.boolean().default(false),
    ...ReachSettings.shape,
    /** Public key of the manager's audit log; checkpoints that it did not sign are refused. */
    audit_key: AuditKeyText.optional(),
    log_level: z.enum(['info', 'warning']).default('info'),
    labels: Labels.default({}),
    services: z.array(ServiceConfig).max(SERVICES_PER_NODE_MAX).default([]),
    /** Services that upgrade together and go back together. */
    sets: z.array(SetConfig).max(SERVICES_PER_NODE_MAX).default([]),
  })
  .superRefine(({ services, sets }, context) => {
    for (const { path, message } of problemsOfSets(services, sets)) {
      context.addIssue({ code: 'custom', path, message });
    }
  })
  .refine(({ services }) => isUnique(services.map((service) => service.name)), {
    path: ['services'],
    message: 'two services of the same name',
  })
  .refine(({ services }) => isUnique(services.map((service) => service.root)), {
    path: ['services'],
    message: 'two services with the same root',
  })
  .refine(({ services }) => services.filter(({ driver }) => driver === 'self').length <= 1, {
    path: ['services'],
    message: 'more than one has `driver = "self"`, and there is one agent only',
  })
  .superRefine((config, context) => {
    const { manager, manager_urls = [], allow_plaintext } = config;
    const tell = (path: PropertyKey[], message: string | null): void => {
      if (message !== null) context.addIssue({ code: 'custom', path, message });
    };
    tell(['manager'], problemWithUrl(manager, allow_plaintext));
    manager_urls.forEach((url, index) => {
      tell(['manager_urls', index], problemWithUrl(url, allow_plaintext));
    });
    const isAllSafe = [...(config.manager_urls ?? [manager])].every((url) => /^https:/i.test(url));
    for (const field of ['manager_pins', 'manager_ca_file'] as const) {
      if (config[field] === undefined || isAllSafe) continue;
      tell([field], 'only https proves who answers; every address of the manager must be https');
    }
  });
export type AgentConfig = z.infer<typeof AgentConfig>;

/**
 * The proxy to the manager and to other sources, or undefined. Only https goes through it, in a tunnel: whatever goes in
 * the clear would show the proxy the tokens of this node.
 */
export function proxyFrom(
  config: Pick<AgentConfig, 'https_proxy' | 'no_proxy'>,
  env: Readonly<Record<string, string | undefined>>,
): { HTTPS_PROXY: string; NO_PROXY?: string } | undefined {
  const proxy = config.https_proxy ?? env['HTTPS_PROXY'] ?? env['https_proxy'] ?? '';
  if (proxy === '') return undefined;
  const except = config.no_proxy ?? env['NO_PROXY'] ?? env['no_proxy'];
  return { HTTPS_PROXY: proxy, ...(except === undefined ? {} : { NO_PROXY: except }) };
}

/** What enrollment gave this node; beside it lies the private key. */
export const Identity = z.strictObject({
  node_id: Id,
  group_id: Id,
  name: z.string(),
  manager: z.string(),
});
export type Identity = z.infer<typeof Identity>;

/** Every problem of a parsed file in one line, each with the place of its field. */
export const problemsOf = (error: z.ZodError): string =>
  error.issues.map((issue) => `${issue.path.join('.') || 'file'}: ${issue.message}`).join('; ');

const configError = (file: string, problems: string, cause?: unknown): FleetError =>
  new FleetError('config_invalid', `${file}: ${problems}`, { cause });

const codeOf = (error: unknown): string => (error as { code?: string }).code ?? 'unknown';

/**
 * Reads and checks `agent.toml`, which says what is run as this user: guarded as the policy is, so one
 * that others could write, or a link, is refused. Throws `config_invalid` with every problem at once.
 */
export async function readConfig(dir: string): Promise<AgentConfig> {
  const file = join(dir, CONFIG_FILE);
  const guarded = new GuardedFile<{ readonly bytes: Buffer } | { readonly problem: string }>(file, {
    bytesMax: CONFIG_BYTES_MAX,
    parse: (bytes) => ({ bytes }),
    without: (problem) => ({ problem }),
  });
  const { value } = await guarded.look();
  if ('problem' in value) {
    const hint = '; run `bellwether-agent enroll` first, or name another --dir';
    throw new FleetError(
      'config_invalid',
      `${file} ${value.problem}${value.problem === 'is missing' ? hint : ''}`,
    );
  }
  let toml: unknown;
  try {
    toml = parseToml(new TextDecoder('utf-8', { fatal: true }).decode(value.bytes));
  } catch (error) {
    throw configError(file, (error as Error).message.split('\n')[0] ?? 'is not TOML', error);
  }
  const parsed = AgentConfig.safeParse(toml);
  if (parsed.success) return parsed.data;
  throw configError(file, problemsOf(parsed.error));
}

/** Null when this directory was never enrolled. Throws `config_invalid` when it is damaged. */
export async function findIdentity(dir: string): Promise<Identity | null> {
  const file = join(dir, IDENTITY_FILE);
  try {
    return Identity.parse(JSON.parse(await readFile(file, 'utf8')));
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return null;
    throw configError(file, 'cannot be used; enroll this node into another --dir', error);
  }
}

/** The identity with its key. Throws `config_invalid`, which never holds anything of the key. */
export async function readIdentity(dir: string): Promise<{ identity: Identity; key: KeyObject }> {
  const identity = await findIdentity(dir);
  if (identity === null) throw configError(dir, 'this node is not enrolled');
  const file = join(dir, KEY_FILE);
  try {
    const key = createPrivateKey(await readFile(file, 'utf8'));
    if (key.asymmetricKeyType !== 'ed25519') throw new Error('another kind of key');
    return { identity, key };
  } catch (error) {
    throw configError(file, `cannot be used (${codeOf(error)}); enroll this node again`);
  }
}
