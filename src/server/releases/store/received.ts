import { createHash, type Hash } from 'node:crypto';
import type { Readable } from 'node:stream';
import { FleetError } from '../../../core/kernel/index.js';

/** Counts and hashes what comes, and stops at the first byte too many. */
export class Receipt {
  readonly #hash: Hash = createHash('sha256');
  readonly #bytesMax: number;
  #size = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  get size(): number {
    return this.#size;
  }

  /** Throws `payload_too_large`. */
  take(chunk: Uint8Array): void {
    this.#size += chunk.length;
    if (this.#size > this.#bytesMax) {
      throw new FleetError(
        'payload_too_large',
        `an artifact holds at most ${this.#bytesMax} bytes`,
      );
    }
    this.#hash.update(chunk);
  }

  /** To be called once, at the end. Throws `release_digest_mismatch`. */
  mustBe(sha256: string): void {
    const digest = this.#hash.digest('hex');
    if (digest === sha256) return;
    throw new FleetError('release_digest_mismatch', `the bytes have the digest ${digest}`, {
      context: { expected: sha256, found: digest },
    });
  }
}

/**
 * The chunks of a stream, with a sender that went away (`invalid_request`) told apart from a disk
 * that failed. The sender is still owed an answer: leaving early does not cut its connection.
 */
export async function* received(bytes: Readable): AsyncGenerator<Buffer> {
  try {
    yield* bytes.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>;
  } catch (error) {
    throw new FleetError('invalid_request', 'the upload ended early; send it again', {
      cause: error,
    });
  }
}

export const noBlob = (sha256: string): FleetError =>
  new FleetError('not_found', `no artifact ${sha256}`, { context: { missing: 'artifact' } });
