import { createHash, createPublicKey, X509Certificate, type KeyObject } from 'node:crypto';
import { z } from 'zod';
import { ok, refuse, type Refusal, type Result } from '../kernel/index.js';

/**
 * A Sigstore bundle: a signature over bytes, with who made it and the entry of the log that tells when.
 * Read by a schema of our own before the library sees it, and the library sees only what stands in it.
 */

/** Each is checked by itself, so a bundle must not bring many. Real ones have one or two. */
const ENTRIES_MAX = 4;
/** A tree with 2^64 leaves has paths of twice that at most. */
const PATH_MAX = 128;
const BYTES_MAX = 48 * 1024;

/** As they stand in bundles of these versions; both spellings of v0.3 are in use. */
const MEDIA_TYPES = {
  'application/vnd.dev.sigstore.bundle+json;version=0.1': '0.1',
  'application/vnd.dev.sigstore.bundle+json;version=0.2': '0.2',
  'application/vnd.dev.sigstore.bundle+json;version=0.3': '0.3',
  'application/vnd.dev.sigstore.bundle.v0.3+json': '0.3',
} as const;
const MediaType = z.enum(
  Object.keys(MEDIA_TYPES) as [keyof typeof MEDIA_TYPES, ...(keyof typeof MEDIA_TYPES)[]],
  'not a bundle of v0.1, v0.2 or v0.3',
);

const Base64 = z
  .string()
  .min(4)
  .max(BYTES_MAX)
  .regex(/^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/, 'not base64')
  // Bits that no byte needs could be anything: one signature would have several texts.
  .refine((text) => Buffer.from(text, 'base64').toString('base64') === text, 'not plain base64');
/** Numbers of 64 bits are texts in this JSON; some writers make them numbers. */
const Count = z
  .union([z.string().regex(/^\d{1,20}$/), z.int().min(0)], { error: 'not a number' })
  .transform(String);
const Raw = z.object({ rawBytes: Base64 });

const LogEntry = z.object({
  logIndex: Count.default('0'),
  logId: z.object({ keyId: Base64 }),
  /** What is signed is bytes, not an envelope: no other kind of entry can be about it. */
  kindVersion: z.object({
    kind: z.literal('hashedrekord', { error: 'not an entry for a signature over bytes' }),
    version: z.enum(['0.0.1', '0.0.2']),
  }),
  integratedTime: Count.default('0'),
  inclusionPromise: z.object({ signedEntryTimestamp: Base64 }).nullish(),
  inclusionProof: z
    .object({
      logIndex: Count.default('0'),
      rootHash: Base64,
      treeSize: Count,
      hashes: z.array(Base64).max(PATH_MAX).default([]),
      checkpoint: z.object({ envelope: z.string().min(1).max(8_192) }).nullish(),
    })
    .nullish(),
  canonicalizedBody: Base64,
});
type LogEntry = z.infer<typeof LogEntry>;

const Bundle = z.object({
  mediaType: MediaType,
  verificationMaterial: z
    .object({
      certificate: Raw.nullish(),
      x509CertificateChain: z.object({ certificates: z.array(Raw).min(1).max(8) }).nullish(),
      publicKey: z.object({ hint: z.string().max(500).default('') }).nullish(),
      tlogEntries: z.array(LogEntry).max(ENTRIES_MAX).default([]),
      timestampVerificationData: z
        .object({
          rfc3161Timestamps: z
            .array(z.object({ signedTimestamp: Base64 }))
            .max(ENTRIES_MAX)
            .default([]),
        })
        .nullish(),
    })
    .refine(
      ({ certificate, x509CertificateChain: chain, publicKey }) =>
        [certificate, chain, publicKey].filter((one) => one !== undefined && one !== null)
          .length === 1,
      'one of certificate, x509CertificateChain and publicKey must be there',
    ),
  messageSignature: z.object(
    {
      messageDigest: z.object({
        algorithm: z.enum(['SHA2_256', 'SHA2_384', 'SHA2_512']),
        digest: Base64,
      }),
      signature: Base64,
    },
    { error: 'not a signature over bytes (messageSignature)' },
  ),
});

/** The form of a bundle; nothing in it is verified. */
export interface SigstoreBundle {
  readonly version: '0.1' | '0.2' | '0.3';
  /** What the library may see. */
  readonly json: z.infer<typeof Bundle>;
  /** Of whoever signed, in DER; null when a key signed that the bundle does not hold. */
  readonly certificate: Buffer | null;
  readonly signature: Buffer;
}

/** Whether a signature text is meant as a bundle: minisign's begin with a comment. */
export const isBundleText = (text: string): boolean => /^\s*\{/.test(text);

/**
 * Reads a bundle of v0.1 to v0.3 over bytes. Strict where two readers could see two things: one kind of
 * signer, one kind of content, only known numbers for versions. Says every problem. Its bounds keep
 * what a stranger can make us compute small. The caller has bounded the text.
 */
export function parseBundle(
  text: string,
): Result<SigstoreBundle, Refusal<'upgrade_signature_invalid'>> {
  const fail = (why: string): ReturnType<typeof parseBundle> =>
    refuse('upgrade_signature_invalid', `not a Sigstore bundle: ${why}`);
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return fail('not JSON');
  }
  if (Envelope.safeParse(json).success) return fail('it signs an envelope, not bytes');
  const parsed = Bundle.safeParse(json);
  if (!parsed.success) {
    const problems = parsed.error.issues.map(
      (i) => `${i.path.join('.') || 'bundle'}: ${i.message}`,
    );
    return fail(problems.slice(0, 10).join('; '));
  }
  const certificate = leafIn(parsed.data);
  if (certificate !== null && certificateFrom(certificate) === null) {
    return fail('its certificate is none');
  }
  return ok({
    version: MEDIA_TYPES[parsed.data.mediaType],
    json: parsed.data,
    certificate,
    signature: Buffer.from(parsed.data.messageSignature.signature, 'base64'),
  });
}

const Envelope = z.object({ dsseEnvelope: z.object() });

/** The certificate of whoever signed; in a chain it is the first. */
function leafIn({ verificationMaterial: material }: z.infer<typeof Bundle>): Buffer | null {
  const raw = material.certificate ?? material.x509CertificateChain?.certificates[0];
  return raw === undefined ? null : Buffer.from(raw.rawBytes, 'base64');
}

const NODE_NAMES = { SHA2_256: 'sha256', SHA2_384: 'sha384', SHA2_512: 'sha512' } as const;

/** Name of the digest as `node:crypto` knows it. */
export const digestName = ({ json }: SigstoreBundle): 'sha256' | 'sha384' | 'sha512' =>
  NODE_NAMES[json.messageSignature.messageDigest.algorithm];

/** Whether the bundle itself says that it is about these bytes. A claim, and a cheap one to check. */
export const isAbout = (bundle: SigstoreBundle, bytes: Uint8Array): boolean =>
  createHash(digestName(bundle)).update(bytes).digest('base64') ===
  bundle.json.messageSignature.messageDigest.digest;

export function certificateFrom(der: Buffer): X509Certificate | null {
  try {
    return new X509Certificate(der);
  } catch {
    return null;
  }
}

/** DER of a key in PEM or DER, so that two spellings of one key are one; null when it is none. */
export function spkiOf(key: string | Buffer | KeyObject): Buffer | null {
  try {
    const read = Buffer.isBuffer(key)
      ? createPublicKey({ key, format: 'der', type: 'spki' })
      : typeof key === 'string'
        ? createPublicKey(key)
        : key;
    return read.export({ type: 'spki', format: 'der' });
  } catch {
    return null;
  }
}

const Pem = z.object({
  spec: z.object({
    signature: z.object({ publicKey: z.object({ content: Base64 }) }),
  }),
});
const Verifier = z.object({
  spec: z.object({
    hashedRekordV002: z.object({
      signature: z.object({
        verifier: z.object({ publicKey: Raw.optional(), x509Certificate: Raw.optional() }),
      }),
    }),
  }),
});

/**
 * Who signed, as an entry of the log has it: the certificate or the key, in DER. The library compares
 * signature and digest of an entry, not this. Null when the entry does not say.
 */
export function loggedSigner(
  entry: LogEntry,
): { readonly kind: 'certificate' | 'key'; readonly der: Buffer } | null {
  let body: unknown;
  try {
    body = JSON.parse(Buffer.from(entry.canonicalizedBody, 'base64').toString('utf8'));
  } catch {
    return null;
  }
  const first = Pem.safeParse(body);
  if (first.success) {
    const pem = Buffer.from(first.data.spec.signature.publicKey.content, 'base64').toString('utf8');
    if (!pem.includes('BEGIN CERTIFICATE')) return signerOf('key', spkiOf(pem));
    return signerOf('certificate', certificateFrom(Buffer.from(pem))?.raw);
  }
  const second = Verifier.safeParse(body);
  if (!second.success) return null;
  const { publicKey: key, x509Certificate: cert } =
    second.data.spec.hashedRekordV002.signature.verifier;
  if (cert !== undefined) return signerOf('certificate', Buffer.from(cert.rawBytes, 'base64'));
  return signerOf('key', key === undefined ? null : spkiOf(Buffer.from(key.rawBytes, 'base64')));
}

const signerOf = (
  kind: 'certificate' | 'key',
  der: Buffer | null | undefined,
): { readonly kind: 'certificate' | 'key'; readonly der: Buffer } | null =>
  der === null || der === undefined ? null : { kind, der };
