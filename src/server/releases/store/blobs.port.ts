import type { Readable } from 'node:stream';

/** A blob as a list shows it. */
export interface StoredBlob {
  readonly sha256: string;
  readonly size: number;
  /** When it was stored last, epoch ms by the clock of the store. */
  readonly storedAt: number;
}

/** A part of a blob: from byte `start` to byte `end`, both counted. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

/**
 * Where artifacts lie, by their SHA-256. A blob is there whole or not at all, and its bytes never
 * change, so it can be served without a lock and cached for ever. Every adapter passes
 * `test/contract/blobs.contract.ts`.
 *
 * Whatever the store cannot do is told by a FleetError: `blob_store_full`, `blob_store_read_only`,
 * or `blob_store_unavailable` when it does not answer. After any of them nothing is left behind.
 */
export interface Blobs {
  /** Null when it is not here. */
  find(sha256: string): Promise<StoredBlob | null>;
  /**
   * Stores a stream under the digest that it must have; it is hashed on the way, and never held whole
   * in memory. Idempotent, also for two at once; a repetition makes `storedAt` new. A stream that
   * is refused is left where it was, neither read to its end nor destroyed. Throws also
   * `release_digest_mismatch`, `payload_too_large`, `invalid_request` when the sender went away.
   */
  put(sha256: string, bytes: Readable, bytesMax: number): Promise<{ readonly size: number }>;
  /** Takes a file of this machine whose digest was checked by the caller; the file may be gone after. */
  adopt(sha256: string, path: string): Promise<void>;
  /** The bytes of a part that must lie within the blob. Throws `not_found` when the blob is not here. */
  read(sha256: string, range: ByteRange): Promise<Readable>;
  /** False when it was not here. Who reads it at that moment may be cut off. */
  remove(sha256: string): Promise<boolean>;
  /** At most `limit` blobs behind a digest, in the order of their digests. */
  list(after: string | null, limit: number): Promise<readonly StoredBlob[]>;
  /** Removes what writes that broke off before `beforeMs` (epoch) left; gives how many there were. */
  tidy(beforeMs: number): Promise<number>;
}
export const BLOBS = Symbol('blobs');
