import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open, stat, type FileHandle } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import { constants, createBrotliDecompress, createGunzip } from 'node:zlib';
import { DELTA_MAGIC, DeltaDecoder, hasDeltaMagic, type Piece } from '../../core/delta/index.js';
import { collector } from './collect.js';
import { unpackedBytesMax } from './extract.js';
import type { KeptArchive } from './kept-archives.js';

/** A step of reading and of writing; with two of each, all the memory that applying takes. */
const STEP_BYTES = 64 * 1024;
/** However the delta is made, applying it ends: 10 minutes at least, and 1 MiB of content a second. */
const TIMEOUT_MS_MIN = 600_000;
const BYTES_PER_MS_MIN = 1_024;

/** Something does not fit; the message goes into an event. */
export class DeltaUnusable extends Error {}

interface Content {
  readonly sha256: string;
  readonly size: number;
}

/**
 * The content of a kept archive as a plain file at `to`, for reading anywhere in it. Throws
 * `DeltaUnusable` unless it has the digest that the delta leads from.
 */
export async function expandArchive(
  kept: KeptArchive,
  to: string,
  signal: AbortSignal,
): Promise<string> {
  const isPlain = kept.format === 'tar';
  const sink = isPlain
    ? null
    : await Sink.open(to, unpackedBytesMax({ ...kept, archiveBytes: kept.size }));
  const hash = createHash('sha256');
  try {
    const file = createReadStream(kept.path, { highWaterMark: STEP_BYTES });
    const consume = async (chunks: AsyncIterable<Buffer>): Promise<void> => {
      for await (const chunk of chunks) {
        if (sink === null) hash.update(chunk);
        else await sink.write(chunk);
      }
    };
    if (isPlain) await pipeline(file, consume, { signal });
    else await pipeline(file, createGunzip({ chunkSize: STEP_BYTES }), consume, { signal });
    const sha256 = sink === null ? hash.digest('hex') : (await sink.finish()).sha256;
    if (sha256 !== kept.sha256) throw new DeltaUnusable('the archive kept here is damaged');
  } finally {
    await sink?.close();
  }
  return isPlain ? kept.path : to;
}

export interface Application {
  /** A plain file with the old content; its digest was checked. */
  readonly old: string;
  /** The delta; its size and digest were checked. */
  readonly delta: string;
  /** Where the new content goes. */
  readonly to: string;
  /** What it has to be, by the signed manifest. */
  readonly content: Content;
  readonly signal: AbortSignal;
}

/**
 * Applies a delta from the disk to the disk. Memory does not depend on the size of anything. The file
 * at `to` is whole, durable and has the signed digest when this resolves; otherwise the caller removes
 * it. Throws `DeltaUnusable`; what brotli and the file system throw passes through.
 */
export async function applyDelta(wanted: Application): Promise<void> {
  const { content } = wanted;
  const timeoutMs = Math.max(TIMEOUT_MS_MIN, Math.ceil(content.size / BYTES_PER_MS_MIN));
  const signal = AbortSignal.any([wanted.signal, AbortSignal.timeout(timeoutMs)]);
  const { size: oldSize } = await stat(wanted.old);
  await requireMagic(wanted.delta);
  const old = await OldContent.open(wanted.old);
  try {
    const sink = await Sink.open(wanted.to, content.size);
    try {
      const decoder = new DeltaDecoder({ oldSize, newSize: content.size });
      const packed = createReadStream(wanted.delta, {
        start: DELTA_MAGIC.length,
        highWaterMark: STEP_BYTES,
      });
      await pipeline(
        packed,
        createBrotliDecompress({
          chunkSize: STEP_BYTES,
          // The window is bounded by the form itself: 16 MiB, and no "large window".
          params: { [constants.BROTLI_DECODER_PARAM_LARGE_WINDOW]: false },
        }),
        async (chunks: AsyncIterable<Buffer>) => {
          for await (const chunk of chunks) {
            for (const piece of valueOf(decoder.push(chunk))) await write(piece, old, sink);
          }
        },
        { signal },
      );
      valueOf(decoder.end());
      const made = await sink.finish();
      if (made.size !== content.size || made.sha256 !== content.sha256) {
        throw new DeltaUnusable('what it makes does not have the digest of the signed manifest');
      }
    } finally {
      await sink.close();
    }
  } finally {
    await old.close();
  }
}

/** Goes on without a pause, and without a promise, where both steps are at hand. */
async function write(piece: Piece, old: OldContent, sink: Sink): Promise<void> {
  if (piece.kind === 'literal') return sink.write(piece.bytes);
  for (let at = 0; at < piece.bytes.length;) {
    if (!old.has(piece.from + at)) await old.load(piece.from + at);
    if (sink.isFull) await sink.flush();
    at += sink.addSum(old.from(piece.from + at), piece.bytes.subarray(at));
  }
}

function valueOf<T>(result: ReturnType<DeltaDecoder['push']> | { ok: true; value: T }): T {
  if (!result.ok) throw new DeltaUnusable(result.error.message);
  return result.value as T;
}

async function requireMagic(path: string): Promise<void> {
  const file = await open(path, 'r');
  try {
    const bytes = Buffer.alloc(DELTA_MAGIC.length);
    const { bytesRead } = await file.read(bytes, 0, bytes.length, 0);
    if (!hasDeltaMagic(bytes.subarray(0, bytesRead))) {
      throw new DeltaUnusable('it is not a delta of a form that is known here');
    }
  } finally {
    await file.close();
  }
}

/** The old content, read where it is needed; what was read last is at hand. */
class OldContent {
  readonly #file: FileHandle;
  readonly #step = Buffer.alloc(STEP_BYTES);
  #from = 0;
  #length = 0;

  private constructor(file: FileHandle) {
    this.#file = file;
  }

  static async open(path: string): Promise<OldContent> {
    return new OldContent(await open(path, 'r'));
  }

  has(from: number): boolean {
    return from >= this.#from && from < this.#from + this.#length;
  }

  /** What is at hand from there on, until the next `load`. */
  from(from: number): Buffer {
    return this.#step.subarray(from - this.#from, this.#length);
  }

  async load(from: number): Promise<void> {
    this.#length = 0;
    const { bytesRead } = await this.#file.read(this.#step, 0, STEP_BYTES, from);
    if (bytesRead === 0) throw new DeltaUnusable('the old content became shorter');
    this.#from = from;
    this.#length = bytesRead;
  }

  close(): Promise<void> {
    return this.#file.close();
  }
}

/** A new file that is written from front to back, hashed, and never longer than it may be. */
class Sink {
  readonly #file: FileHandle;
  readonly #sizeMax: number;
  readonly #hash = createHash('sha256');
  readonly #step = Buffer.alloc(STEP_BYTES);
  readonly #collect = collector();
  #held = 0;
  #size = 0;

  private constructor(file: FileHandle, sizeMax: number) {
    this.#file = file;
    this.#sizeMax = sizeMax;
  }

  static async open(path: string, sizeMax: number): Promise<Sink> {
    return new Sink(await open(path, 'w', 0o640), sizeMax);
  }

  get isFull(): boolean {
    return this.#held === STEP_BYTES;
  }

  /** Takes a copy. */
  async write(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length;) {
      if (this.isFull) await this.flush();
      const part = bytes.subarray(at, at + STEP_BYTES - this.#held);
      this.#grow(part.length);
      this.#step.set(part, this.#held - part.length);
      at += part.length;
    }
  }

  /** Takes the sums, byte by byte, of as many as both have and as fit; answers how many. */
  addSum(old: Uint8Array, differences: Uint8Array): number {
    const at = this.#held;
    const count = Math.min(old.length, differences.length, STEP_BYTES - at);
    this.#grow(count);
    for (let i = 0; i < count; i += 1) {
      this.#step[at + i] = (old[i] as number) + (differences[i] as number);
    }
    return count;
  }

  async finish(): Promise<Content> {
    await this.flush();
    await this.#file.sync();
    return { sha256: this.#hash.digest('hex'), size: this.#size };
  }

  close(): Promise<void> {
    return this.#file.close();
  }

  async flush(): Promise<void> {
    const bytes = this.#step.subarray(0, this.#held);
    this.#hash.update(bytes);
    // One write may take less than it is given.
    for (let at = 0; at < bytes.length;) {
      const { bytesWritten } = await this.#file.write(bytes, at, bytes.length - at);
      at += bytesWritten;
    }
    this.#collect(bytes.length);
    this.#held = 0;
  }

  #grow(count: number): void {
    this.#size += count;
    if (this.#size > this.#sizeMax) {
      throw new DeltaUnusable(`more than ${this.#sizeMax} bytes came out`);
    }
    this.#held += count;
  }
}
