import { createHash, randomUUID } from 'node:crypto';
import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import { mkdir, open, rename, rm, stat, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { FleetError } from '../../core/kernel/index.js';

/**
 * Artifacts on disk, by their SHA-256: `<root>/sha256/ab/<digest>`. A blob is there whole or not at
 * all: it is written beside its place while it is hashed, made durable, and renamed. Bytes never
 * change under a digest, so a blob can be served without a lock and cached for ever.
 */
export class BlobStore {
  readonly #root: string;
  readonly #incoming: string;

  /** Throws when the directory cannot be written. What an earlier crash left half is removed. */
  constructor(root: string) {
    this.#root = join(root, 'sha256');
    this.#incoming = join(root, 'incoming');
    mkdirSync(this.#root, { recursive: true, mode: 0o750 });
    mkdirSync(this.#incoming, { recursive: true, mode: 0o750 });
    for (const name of readdirSync(this.#incoming)) {
      rmSync(join(this.#incoming, name), { recursive: true, force: true });
    }
  }

  /** Where a digest is; the file need not exist. */
  pathOf(sha256: string): string {
    return join(this.#root, sha256.slice(0, 2), sha256);
  }

  /** The size of a blob, or null when it is not here. */
  async sizeOf(sha256: string): Promise<number | null> {
    return stat(this.pathOf(sha256)).then(
      (found) => found.size,
      () => null,
    );
  }

  /**
   * Stores a stream under the digest that it must have. Idempotent, also for two at once. A stream
   * that is refused is left where it was, neither read to its end nor destroyed. Throws
   * `release_digest_mismatch`, `payload_too_large`, `unavailable` when the disk is full, or
   * `invalid_request` when the sender went away; then nothing is left behind.
   */
  async put(sha256: string, bytes: Readable, bytesMax: number): Promise<{ size: number }> {
    const temporary = join(this.#incoming, randomUUID());
    try {
      const { digest, size } = await writeHashed(temporary, bytes, bytesMax);
      if (digest !== sha256) {
        throw new FleetError('release_digest_mismatch', `the bytes have the digest ${digest}`, {
          context: { expected: sha256, found: digest },
        });
      }
      await this.#place(temporary, sha256);
      return { size };
    } catch (error) {
      await rm(temporary, { force: true });
      throw asToldError(error);
    }
  }

  async #place(temporary: string, sha256: string): Promise<void> {
    const folder = join(this.#root, sha256.slice(0, 2));
    const isNew = (await mkdir(folder, { recursive: true, mode: 0o750 })) !== undefined;
    await rename(temporary, this.pathOf(sha256));
    await syncFolder(folder);
    // A folder lasts only when the one above it was synced too.
    if (isNew) await syncFolder(this.#root);
  }
}

async function syncFolder(path: string): Promise<void> {
  const handle = await open(path);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** A full disk is nobody's mistake in the request: it may be sent again later. */
function asToldError(error: unknown): unknown {
  const { code } = error as NodeJS.ErrnoException;
  if (code !== 'ENOSPC' && code !== 'EDQUOT') return error;
  return new FleetError('unavailable', 'the disk of the manager is full; nothing was stored', {
    kind: 'operational',
    cause: error,
  });
}

/** Writes to a new file while hashing, and makes it durable. The caller removes it on failure. */
async function writeHashed(
  path: string,
  bytes: Readable,
  bytesMax: number,
): Promise<{ digest: string; size: number }> {
  const file = await open(path, 'wx', 0o640);
  try {
    const hash = createHash('sha256');
    let size = 0;
    for await (const chunk of received(bytes)) {
      size += chunk.length;
      if (size > bytesMax) {
        throw new FleetError('payload_too_large', `an artifact holds at most ${bytesMax} bytes`);
      }
      hash.update(chunk);
      await writeAll(file, chunk);
    }
    await file.sync();
    return { digest: hash.digest('hex'), size };
  } finally {
    await file.close();
  }
}

/** The stream, with a sender that went away told apart from a disk that failed. */
async function* received(bytes: Readable): AsyncGenerator<Buffer> {
  try {
    // The sender is still owed an answer: leaving early must not cut its connection.
    yield* bytes.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>;
  } catch (error) {
    throw new FleetError('invalid_request', 'the upload ended early; send it again', {
      cause: error,
    });
  }
}

/** `write` may take less than it was given. */
async function writeAll(file: FileHandle, chunk: Buffer): Promise<void> {
  for (let start = 0; start < chunk.length;) {
    const { bytesWritten } = await file.write(chunk, start);
    start += bytesWritten;
  }
}
