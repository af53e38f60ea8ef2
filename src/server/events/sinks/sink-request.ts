import { randomBytes } from 'node:crypto';
import type { z } from 'zod';
import { WEBHOOK_SECRET_PREFIX } from '../../../core/event/index.js';
import { FleetError } from '../../../core/kernel/index.js';
import { SINK_CONFIGS, SINK_CREDENTIALS, type SinkKind } from '../../../protocol/api/index.js';

type Fields = Readonly<Record<string, unknown>>;

interface Problem {
  readonly path: string;
  readonly message: string;
}

const refusal = (problems: readonly Problem[]): FleetError =>
  new FleetError(
    'invalid_request',
    problems.map(({ path, message }) => `${path}: ${message}`).join('; '),
    { context: { problems } },
  );

const wrong = (path: string, message: string): FleetError => refusal([{ path, message }]);

function parse(part: string, schema: z.ZodType, given: Fields): Record<string, unknown> {
  const read = schema.safeParse(given);
  if (read.success) return read.data as Record<string, unknown>;
  throw refusal(
    read.error.issues.map(({ path, message }) => ({
      path: ['body', part, ...path].join('.'),
      message,
    })),
  );
}

/** The settings of a kind, with its defaults. Throws `invalid_request` with every wrong field. */
export function readConfig(kind: SinkKind, given: Fields): Record<string, unknown> {
  const config = parse('config', SINK_CONFIGS[kind], given);
  if (kind === 'syslog' && config['transport'] === 'udp' && config['confirm'] === 'close') {
    // The default of the other transports; UDP has no close to wait for.
    config['confirm'] = 'sent';
  }
  return config;
}

/** Settings laid over those that are there; null takes one away. */
export function changedConfig(
  kind: SinkKind,
  before: Fields,
  given: Fields,
): Record<string, unknown> {
  const merged = Object.entries({ ...before, ...given }).filter(([, value]) => value !== null);
  return readConfig(kind, Object.fromEntries(merged));
}

/**
 * The credentials of a kind as they are sealed. A webhook without a secret gets one; `made` is then what
 * has to be shown, once.
 */
export function readCredentials(
  kind: SinkKind,
  given: Fields,
): { readonly credentials: Record<string, unknown>; readonly made: string | null } {
  const credentials = parse('credentials', SINK_CREDENTIALS[kind], given);
  if (kind === 'elasticsearch') checkLogin(credentials);
  if (kind === 'syslog') checkPair(credentials, 'client_cert_pem', 'client_key_pem');
  if (kind !== 'webhook' || credentials['secret'] !== undefined) return { credentials, made: null };
  const made = newWebhookSecret();
  return { credentials: { ...credentials, secret: made }, made };
}

/** 32 random bytes, in the form of Standard Webhooks. */
export const newWebhookSecret = (): string =>
  `${WEBHOOK_SECRET_PREFIX}${randomBytes(32).toString('base64')}`;

function checkPair(credentials: Fields, first: string, second: string): void {
  if ((credentials[first] === undefined) === (credentials[second] === undefined)) return;
  throw wrong(`body.credentials.${second}`, `give ${first} and ${second}, or neither`);
}

function checkLogin(credentials: Fields): void {
  checkPair(credentials, 'username', 'password');
  if (credentials['api_key'] !== undefined && credentials['username'] !== undefined) {
    throw wrong('body.credentials.api_key', 'give an api_key or a username, not both');
  }
}

/** Credentials over a line that anybody can read are as good as given away. */
export function checkSafe(kind: SinkKind, config: Fields, groupId: string | null): void {
  if (kind === 'file' && groupId !== null) {
    throw wrong('body.kind', 'a file lies on the manager: such a sink belongs to the platform');
  }
  const hasTls = config['ca_pem'] !== undefined || config['pin_sha256'] !== undefined;
  const url = typeof config['url'] === 'string' ? config['url'] : null;
  const isPlain = url === null ? config['transport'] !== 'tls' : url.startsWith('http:');
  if (hasTls && isPlain && kind !== 'file') {
    throw wrong('body.config', 'ca_pem and pin_sha256 mean something only with TLS');
  }
}

/** Where it delivers to, for the audit log: no path and no query, which may hold a secret. */
export function destinationOf(kind: SinkKind, config: Fields): string {
  if (kind === 'file') return String(config['path']);
  if (kind === 'syslog') {
    return `${String(config['transport'])}://${String(config['host'])}:${String(config['port'])}`;
  }
  return new URL(String(config['url'])).origin;
}
