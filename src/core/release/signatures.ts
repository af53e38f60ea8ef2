import { verify as verifyBytes, type KeyObject } from 'node:crypto';
import { ok, refuse, type Refusal, type Result } from '../kernel/index.js';
import { SIGNATURE_BYTES_MAX } from './manifest.js';
import { isSignedBy, parsePublicKey, parseSignature, shownKeyId } from './minisign.js';
import type { NodePolicy } from './policy.js';
import {
  keyOf,
  needsTrustedRoot,
  whoIs,
  type KeylessSigner,
  type Signer,
} from './policy-signers.js';
import { matchesRef } from './ref-pattern.js';
import type { SigstoreTrust } from './sigstore-adapter.js';
import {
  digestName,
  isBundleText,
  loggedSigner,
  parseBundle,
  spkiOf,
  type SigstoreBundle,
} from './sigstore-bundle.js';
import { examine, type Claim, type KeylessIdentity } from './sigstore.js';

export type SignatureErrorCode =
  | 'upgrade_signature_invalid'
  | 'upgrade_identity_not_allowed'
  | 'upgrade_rekor_invalid'
  | 'upgrade_trusted_root_invalid';

/** As many as there may be signers. More are refused as a whole: checking them costs time. */
const SIGNATURES_MAX = 32;

/**
 * What is wrong with a signature: its form; that nobody listed made it; that it claims to be of somebody
 * listed, or of an authority that we trust, and is not; that it is not in the log.
 */
type Problem = 'malformed' | 'stranger' | 'forged' | 'not logged';

/** One signature, looked at. */
export interface Finding {
  /** Its place in the list that was given. */
  readonly index: number;
  readonly kind: 'minisign' | 'sigstore';
  /** Whose signature in the policy it is; null when there is a problem. */
  readonly signer: string | null;
  readonly problem: Problem | null;
  /** What was looked at, in order, up to the first that does not hold. */
  readonly claims: readonly Claim[];
  /** Who made it, as far as it says. */
  readonly by: string;
}

export interface Assessment {
  readonly findings: readonly Finding[];
  /** Whose signatures count, each once, sorted. */
  readonly names: readonly string[];
  /** The names, when they are enough. */
  readonly verdict: Result<string[], Refusal<SignatureErrorCode>>;
}

type Signers = Pick<NodePolicy, 'signers' | 'threshold'>;

/**
 * Which listed signers signed these bytes: enough of them, each counted once, whatever the order of
 * the signatures. The names come back sorted. Tells a stranger (`upgrade_identity_not_allowed`: nothing
 * is wrong with the signatures but who made them) from a signature that is not in the log
 * (`upgrade_rekor_invalid`) and from a forgery or too few (`upgrade_signature_invalid`). `trust` is the
 * trusted root of Sigstore; a policy that lists Sigstore signers refuses everything without it
 * (`upgrade_trusted_root_invalid`).
 */
export const judgeSignatures = (
  policy: Signers,
  bytes: Uint8Array,
  signatures: readonly string[],
  trust: SigstoreTrust | null = null,
): Result<string[], Refusal<SignatureErrorCode>> =>
  assessSignatures(policy, bytes, signatures, trust).verdict;

/** The same, and what was found on the way, for people. */
export function assessSignatures(
  policy: Signers,
  bytes: Uint8Array,
  signatures: readonly string[],
  trust: SigstoreTrust | null = null,
): Assessment {
  const refused = (code: SignatureErrorCode, message: string): Assessment => ({
    findings: [],
    names: [],
    verdict: refuse(code, message),
  });
  if (signatures.length > SIGNATURES_MAX) {
    return refused(
      'upgrade_signature_invalid',
      `${signatures.length} signatures; at most ${SIGNATURES_MAX} are looked at`,
    );
  }
  if (trust === null && needsTrustedRoot(policy.signers)) {
    return refused(
      'upgrade_trusted_root_invalid',
      'the policy lists Sigstore signers, and there is no trusted root to verify them by',
    );
  }
  const looking = { signers: policy.signers, bytes, trust };
  const findings = signatures.map((text, index) => ({ index, ...findingOf(text, looking) }));
  const names = namesOf(policy.signers, findings);
  const isEnough = names.length >= policy.threshold;
  const verdict = isEnough ? ok(names) : refusalFor(policy, findings, names);
  return { findings, names, verdict };
}

/** Whether a text is a signature of a kind that we know; says nothing about who signed what. */
export function checkSignatureForm(
  text: string,
): Result<'minisign' | 'sigstore', Refusal<'upgrade_signature_invalid'>> {
  const bytes = Buffer.byteLength(text);
  if (bytes > SIGNATURE_BYTES_MAX) {
    return refuse(
      'upgrade_signature_invalid',
      `the signature has ${bytes} bytes; at most ${SIGNATURE_BYTES_MAX} are read`,
    );
  }
  const kind = isBundleText(text) ? 'sigstore' : 'minisign';
  const parsed = kind === 'sigstore' ? parseBundle(text) : parseSignature(text);
  return parsed.ok ? ok(kind) : parsed;
}

interface Looking {
  readonly signers: readonly Signer[];
  readonly bytes: Uint8Array;
  readonly trust: SigstoreTrust | null;
}
type Found = Omit<Finding, 'index'>;

function findingOf(text: string, looking: Looking): Found {
  const kind = isBundleText(text) ? 'sigstore' : 'minisign';
  const form = checkSignatureForm(text);
  if (!form.ok) {
    const claims = [{ what: 'form', holds: false, says: form.error.message }];
    return { kind, signer: null, problem: 'malformed', claims, by: 'nobody' };
  }
  if (kind === 'minisign') return minisignFinding(text, looking);
  const bundle = parseBundle(text);
  if (!bundle.ok) throw new Error('a bundle whose form was right before');
  const says = `a Sigstore bundle of v${bundle.value.version}`;
  const found =
    bundle.value.certificate === null
      ? managedFinding(bundle.value, looking)
      : keylessFinding(bundle.value, looking);
  return { ...found, claims: [{ what: 'form', holds: true, says }, ...found.claims] };
}

const stranger = (kind: Finding['kind'], by: string, claims: readonly Claim[]): Found => ({
  kind,
  signer: null,
  problem: 'stranger',
  claims,
  by,
});
const notListed = (by: string): Claim => ({
  what: 'signer',
  holds: false,
  says: `${by} is not a signer of the policy`,
});
const listed = (name: string): Claim => ({
  what: 'signer',
  holds: true,
  says: `${name} of the policy`,
});

function minisignFinding(text: string, { signers, bytes }: Looking): Found {
  const kind = 'minisign';
  const signature = parseSignature(text);
  if (!signature.ok) throw new Error('a signature whose form was right before');
  const { keyId } = signature.value;
  const by = `key ${shownKeyId(keyId)}`;
  const claimed = signers.flatMap((signer) => {
    if (signer.kind === 'sigstore' || signer.kind === 'sigstore-key') return [];
    const key = parsePublicKey(signer.public_key);
    return key.ok && key.value.keyId === keyId ? [{ name: signer.name, key: key.value }] : [];
  });
  if (claimed.length === 0) return stranger(kind, by, [notListed(by)]);
  const owner = claimed.find(({ key }) => isSignedBy(key, bytes, signature.value));
  if (owner === undefined) {
    const says = `it says to be by ${by}, and does not fit these bytes`;
    const claims = [{ what: 'signature', holds: false, says }];
    return { kind, signer: null, problem: 'forged', claims, by };
  }
  const says = `by ${by}, it fits the bytes`;
  const claims = [{ what: 'signature', holds: true, says }, listed(owner.name)];
  return { kind, signer: owner.name, problem: null, claims, by };
}

/** Which key a bundle is by stands in none of its signed parts: the keys of the policy are tried. */
function managedFinding(bundle: SigstoreBundle, { signers, bytes, trust }: Looking): Found {
  const kind = 'sigstore';
  const by = 'a key';
  const keys = signers.flatMap((signer) => {
    const key = signer.kind === 'sigstore-key' ? keyOf(signer) : null;
    return key === null ? [] : [{ name: signer.name, key }];
  });
  const owner = keys.find(({ key }) => hasSigned(key, bundle, bytes));
  if (owner === undefined || trust === null) {
    const isClaimed = keys.some(({ key }) => isLoggedFor(bundle, key));
    if (!isClaimed) return stranger(kind, by, [notListed(by)]);
    const says = 'it stands in the log under a key of the policy, and does not fit these bytes';
    const claims = [{ what: 'signature', holds: false, says }];
    return { kind, signer: null, problem: 'forged', claims, by };
  }
  const examined = examine(bundle, bytes, trust, owner.key);
  const whose = `the key of ${owner.name}`;
  if (examined.code !== null) return bad(examined.code, examined.claims, whose);
  const claims = [...examined.claims, listed(owner.name)];
  return { kind, signer: owner.name, problem: null, claims, by: whose };
}

const bad = (code: SignatureErrorCode, claims: readonly Claim[], by: string): Found => ({
  kind: 'sigstore',
  signer: null,
  problem: code === 'upgrade_rekor_invalid' ? 'not logged' : 'forged',
  claims,
  by,
});

function hasSigned(key: KeyObject, bundle: SigstoreBundle, bytes: Uint8Array): boolean {
  try {
    return verifyBytes(digestName(bundle), bytes, key, bundle.signature);
  } catch {
    return false;
  }
}

const isLoggedFor = ({ json }: SigstoreBundle, key: KeyObject): boolean =>
  json.verificationMaterial.tlogEntries.some((entry) => {
    const logged = loggedSigner(entry);
    return logged?.kind === 'key' && spkiOf(key)?.equals(logged.der) === true;
  });

function keylessFinding(bundle: SigstoreBundle, { signers, bytes, trust }: Looking): Found {
  const kind = 'sigstore';
  const keyless = signers.filter((signer) => signer.kind === 'sigstore');
  if (keyless.length === 0 || trust === null) {
    const by = 'a workflow or person without key';
    return stranger(kind, by, [notListed(by)]);
  }
  const examined = examine(bundle, bytes, trust, null);
  const { identity } = examined;
  if (examined.code !== null || identity === null) {
    return bad(examined.code ?? 'upgrade_signature_invalid', examined.claims, 'a certificate');
  }
  const compared = keyless.map((signer) => ({ signer, claims: comparedWith(signer, identity) }));
  const held = (claims: readonly Claim[]): number => claims.filter(({ holds }) => holds).length;
  // Of several the first; when none fits, the one that is told is the nearest.
  const nearest = compared.reduce((a, b) => (held(b.claims) > held(a.claims) ? b : a));
  const by = identity.identity;
  const claims = [...examined.claims, ...nearest.claims];
  const { name } = nearest.signer;
  if (held(nearest.claims) < nearest.claims.length) {
    return stranger(kind, by, [...claims, notListed(by)]);
  }
  return { kind, signer: name, problem: null, claims: [...claims, listed(name)], by };
}

/** Each pin of a signer against what the certificate says. All are compared, letter by letter. */
function comparedWith(signer: KeylessSigner, found: KeylessIdentity): Claim[] {
  const { repository, workflow } = signer;
  const ref = found.ref ?? '';
  const address = `${repository}/${workflow}@${ref}`;
  const pin = (
    what: string,
    said: string | null,
    wanted: string,
    holds = said === wanted,
  ): Claim => ({
    what,
    holds,
    says: holds ? (said ?? '') : `${said ?? 'not in the certificate'}; the policy wants ${wanted}`,
  });
  return [
    pin('issuer', found.issuer, signer.issuer),
    pin('identity', found.identity, signer.identity ?? address),
    pin('repository', found.repository, repository),
    pin('ref', found.ref, signer.ref, found.ref !== null && matchesRef(signer.ref, ref)),
    pin('workflow', found.workflow, address),
  ];
}

/** Who signed, sorted. One key or workflow counts once, under the first name that fits, however often it signed. */
function namesOf(signers: readonly Signer[], findings: readonly Finding[]): string[] {
  const matched = new Set(findings.map(({ signer }) => signer));
  const counted = new Map<string, string>();
  for (const signer of signers) {
    const who = whoIs(signer);
    if (matched.has(signer.name) && !counted.has(who)) counted.set(who, signer.name);
  }
  return [...counted.values()].sort();
}

function refusalFor(
  { signers, threshold }: Signers,
  findings: readonly Finding[],
  names: readonly string[],
): { ok: false; error: Refusal<SignatureErrorCode> } {
  const formed = findings.filter(({ problem }) => problem !== 'malformed');
  const problems = new Set(formed.map(({ problem }) => problem));
  if (problems.size === 1 && problems.has('stranger')) {
    const all = signers.map((signer) => `${signer.name} (${shown(signer)})`).join(', ');
    return refuse(
      'upgrade_identity_not_allowed',
      `signed by ${listOf(formed.map(whySoOrBy))}; allowed: ${all === '' ? 'nobody' : all}`,
    );
  }
  const by = names.length === 0 ? '' : ` (${names.join(', ')})`;
  const count = `good signatures by ${names.length} allowed signers${by}; ${threshold} needed`;
  const isLogAtFault = problems.has('not logged') && !problems.has('forged');
  const why = listOf(formed.filter(({ problem }) => problem !== null).map(whySoOrBy));
  return refuse(
    isLogAtFault ? 'upgrade_rekor_invalid' : 'upgrade_signature_invalid',
    why === '' ? count : `${count}. Not counted: ${why}`,
  );
}

const listOf = (texts: readonly string[]): string => [...new Set(texts)].sort().join(', ');

/** Who made it, with what does not hold besides. */
function whySoOrBy({ by, claims }: Finding): string {
  const wrong = claims.filter(({ what, holds }) => !holds && what !== 'signer');
  const why = wrong.map(({ what, says }) => `${what}: ${says}`).join('; ');
  return why === '' ? by : `${by} (${why})`;
}

function shown(signer: Signer): string {
  if (signer.kind === 'sigstore') return `${signer.repository}/${signer.workflow}@${signer.ref}`;
  if (signer.kind === 'sigstore-key') return whoIs(signer).slice(0, 20);
  const key = parsePublicKey(signer.public_key);
  return key.ok ? shownKeyId(key.value.keyId) : 'no key';
}
