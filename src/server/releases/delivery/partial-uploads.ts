import { createHash } from 'node:crypto';
import { createReadStream, mkdirSync } from 'node:fs';
import { open, readdir, rm, stat, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { FleetError } from '../../../core/kernel/index.js';
import type { Blobs } from '../store/blobs.port.js';
import { writeChunk } from '../store/disk-blobs.js';
import { asStoreError } from '../store/disk-errors.js';
import { received } from '../store/received.js';

/** So many artifacts may be half here at once: they take room that nobody else can use. */
export const PARTIALS_MAX = 64;
/** After a day nobody goes on with it. */
export const PARTIAL_KEEP_MS = 86_400_000;

/** One piece of an artifact, as it comes. */
export interface Piece {
  /** Where it begins; must be what is here so far. */
  readonly offset: number;
  /** Of the whole artifact. */
  readonly length: number;
  readonly bytes: Readable;
}

export interface Progress {
  readonly offset: number;
  readonly complete: boolean;
}

interface Running {
  readonly done: Promise<unknown>;
  readonly stop: () => void;
}

/**
 * Uploads that go on where they stopped: `<dir>/<digest>` grows until it is whole, is hashed, and moves
 * into the store. What is here so far is counted by the size of the file, so it outlives a crash.
 * Of two who send the same artifact the later one wins: the earlier is most likely a connection that
 * died without saying so.
 */
export class PartialUploads {
  readonly #dir: string;
  readonly #blobs: Blobs;
  readonly #running = new Map<string, Running>();

  constructor(dir: string, blobs: Blobs) {
    this.#dir = dir;
    this.#blobs = blobs;
  }

  async status(sha256: string): Promise<Progress> {
    const blob = await this.#blobs.find(sha256);
    if (blob !== null) return { offset: blob.size, complete: true };
    return { offset: await sizeOf(this.#pathOf(sha256)), complete: false };
  }

  /**
   * Adds a piece; the last one makes the blob. A sender that goes away leaves what came (and gets
   * `invalid_request`, if it still listens). Throws `upload_offset_mismatch` with the right offset in
   * its context, `payload_too_large` when more comes than was announced, `rate_limited` when too many
   * are half here; and `release_digest_mismatch` or what the store throws, which end the upload:
   * then nothing of it is left.
   */
  async append(sha256: string, piece: Piece): Promise<Progress> {
    const earlier = this.#running.get(sha256);
    earlier?.stop();
    await earlier?.done.catch(() => undefined);
    if (this.#running.has(sha256)) throw mismatch(await sizeOf(this.#pathOf(sha256)));
    const stop = new AbortController();
    const done = this.#append(sha256, piece, stop.signal);
    const running = { done, stop: () => stop.abort() };
    this.#running.set(sha256, running);
    try {
      return await done;
    } finally {
      if (this.#running.get(sha256) === running) this.#running.delete(sha256);
    }
  }

  /** Removes what nobody went on with since `beforeMs`; gives how many there were. */
  async tidy(beforeMs: number): Promise<number> {
    let removed = 0;
    for (const name of await readdir(this.#dir).catch(() => [])) {
      if (this.#running.has(name)) continue;
      const about = await stat(join(this.#dir, name)).catch(() => null);
      if (about === null || about.mtimeMs >= beforeMs) continue;
      await rm(join(this.#dir, name), { force: true });
      removed += 1;
    }
    return removed;
  }

  async #append(sha256: string, piece: Piece, stop: AbortSignal): Promise<Progress> {
    const known = await this.#blobs.find(sha256);
    if (known !== null && known.size !== piece.offset) throw mismatch(known.size);
    if (known !== null) return { offset: known.size, complete: true };
    const path = this.#pathOf(sha256);
    const offset = await sizeOf(path);
    if (offset !== piece.offset) throw mismatch(offset);
    if (offset === 0) await this.#requireRoom();
    try {
      const size = await write(path, piece, stop);
      if (size < piece.length) return { offset: size, complete: false };
      await this.#finish(sha256, path);
      return { offset: size, complete: true };
    } catch (error) {
      // What came stays when only the sender went; a disk that is full needs the room.
      if (!isOfSender(error)) await rm(path, { force: true }).catch(() => undefined);
      throw asStoreError(error);
    }
  }

  async #finish(sha256: string, path: string): Promise<void> {
    const hash = createHash('sha256');
    for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer);
    const digest = hash.digest('hex');
    if (digest !== sha256) {
      throw new FleetError('release_digest_mismatch', `the bytes have the digest ${digest}`, {
        context: { expected: sha256, found: digest },
      });
    }
    await this.#blobs.adopt(sha256, path);
    await rm(path, { force: true });
  }

  async #requireRoom(): Promise<void> {
    try {
      mkdirSync(this.#dir, { recursive: true, mode: 0o750 });
    } catch (error) {
      throw asStoreError(error);
    }
    if ((await readdir(this.#dir)).length < PARTIALS_MAX) return;
    throw new FleetError(
      'rate_limited',
      `${PARTIALS_MAX} uploads are half here; finish one first`,
      {
        context: { retry_after_seconds: 60 },
      },
    );
  }

  #pathOf(sha256: string): string {
    return join(this.#dir, sha256);
  }
}

const sizeOf = (path: string): Promise<number> =>
  stat(path).then(
    ({ size }) => size,
    () => 0,
  );

const mismatch = (offset: number): FleetError =>
  new FleetError('upload_offset_mismatch', `${offset} bytes are here; go on from there`, {
    context: { offset },
  });

const isOfSender = (error: unknown): boolean =>
  error instanceof FleetError && error.code === 'invalid_request';

const stopped = (): FleetError =>
  new FleetError('invalid_request', 'another upload of the same artifact took over');

/** Appends what comes and makes it durable, also when the sender goes away; gives the new size. */
async function write(path: string, piece: Piece, stop: AbortSignal): Promise<number> {
  const file = await open(path, 'a', 0o640);
  try {
    return await receive(file, piece, stop);
  } finally {
    await file.sync().catch(() => undefined);
    await file.close();
  }
}

async function receive(file: FileHandle, piece: Piece, stop: AbortSignal): Promise<number> {
  const { bytes } = piece;
  const giveUp = (): void => void bytes.destroy(stopped());
  if (stop.aborted) throw stopped();
  stop.addEventListener('abort', giveUp, { once: true });
  let size = piece.offset;
  try {
    for await (const chunk of received(bytes)) {
      if (size + chunk.length > piece.length) {
        throw new FleetError('payload_too_large', `more came than the ${piece.length} announced`);
      }
      await writeChunk(file, chunk);
      size += chunk.length;
    }
  } finally {
    stop.removeEventListener('abort', giveUp);
  }
  return size;
}
