import { createHash, createPublicKey, type KeyObject } from 'node:crypto';
import { z } from 'zod';
import { parsePublicKey } from './minisign.js';
import { RefPattern } from './ref-pattern.js';
import { spkiOf } from './sigstore-bundle.js';

const SignerName = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9 ._@-]{0,63}$/);
const MinisignKeyText = z
  .string()
  .max(300)
  .refine((text) => parsePublicKey(text).ok, 'not a minisign public key');

/** Shorter ones count as broken (NIST SP 800-131A). */
const RSA_BITS_MIN = 2_048;
const CURVES = ['prime256v1', 'secp384r1', 'secp521r1'];

/** Kinds of key that a log of today takes with a digest: ECDSA on NIST curves, and RSA. */
function isSigningKey(pem: string): boolean {
  if (
    !/^-----BEGIN PUBLIC KEY-----\r?\n[A-Za-z0-9+/=\r\n]+-----END PUBLIC KEY-----\s*$/.test(pem)
  ) {
    return false;
  }
  return spkiOf(pem) !== null && isStrong(createPublicKey(pem));
}

function isStrong({ asymmetricKeyType: type, asymmetricKeyDetails: details }: KeyObject): boolean {
  if (type === 'ec') return CURVES.includes(details?.namedCurve ?? '');
  return type === 'rsa' && (details?.modulusLength ?? 0) >= RSA_BITS_MIN;
}

const PLAIN = '(no spaces, no stars: it is compared letter by letter)';
const NAME = '[A-Za-z0-9._-]+';
const Https = z
  .url({ protocol: /^https$/ })
  .max(300)
  .regex(/^[!-)+-~]+$/, PLAIN);

/** A key of minisign. */
const MinisignSigner = z.strictObject({
  name: SignerName,
  kind: z.literal('minisign').optional(),
  public_key: MinisignKeyText,
});

/** A key whose owner keeps it, and whose signatures stand in a transparency log. */
const KeySigner = z.strictObject({
  name: SignerName,
  kind: z.literal('sigstore-key'),
  public_key: z
    .string()
    .max(2_000)
    .refine(isSigningKey, 'not a public key in PEM (ECDSA on P-256, P-384, P-521; RSA from 2048)'),
});

/**
 * A workflow that signs without keeping a key: who it is stands in a certificate that lives for minutes.
 * Everything that tells it from another is pinned, and each must fit; left out is only `identity`, and
 * then it is what follows from the others.
 */
const KeylessSigner = z.strictObject({
  name: SignerName,
  kind: z.literal('sigstore'),
  /** Who vouches for the workflow, such as `https://token.actions.githubusercontent.com`. */
  issuer: Https,
  /** Address of the source, such as `https://github.com/acme/edge`. */
  repository: Https.regex(
    new RegExp(`^https://[a-z0-9.-]+(:[0-9]{1,5})?(/${NAME}){2,8}$`),
    'take an address such as https://github.com/acme/edge',
  ).refine((text) => !/\/\.{1,2}(\/|$)|\.git$/.test(text), 'without dots for folders and .git'),
  /** Path of the workflow in it, such as `.github/workflows/release.yml`. */
  workflow: z
    .string()
    .max(200)
    .regex(
      new RegExp(`^/?${NAME}(/${NAME})*$`),
      'take a path such as .github/workflows/release.yml',
    )
    .refine((text) => !/(^|\/)\.{1,2}(\/|$)/.test(text), 'without dots for folders'),
  ref: RefPattern,
  /**
   * The exact name in the certificate. Left out, `repository/workflow@ref`; to be given only where a
   * workflow of another place does the signing (reusable workflows).
   */
  identity: z
    .string()
    .min(3)
    .max(1_000)
    .regex(/^[!-)+-~]+$/, PLAIN)
    .optional(),
});
export type KeylessSigner = z.infer<typeof KeylessSigner>;

/** Someone whose signature counts on this node. */
export const Signer = z.discriminatedUnion('kind', [MinisignSigner, KeySigner, KeylessSigner]);
export type Signer = z.infer<typeof Signer>;

/** The key that a signer stands for, whatever its format; null for keyless ones, or when it is none. */
export function keyOf(signer: Signer): KeyObject | null {
  if (signer.kind === 'sigstore') return null;
  if (signer.kind === 'sigstore-key') {
    return spkiOf(signer.public_key) === null ? null : createPublicKey(signer.public_key);
  }
  const key = parsePublicKey(signer.public_key);
  return key.ok ? key.value.key : null;
}

/**
 * Who is behind a signer: what counts once for a threshold. Two spellings, ids or formats of one key are
 * one; so are all branches and tags of one workflow, whoever may push to them.
 */
export function whoIs(signer: Signer): string {
  if (signer.kind === 'sigstore') {
    const { issuer, repository, workflow } = signer;
    return `workflow ${issuer} ${repository} ${workflow}`;
  }
  const key = keyOf(signer);
  const spki = key === null ? null : spkiOf(key);
  if (spki === null) return `unreadable ${signer.name}`;
  return `key ${createHash('sha256').update(spki).digest('hex')}`;
}

/** Whether somebody's signature needs the trusted root of Sigstore to be verified. */
export const needsTrustedRoot = (signers: readonly Signer[]): boolean =>
  signers.some(({ kind }) => kind === 'sigstore' || kind === 'sigstore-key');
