import { createPublicKey, type KeyObject } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { FleetError } from '../../core/kernel/index.js';
import {
  examine,
  parseBundle,
  SIGNATURE_BYTES_MAX,
  type Claim,
  type Examined,
} from '../../core/release/index.js';
import { usageError, type Command, type Given } from '../command.js';
import { readSmall } from './folder.js';
import { readTrustedRoot, tellClaims } from './trust-files.js';

/** It is held in memory: what is signed here are manifests, and other things of people's size. */
const ARTIFACT_BYTES_MAX = 1024 ** 3;

export const verifyBundle: Command = {
  name: 'release verify-bundle',
  summary: 'verify one Sigstore bundle over any file, offline',
  operands: ['ARTIFACT'],
  options: {
    bundle: { value: 'FILE', help: 'the bundle, v0.1 to v0.3', isRequired: true },
    'trusted-root': { value: 'FILE', help: 'trusted root of Sigstore', isRequired: true },
    'certificate-identity': { value: 'I', help: 'exact name in the certificate' },
    'certificate-oidc-issuer': { value: 'O', help: 'exact issuer of that identity' },
    key: { value: 'FILE', help: 'public key in PEM, for bundles without certificate' },
  },
  notes: [
    'Exit code 0 when the signature is good and by that identity or key, 1 when it is not, with the',
    'reason. A policy asks for more: repository, workflow and ref (`bellwether release verify`).',
  ],
  run: async (given, terminal) => {
    const who = await wanted(given);
    const path = given.text('bundle');
    const trust = await readTrustedRoot(given.text('trusted-root'));
    const artifact = await readSmall(given.operand(0), ARTIFACT_BYTES_MAX);
    const bundle = parseBundle((await readSmall(path, SIGNATURE_BYTES_MAX)).toString('utf8'));
    if (!bundle.ok) throw new FleetError(bundle.error.code, `${path}: ${bundle.error.message}`);
    const hasKey = bundle.value.certificate === null;
    if (hasKey !== (who.key !== null)) {
      const has = hasKey ? 'is signed with a key' : 'is signed by an identity';
      throw new FleetError('upgrade_identity_not_allowed', `${path} ${has}; another was asked for`);
    }
    const examined = examine(bundle.value, artifact, trust, who.key);
    const claims = [...examined.claims, ...pinsOf(who, examined)];
    tellClaims(terminal, path, claims);
    const wrong = claims.find(({ holds }) => !holds);
    if (wrong === undefined) return;
    const code = examined.code ?? 'upgrade_identity_not_allowed';
    throw new FleetError(code, `${wrong.what}: ${wrong.says}`);
  },
};

interface Wanted {
  readonly key: KeyObject | null;
  readonly identity: string;
  readonly issuer: string;
}

async function wanted(given: Given): Promise<Wanted> {
  const identity = given.optional('certificate-identity');
  const issuer = given.optional('certificate-oidc-issuer');
  const file = given.optional('key');
  if (file === undefined && identity !== undefined && issuer !== undefined) {
    return { key: null, identity, issuer };
  }
  if (file === undefined || identity !== undefined || issuer !== undefined) {
    throw usageError(
      'say whose signature it must be',
      'Give --certificate-identity and --certificate-oidc-issuer, or --key.',
    );
  }
  try {
    const key = createPublicKey(await readFile(file));
    return { key, identity: '', issuer: '' };
  } catch (error) {
    if ((error as { syscall?: string }).syscall !== undefined) throw error;
    throw usageError(`--key ${file}: not a public key in PEM`);
  }
}

function pinsOf(who: Wanted, { code, identity }: Examined): Claim[] {
  if (code !== null || identity === null) return [];
  return (['issuer', 'identity'] as const).map((what) => {
    const holds = identity[what] === who[what];
    const says = holds ? identity[what] : `${identity[what]}; wanted is ${who[what]}`;
    return { what, holds, says };
  });
}
