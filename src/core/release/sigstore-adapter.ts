import type { KeyObject } from 'node:crypto';
import { bundleFromJSON } from '@sigstore/bundle';
import { TrustedRoot as LibraryRoot } from '@sigstore/protobuf-specs';
import {
  toSignedEntity,
  toTrustMaterial,
  VerificationError,
  Verifier,
  type Signer,
} from '@sigstore/verify';
import type { SigstoreBundle } from './sigstore-bundle.js';

/**
 * The only file that knows @sigstore/verify. It does the arithmetic of Sigstore: certificate chain, proof
 * that the certificate was public (SCT), log entry, time stamps, signature. Whom to trust is not asked
 * here: its own comparison of identities takes every text as a regular expression.
 */

/** A trusted root that was checked (`parseTrustedRoot` makes it). */
export interface SigstoreTrust {
  readonly material: LibraryRoot;
}

/** Null when the library cannot use what the schema let pass. */
export function trustFrom(root: object): SigstoreTrust | null {
  try {
    const material = LibraryRoot.fromJSON(root);
    toTrustMaterial(material);
    return { material };
  } catch {
    return null;
  }
}

/** What the library found wrong, by the step in which it did. */
export type SigstoreProblem = 'form' | 'time' | 'certificate' | 'log entry' | 'signature';

export type LibraryAnswer =
  | { readonly ok: true; readonly signer: Signer; readonly times: readonly Date[] }
  | { readonly ok: false; readonly step: SigstoreProblem; readonly detail: string };

/**
 * Verifies a bundle over these bytes: a time that a log or authority vouches for, in which the
 * certificate counted; at least one entry of a log of the root, with promise or proof as its version
 * demands; and the signature. `key` is whose signature it must be when the bundle brings no certificate.
 * Never throws: what the library stumbles over is a refusal.
 */
export function verifyByLibrary(
  bundle: SigstoreBundle,
  bytes: Uint8Array,
  { material }: SigstoreTrust,
  key: KeyObject | null,
): LibraryAnswer {
  try {
    const trust = toTrustMaterial(material, () => {
      if (key === null) throw new Error('no key was given');
      return { publicKey: key, validFor: () => true };
    });
    const entity = toSignedEntity(bundleFromJSON(bundle.json), Buffer.from(bytes));
    const signer = new Verifier(trust, {
      tlogThreshold: 1,
      ctlogThreshold: 1,
      timestampThreshold: 1,
    }).verify(entity);
    const times = entity.timestamps.flatMap((one) => {
      if (one.$case === 'timestamp-authority') return [one.timestamp.signingTime];
      const { inclusionPromise, integratedTime } = one.tlogEntry;
      return inclusionPromise === undefined ? [] : [new Date(Number(integratedTime) * 1_000)];
    });
    if (!areLogsInTime(bundle, material, times)) {
      return { ok: false, step: 'log entry', detail: 'LOG_NOT_IN_ITS_TIME' };
    }
    return { ok: true, signer, times };
  } catch (error) {
    const code = error instanceof VerificationError ? error.code : 'MALFORMED';
    return { ok: false, step: stepOf(code), detail: code };
  }
}

/** The library asks when a log counted only for promises; a proof by an old key must not do either. */
function areLogsInTime(
  { json }: SigstoreBundle,
  { tlogs }: LibraryRoot,
  times: readonly Date[],
): boolean {
  return json.verificationMaterial.tlogEntries.every(({ logId }) => {
    const log = tlogs.find((one) => {
      const id = one.checkpointKeyId ?? one.logId;
      return id?.keyId.toString('base64') === logId.keyId;
    });
    const { start, end } = log?.publicKey?.validFor ?? {};
    return (
      start !== undefined && times.every((at) => start <= at && (end === undefined || at <= end))
    );
  });
}

function stepOf(code: string): SigstoreProblem {
  if (code === 'MALFORMED') return 'form';
  if (code === 'TIMESTAMP_ERROR') return 'time';
  if (code === 'CERTIFICATE_ERROR') return 'certificate';
  return code.startsWith('TLOG_') ? 'log entry' : 'signature';
}
