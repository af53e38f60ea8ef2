import { createPublicKey, X509Certificate } from 'node:crypto';
import { z } from 'zod';
import { err, ok, type Refusal, type Result } from '../kernel/index.js';
import { trustFrom, type SigstoreTrust } from './sigstore-adapter.js';

/** 256 KiB: the root of the public instance has 7 KiB after five years. */
export const TRUSTED_ROOT_BYTES_MAX = 256 * 1024;
const ENTRIES_MAX = 32;
/** Shorter ones count as broken (NIST SP 800-131A). */
const RSA_BITS_MIN = 2_048;

const Base64 = (bytesMax: number): z.ZodString =>
  z
    .string()
    .min(4)
    .max(Math.ceil(bytesMax / 3) * 4)
    .regex(/^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/, 'not base64');

/**
 * A key or authority without a start would count since ever (so reads it the library), one with a
 * misspelt end for ever: the first must be there, and unknown fields are refused.
 */
const ValidFor = z
  .strictObject({
    start: z.iso.datetime({ offset: true, error: 'since when it counts must be there' }),
    end: z.iso.datetime({ offset: true }).optional(),
  })
  .refine(({ start, end }) => end === undefined || Date.parse(start) < Date.parse(end), {
    message: 'it ends before it starts',
  });

const LogId = z.strictObject({ keyId: Base64(64) });

const isKey = (rawBytes: string): boolean => {
  const der = Buffer.from(rawBytes, 'base64');
  for (const type of ['spki', 'pkcs1'] as const) {
    try {
      const key = createPublicKey({ key: der, format: 'der', type });
      const bits = key.asymmetricKeyDetails?.modulusLength;
      return ['ec', 'ed25519', 'rsa'].includes(key.asymmetricKeyType ?? '')
        ? bits === undefined || bits >= RSA_BITS_MIN
        : false;
    } catch {
      continue;
    }
  }
  return false;
};

const isCertificate = (rawBytes: string): boolean => {
  try {
    return new X509Certificate(Buffer.from(rawBytes, 'base64')).raw.length > 0;
  } catch {
    return false;
  }
};

const Log = z.strictObject({
  baseUrl: z.url({ protocol: /^https?$/ }).max(500),
  hashAlgorithm: z.literal('SHA2_256'),
  publicKey: z.strictObject({
    rawBytes: Base64(2_048).refine(isKey, 'not a public key that is strong enough'),
    keyDetails: z
      .string()
      .max(64)
      .regex(/^(PKIX|PKCS1)_[A-Z0-9_]+$/),
    validFor: ValidFor,
  }),
  logId: LogId,
  checkpointKeyId: LogId.optional(),
  operator: z.string().max(200).optional(),
});
type Log = z.infer<typeof Log>;

const Authority = z.strictObject({
  subject: z
    .strictObject({
      organization: z.string().max(200).optional(),
      commonName: z.string().max(200).optional(),
    })
    .optional(),
  uri: z.string().max(500).optional(),
  certChain: z.strictObject({
    certificates: z
      .array(z.strictObject({ rawBytes: Base64(8_192).refine(isCertificate, 'not a certificate') }))
      .min(1)
      .max(8),
  }),
  validFor: ValidFor,
  operator: z.string().max(200).optional(),
});

/** An entry of a log names it by the one or the other. */
const idsOf = ({ logId, checkpointKeyId }: Log): string[] => [
  ...new Set([logId.keyId, ...(checkpointKeyId === undefined ? [] : [checkpointKeyId.keyId])]),
];
const areDistinct = (logs: readonly Log[]): boolean => {
  const ids = logs.flatMap(idsOf);
  return new Set(ids).size === ids.length;
};
const Logs = z.array(Log).max(ENTRIES_MAX).refine(areDistinct, 'one log stands there twice');

const TrustedRoot = z.strictObject({
  mediaType: z.enum([
    'application/vnd.dev.sigstore.trustedroot+json;version=0.1',
    'application/vnd.dev.sigstore.trustedroot.v0.2+json',
  ]),
  /** Without a log nothing can be verified. */
  tlogs: Logs.min(1),
  /** May be empty where only keys sign. */
  certificateAuthorities: z.array(Authority).max(ENTRIES_MAX).default([]),
  ctlogs: Logs.default([]),
  timestampAuthorities: z.array(Authority).max(ENTRIES_MAX).default([]),
});

/**
 * Reads `trusted_root.json`: the keys of logs and authorities that Sigstore signatures lean on. Checked
 * before anything leans on it: bounded, exactly of its schema, every entry with the start of its time,
 * every key and certificate readable, no log twice. Says every problem.
 */
export function parseTrustedRoot(
  bytes: Uint8Array,
): Result<SigstoreTrust, Refusal<'upgrade_trusted_root_invalid'>> {
  const fail = (message: string): Result<SigstoreTrust, Refusal<'upgrade_trusted_root_invalid'>> =>
    err({ code: 'upgrade_trusted_root_invalid', message });
  if (bytes.byteLength > TRUSTED_ROOT_BYTES_MAX) {
    return fail(`${bytes.byteLength} bytes; at most ${TRUSTED_ROOT_BYTES_MAX} are read`);
  }
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    return fail('not UTF-8 JSON');
  }
  const parsed = TrustedRoot.safeParse(json);
  if (!parsed.success) {
    const problems = parsed.error.issues.map((i) => `${i.path.join('.') || 'root'}: ${i.message}`);
    return fail(problems.slice(0, 20).join('; '));
  }
  const trust = trustFrom(parsed.data);
  return trust === null ? fail('a key or certificate in it cannot be used') : ok(trust);
}
