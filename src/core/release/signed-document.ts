import { createHash } from 'node:crypto';
import { z } from 'zod';
import { canonicalJson, DAY_MS, ok, refuse, type Refusal, type Result } from '../kernel/index.js';
import { SIGNATURE_BYTES_MAX } from './manifest.js';
import type { NodePolicy } from './policy.js';
import type { Signer } from './policy-signers.js';
import { judgeSignatures, type SignatureErrorCode } from './signatures.js';
import type { SigstoreTrust } from './sigstore-adapter.js';

/** 256 KiB: a channel index with its longest kill list has about 180 KiB. */
export const DOCUMENT_BYTES_MAX = 256 * 1024;
/** As many as a release can be published with. */
const SIGNATURES_MAX = 16;

/** A document and what was signed over it, as it is uploaded, served and fetched: one pair, one answer. */
export const SignedDocument = z.strictObject({
  /** The exact text that was signed. */
  document: z.string().min(2).max(DOCUMENT_BYTES_MAX),
  signatures: z.array(z.string().min(1).max(SIGNATURE_BYTES_MAX)).min(1).max(SIGNATURES_MAX),
});
export type SignedDocument = z.infer<typeof SignedDocument>;

/** What every signed document that ages has to have. */
export const ISSUED = {
  /** RFC 3339, UTC. */
  issued_at: z.iso.datetime(),
  expires_at: z.iso.datetime(),
};

/** Longer than this nobody should rely on one signature: who stops the next one hides it for so long. */
const VALIDITY_DAYS_MAX = 366;

/** For a schema with `ISSUED`: refuses moments that make no sense. */
export function checkTimes(
  times: { readonly issued_at: string; readonly expires_at: string },
  context: z.RefinementCtx,
): void {
  const validMs = Date.parse(times.expires_at) - Date.parse(times.issued_at);
  const say = (message: string): void => {
    context.addIssue({ code: 'custom', path: ['expires_at'], message });
  };
  if (validMs <= 0) say('it expires before it is issued');
  if (validMs > VALIDITY_DAYS_MAX * DAY_MS) {
    say(`it is valid for more than ${VALIDITY_DAYS_MAX} days`);
  }
}

/** The exact bytes that are signed. */
export const documentBytes = (document: Parameters<typeof canonicalJson>[0]): Uint8Array =>
  new TextEncoder().encode(canonicalJson(document));

export const documentDigest = (bytes: Uint8Array): string =>
  createHash('sha256').update(bytes).digest('hex');

type Form = Refusal<'release_document_invalid'>;

/**
 * Bytes to document. Refuses what is too large, not JSON, of another kind (each schema names itself
 * in `schema`, so no document can pass for another) or not in canonical form. Says every problem.
 */
export function parseDocument<T extends z.ZodType>(
  schema: T,
  bytes: Uint8Array,
  what: string,
): Result<z.output<T>, Form> {
  const fail = (message: string) => refuse('release_document_invalid' as const, message);
  if (bytes.byteLength > DOCUMENT_BYTES_MAX) {
    return fail(`${what} has ${bytes.byteLength} bytes; at most ${DOCUMENT_BYTES_MAX} are read`);
  }
  let text: string;
  let json: unknown;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    json = JSON.parse(text);
  } catch {
    return fail(`${what} is not UTF-8 JSON`);
  }
  const parsed = schema.safeParse(json);
  if (!parsed.success) {
    const problems = parsed.error.issues.map((i) => `${i.path.join('.') || what}: ${i.message}`);
    return fail(problems.join('; '));
  }
  if (canonicalJson(parsed.data as Parameters<typeof canonicalJson>[0]) !== text) {
    return fail(`${what} is not in canonical form (keys sorted, no white space)`);
  }
  return ok(parsed.data);
}

/** Whose signatures count, and the trusted root for those that need one. */
export interface Trust {
  readonly policy: Pick<NodePolicy, 'signers' | 'threshold'>;
  readonly trust: SigstoreTrust | null;
}
type Read<T extends z.ZodType> = Result<
  { readonly document: z.output<T>; readonly signerMarks: readonly string[] },
  Refusal<SignatureErrorCode | 'release_document_invalid'>
>;

/**
 * A signed document under a policy: as with a manifest, nothing is parsed before it is known that
 * enough listed signers signed these very bytes.
 */
export function readSigned<T extends z.ZodType>(
  schema: T,
  { document: text, signatures }: SignedDocument,
  { policy, trust }: Trust,
  what: string,
): Read<T> {
  const bytes = new TextEncoder().encode(text);
  const names = judgeSignatures(policy, bytes, signatures, trust);
  if (!names.ok) return names;
  const parsed = parseDocument(schema, bytes, what);
  if (!parsed.ok) return parsed;
  const signers = policy.signers.filter(({ name }) => names.value.includes(name));
  return ok({ document: parsed.value, signerMarks: signers.map(signerMark) });
}

/** Tells one signer of a policy from every other, by all that the policy says of it. */
export const signerMark = (signer: Signer): string => documentDigest(documentBytes(signer));
