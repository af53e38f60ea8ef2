import { readFileSync } from 'node:fs';
import { parse } from 'smol-toml';
import { z } from 'zod';
import { GROUP_ROLES } from '../../core/access/index.js';
import { invalidConfig } from '../platform/index.js';

const LOOPBACK = ['127.0.0.1', '[::1]', 'localhost'];

/** TLS is what makes the answers of a provider its own; only on this machine it may be missing. */
const isIssuer = (text: string): boolean => {
  if (!URL.canParse(text)) return false;
  const { protocol, hostname, search, hash, username, password } = new URL(text);
  const isSafe = protocol === 'https:' || (protocol === 'http:' && LOOPBACK.includes(hostname));
  return isSafe && `${search}${hash}${username}${password}` === '';
};

const OidcFile = z.strictObject({
  issuer: z.string().max(2_048).refine(isIssuer, 'give https://, a host and perhaps a path'),
  client_id: z.string().min(1).max(512),
  /** A file with the secret of the client; public clients (PKCE alone) have none. */
  client_secret_file: z.string().min(1).max(4_096).optional(),
  scopes: z
    .array(z.string().regex(/^[\x21\x23-\x5b\x5d-\x7e]{1,128}$/))
    .max(32)
    .default(['openid', 'profile']),
  groups_claim: z.string().min(1).max(256).default('groups'),
  groups: z
    .array(
      z.strictObject({
        claim: z.string().min(1).max(512),
        group_id: z.string().regex(/^[a-z]{3}_[a-z0-9]{1,40}$/, 'give the id of a group'),
        role: z.enum(GROUP_ROLES),
      }),
    )
    .max(1_000)
    .default([]),
});

/** A provider of sign-ins, and what its groups give here. */
export interface OidcSettings {
  readonly issuer: URL;
  readonly clientId: string;
  readonly clientSecret: string | null;
  readonly scopes: readonly string[];
  readonly groupsClaim: string;
  readonly rules: readonly {
    readonly claim: string;
    readonly groupId: string;
    readonly role: (typeof GROUP_ROLES)[number];
  }[];
}

/** Reads how people sign in at a provider; null without a file. Throws `config_invalid`. */
export function readOidcFile(path: string | null): OidcSettings | null {
  if (path === null) return null;
  const told = (problem: string): string => `BELLWETHER_OIDC_FILE: ${path}: ${problem}`;
  let toml: unknown;
  try {
    toml = parse(readFileSync(path, 'utf8'));
  } catch (error) {
    const [first = ''] = (error as Error).message.split('\n');
    throw invalidConfig([told(first)], error);
  }
  const parsed = OidcFile.safeParse(toml);
  if (!parsed.success) {
    throw invalidConfig(
      parsed.error.issues.map(({ path: at, message }) => told(`${at.join('.')}: ${message}`)),
    );
  }
  const read = parsed.data;
  return {
    issuer: new URL(read.issuer),
    clientId: read.client_id,
    clientSecret: secretOf(read.client_secret_file, told),
    scopes: read.scopes.includes('openid') ? read.scopes : ['openid', ...read.scopes],
    groupsClaim: read.groups_claim,
    rules: read.groups.map(({ claim, group_id: groupId, role }) => ({ claim, groupId, role })),
  };
}

function secretOf(file: string | undefined, told: (problem: string) => string): string | null {
  if (file === undefined) return null;
  try {
    const secret = readFileSync(file, 'utf8').trim();
    if (secret === '') throw new Error(`${file} is empty`);
    return secret;
  } catch (error) {
    throw invalidConfig([told(`client_secret_file: ${(error as Error).message}`)], error);
  }
}
