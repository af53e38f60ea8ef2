import { access, readFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { parse as parseToml } from 'smol-toml';
import { FleetError } from '../../core/kernel/index.js';
import {
  needsTrustedRoot,
  NodePolicy,
  parsePublicKey,
  parseTrustedRoot,
  TRUSTED_ROOT_BYTES_MAX,
  type Claim,
  type Signer,
  type SigstoreTrust,
} from '../../core/release/index.js';
import { usageError } from '../command.js';
import { plain } from '../output/index.js';
import type { Terminal } from '../terminal.js';
import { readSmall } from './folder.js';

/** As much as an agent reads. */
const POLICY_BYTES_MAX = 64 * 1024;
/** As an agent calls it; it lies beside the policy there too. */
const TRUSTED_ROOT_FILE = 'trusted_root.json';

/** The policy of a node, by the same schema. Throws `upgrade_policy_invalid`. */
export async function readPolicy(path: string): Promise<NodePolicy> {
  const bytes = await readSmall(path, POLICY_BYTES_MAX);
  const fail = (why: string): FleetError =>
    new FleetError('upgrade_policy_invalid', `${path}: ${why}`, {
      context: { fix: 'Mend the file; every line named is a problem.' },
    });
  let toml: unknown;
  try {
    toml = parseToml(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (error) {
    throw fail((error as Error).message.split('\n')[0] ?? 'not TOML');
  }
  const parsed = NodePolicy.safeParse(toml);
  if (parsed.success) return parsed.data;
  throw fail(parsed.error.issues.map((i) => `${i.path.join('.')}: ${i.message}`).join('; '));
}

/** Public keys of minisign as signers, each under the name of its file. */
export const readPublicKeys = (paths: readonly string[]): Promise<Signer[]> =>
  Promise.all(
    paths.map(async (path) => {
      const text = await readFile(path, 'utf8');
      const key = parsePublicKey(text);
      if (!key.ok) throw usageError(`--public-key ${path}: ${key.error.message}`);
      return { name: basename(path).replace(/\.pub$/, ''), public_key: text };
    }),
  );

/** Throws `upgrade_trusted_root_invalid`. */
export async function readTrustedRoot(path: string): Promise<SigstoreTrust> {
  const trust = parseTrustedRoot(await readSmall(path, TRUSTED_ROOT_BYTES_MAX));
  if (trust.ok) return trust.value;
  throw new FleetError(trust.error.code, `${path}: ${trust.error.message}`);
}

/** The trusted root that was named, or the one beside the policy when its signers need one. */
export async function trustFor(
  named: string | undefined,
  policyPath: string | undefined,
  signers: readonly Signer[],
): Promise<SigstoreTrust | null> {
  if (named !== undefined) return readTrustedRoot(named);
  if (policyPath === undefined || !needsTrustedRoot(signers)) return null;
  const beside = join(dirname(policyPath), TRUSTED_ROOT_FILE);
  const isThere = await access(beside).then(
    () => true,
    () => false,
  );
  if (isThere) return readTrustedRoot(beside);
  throw new FleetError(
    'upgrade_trusted_root_invalid',
    `${policyPath} lists Sigstore signers, and there is no ${TRUSTED_ROOT_FILE} beside it`,
    { context: { fix: 'Give --trusted-root FILE.' } },
  );
}

/** One line for each thing that was looked at. */
export function tellClaims(terminal: Terminal, about: string, claims: readonly Claim[]): void {
  terminal.out(`${about}\n`);
  for (const { what, holds, says } of claims) {
    terminal.out(`  ${holds ? 'passed' : 'FAILED'}  ${what.padEnd(11)}  ${plain(says)}\n`);
  }
}
