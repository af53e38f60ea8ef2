import type { KeyObject, X509Certificate } from 'node:crypto';
import { verifyByLibrary, type SigstoreProblem, type SigstoreTrust } from './sigstore-adapter.js';
import {
  certificateFrom,
  digestName,
  isAbout,
  loggedSigner,
  spkiOf,
  type SigstoreBundle,
} from './sigstore-bundle.js';

export type SigstoreErrorCode = 'upgrade_signature_invalid' | 'upgrade_rekor_invalid';

/** One thing that had to be true, and whether it was; what was not reached is not listed. */
export interface Claim {
  readonly what: string;
  readonly holds: boolean;
  readonly says: string;
}

/** What a certificate says about who signed; vouched for by the authority that issued it. */
export interface KeylessIdentity {
  readonly issuer: string;
  /** The one subject alternative name. */
  readonly identity: string;
  /** Address of the source repository; null when the certificate does not say, as all below. */
  readonly repository: string | null;
  readonly ref: string | null;
  /** Address of the workflow, with its path and ref. */
  readonly workflow: string | null;
}

export interface Examined {
  /** Null when all held. */
  readonly code: SigstoreErrorCode | null;
  readonly claims: readonly Claim[];
  /** Of a keyless signature that held. */
  readonly identity: KeylessIdentity | null;
}

/** Extended key usage for signatures over code (RFC 5280, 4.2.1.12). */
const CODE_SIGNING = '1.3.6.1.5.5.7.3.3';
/** Fulcio's table of extensions, `1.3.6.1.4.1.57264.1.*`; from 8 on each is a DER UTF8String. */
const FULCIO = '1.3.6.1.4.1.57264.1';
const OIDS = {
  issuer: `${FULCIO}.8`,
  repository: `${FULCIO}.12`,
  ref: `${FULCIO}.14`,
  workflow: `${FULCIO}.18`,
} as const;

/**
 * Whether a bundle is a good signature over these bytes, whoever made it: claims in their order, up to
 * the first that does not hold. `key` is the public key of the signer for bundles without certificate.
 * Takes the clock of nobody: certificates count at the time that the log or an authority vouches for.
 */
export function examine(
  bundle: SigstoreBundle,
  bytes: Uint8Array,
  trust: SigstoreTrust,
  key: KeyObject | null,
): Examined {
  const claims: Claim[] = [];
  const fail = (code: SigstoreErrorCode, what: string, says: string): Examined => ({
    code,
    claims: [...claims, { what, holds: false, says }],
    identity: null,
  });
  if (!isAbout(bundle, bytes)) {
    return fail(
      'upgrade_signature_invalid',
      'content',
      `the bundle is about other bytes (${digestName(bundle)} differs)`,
    );
  }
  claims.push({ what: 'content', holds: true, says: 'the bundle is about these bytes' });
  const missing = missingEntry(bundle);
  if (missing !== null) return fail('upgrade_rekor_invalid', 'log entry', missing);
  const answer = verifyByLibrary(bundle, bytes, trust, key);
  if (!answer.ok) return fail(CODES[answer.step], answer.step, inWords(answer));
  const stranger = strangerInLog(bundle, key);
  if (stranger !== null) return fail('upgrade_rekor_invalid', 'log entry', stranger);
  const when = answer.times.map((time) => time.toISOString()).join(', ');
  claims.push(
    { what: 'time', holds: true, says: `signed at ${when}, vouched for by the trusted root` },
    { what: 'log entry', holds: true, says: 'this signature stands in a log of the trusted root' },
    { what: 'signature', holds: true, says: 'it fits the bytes' },
  );
  if (bundle.certificate === null) return { code: null, claims, identity: null };
  const read = identityIn(bundle.certificate, answer.signer.identity?.oids ?? []);
  if (typeof read === 'string') return fail('upgrade_signature_invalid', 'certificate', read);
  const says = 'issued by an authority of the trusted root, and counted at that time';
  claims.push({ what: 'certificate', holds: true, says });
  return { code: null, claims, identity: read };
}

const CODES: Readonly<Record<SigstoreProblem, SigstoreErrorCode>> = {
  form: 'upgrade_signature_invalid',
  time: 'upgrade_rekor_invalid',
  'log entry': 'upgrade_rekor_invalid',
  certificate: 'upgrade_signature_invalid',
  signature: 'upgrade_signature_invalid',
};

const WORDS: Readonly<Record<SigstoreProblem, string>> = {
  form: 'a certificate or time stamp in the bundle cannot be read',
  time: 'no log and no authority of the trusted root vouches for the time of signing',
  'log entry': 'the entry is of no log of the trusted root, or is about something else',
  certificate:
    'no authority of the trusted root vouches for the certificate at the time of signing',
  signature: 'it does not fit the bytes',
};

const inWords = ({ step, detail }: { step: SigstoreProblem; detail: string }): string =>
  `${WORDS[step]} (${detail})`;

/** v0.1 needs the promise of the log, later ones the proof. */
function missingEntry({ json, version }: SigstoreBundle): string | null {
  const { tlogEntries: entries } = json.verificationMaterial;
  if (entries.length === 0) return 'the bundle brings no entry of a transparency log';
  const isWhole = entries.every(({ inclusionPromise: promise, inclusionProof: proof }) =>
    version === '0.1' ? isThere(promise) : isThere(proof) && isThere(proof.checkpoint),
  );
  const needed = version === '0.1' ? 'the promise of the log' : 'a proof with a checkpoint';
  return isWhole ? null : `a bundle of v${version} needs ${needed} with each entry`;
}

const isThere = <T>(value: T): value is NonNullable<T> => value !== undefined && value !== null;

/** An entry must name the very certificate or key that signed. */
function strangerInLog(
  { json, certificate }: SigstoreBundle,
  key: KeyObject | null,
): string | null {
  const kind = certificate === null ? 'key' : 'certificate';
  const signer = certificate ?? (key === null ? null : spkiOf(key));
  const isSame = json.verificationMaterial.tlogEntries.every((entry) => {
    const logged = loggedSigner(entry);
    return logged?.kind === kind && signer !== null && logged.der.equals(signer);
  });
  return isSame ? null : `the entry names another ${kind} than the one that signed`;
}

type Extension = { readonly oid?: { readonly id: number[] } | undefined; readonly value: Buffer };

/** A sentence when the certificate is not one for signing, or says one thing twice. */
function identityIn(der: Buffer, extensions: readonly Extension[]): KeylessIdentity | string {
  const certificate = certificateFrom(der);
  if (certificate === null || !isForSigning(certificate)) {
    return 'the certificate is not one for signing code';
  }
  const identity = nameIn(certificate);
  if (identity === null) return 'the certificate has not one plain name';
  const texts = new Map(
    extensions.map(({ oid, value }) => [oid?.id.join('.'), utf8StringIn(value)]),
  );
  if (texts.size < extensions.length) return 'the certificate says one thing twice';
  const said = (id: string): string | null => texts.get(id) ?? null;
  const issuer = said(OIDS.issuer);
  if (issuer === null) return 'the certificate names no issuer of the identity';
  const [repository, ref, workflow] = [said(OIDS.repository), said(OIDS.ref), said(OIDS.workflow)];
  return { issuer, identity, repository, ref, workflow };
}

/** Not an authority itself. Without the extension the list is missing, whatever its type says. */
const isForSigning = ({ ca, keyUsage }: X509Certificate): boolean =>
  !ca && new Set<string>(keyUsage as string[] | undefined).has(CODE_SIGNING);

/** Several names are joined with commas, odd ones are quoted: neither is taken apart here. */
function nameIn({ subjectAltName = '' }: X509Certificate): string | null {
  const name = /^(?:URI|email):([!-~]{1,1000})$/.exec(subjectAltName)?.[1];
  return name === undefined || /[",]/.test(name) ? null : name;
}

/** The text of a DER UTF8String that fills the whole value; printable ASCII only. */
function utf8StringIn(der: Buffer): string | null {
  const [tag, first = 0x80] = der;
  const lengthBytes = first < 0x80 ? 0 : first & 0x7f;
  if (tag !== 0x0c || first === 0x80 || lengthBytes > 2) return null;
  const start = 2 + lengthBytes;
  const length =
    lengthBytes === 0 ? first : der.subarray(2, start).reduce((a, b) => a * 256 + b, 0);
  const text = der.toString('latin1', start);
  return text.length === length && /^[ -~]*$/.test(text) ? text : null;
}
