import { randomUUID } from 'node:crypto';
import { createReadStream, mkdirSync, readdirSync, rmSync } from 'node:fs';
import {
  copyFile,
  mkdir,
  open,
  readdir,
  rename,
  rm,
  stat,
  unlink,
  utimes,
  type FileHandle,
} from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import type { Blobs, ByteRange, StoredBlob } from './blobs.port.js';
import { asStoreError } from './disk-errors.js';
import { noBlob, Receipt, received } from './received.js';

/** Large reads: an artifact is read from front to back, by many nodes at once. */
const READ_CHUNK_BYTES = 256 * 1024;
const DIGEST = /^[0-9a-f]{64}$/;
const FOLDER = /^[0-9a-f]{2}$/;

/**
 * Artifacts on disk: `<root>/sha256/ab/<digest>`. A blob is written beside its place while it is
 * hashed, made durable, and renamed.
 */
export class DiskBlobs implements Blobs {
  readonly #root: string;
  readonly #incoming: string;

  /**
   * What an earlier crash left half is removed. On a file system that is read-only it still serves
   * what is there; any other failure is thrown.
   */
  constructor(root: string) {
    this.#root = join(root, 'sha256');
    this.#incoming = join(root, 'incoming');
    try {
      mkdirSync(this.#root, { recursive: true, mode: 0o750 });
      mkdirSync(this.#incoming, { recursive: true, mode: 0o750 });
      for (const name of readdirSync(this.#incoming)) {
        rmSync(join(this.#incoming, name), { recursive: true, force: true });
      }
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EROFS') throw error;
    }
  }

  /** Where a digest is; the file need not exist. */
  pathOf(sha256: string): string {
    return join(this.#root, sha256.slice(0, 2), sha256);
  }

  async find(sha256: string): Promise<StoredBlob | null> {
    const about = await stat(this.pathOf(sha256)).catch(() => null);
    if (about === null) return null;
    return { sha256, size: about.size, storedAt: Math.floor(about.mtimeMs) };
  }

  async put(sha256: string, bytes: Readable, bytesMax: number): Promise<{ size: number }> {
    const receipt = new Receipt(bytesMax);
    await this.#placing(sha256, async (temporary) => {
      await writeAll(temporary, bytes, receipt);
      receipt.mustBe(sha256);
    });
    return { size: receipt.size };
  }

  /** Moves the file when it lies on the same file system, else copies it. */
  async adopt(sha256: string, path: string): Promise<void> {
    await this.#placing(sha256, async (temporary) => {
      await rename(path, temporary).catch(async (error: unknown) => {
        if ((error as NodeJS.ErrnoException).code !== 'EXDEV') throw error;
        await copyFile(path, temporary);
      });
      const now = new Date();
      await utimes(temporary, now, now);
      await sync(temporary);
    });
  }

  async read(sha256: string, { start, end }: ByteRange): Promise<Readable> {
    const file = await open(this.pathOf(sha256)).catch((error: unknown) => {
      throw (error as NodeJS.ErrnoException).code === 'ENOENT' ? noBlob(sha256) : error;
    });
    if (end < start) {
      await file.close();
      return Readable.from([]);
    }
    return createReadStream('', { fd: file, start, end, highWaterMark: READ_CHUNK_BYTES });
  }

  async remove(sha256: string): Promise<boolean> {
    try {
      await unlink(this.pathOf(sha256));
      return true;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
      throw asStoreError(error);
    }
  }

  async list(after: string | null, limit: number): Promise<readonly StoredBlob[]> {
    const found: StoredBlob[] = [];
    for (const folder of await namesIn(this.#root, FOLDER)) {
      if (after !== null && folder < after.slice(0, 2)) continue;
      for (const sha256 of await namesIn(join(this.#root, folder), DIGEST)) {
        if (after !== null && sha256 <= after) continue;
        if (found.length >= limit) return found;
        const blob = await this.find(sha256);
        // Null when it was removed since the folder was read.
        if (blob !== null) found.push(blob);
      }
    }
    return found;
  }

  async tidy(beforeMs: number): Promise<number> {
    let removed = 0;
    for (const name of await namesIn(this.#incoming, /./)) {
      const path = join(this.#incoming, name);
      const about = await stat(path).catch(() => null);
      if (about === null || about.mtimeMs >= beforeMs) continue;
      await rm(path, { recursive: true, force: true });
      removed += 1;
    }
    return removed;
  }

  /** Whatever goes wrong leaves nothing, neither half a blob nor the file that was to become one. */
  async #placing(sha256: string, make: (temporary: string) => Promise<void>): Promise<void> {
    const temporary = join(this.#incoming, randomUUID());
    try {
      await make(temporary);
      await this.#place(temporary, sha256);
    } catch (error) {
      await rm(temporary, { force: true }).catch(() => undefined);
      throw asStoreError(error);
    }
  }

  async #place(temporary: string, sha256: string): Promise<void> {
    const folder = join(this.#root, sha256.slice(0, 2));
    const isNew = (await mkdir(folder, { recursive: true, mode: 0o750 })) !== undefined;
    await rename(temporary, this.pathOf(sha256));
    await sync(folder);
    // A folder lasts only when the one above it was synced too.
    if (isNew) await sync(this.#root);
  }
}

/** Of a file or a folder. */
async function sync(path: string): Promise<void> {
  const handle = await open(path);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

const namesIn = async (folder: string, form: RegExp): Promise<string[]> => {
  const names = await readdir(folder).catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  });
  return names.filter((name) => form.test(name)).sort();
};

/** Writes to a new file and makes it durable. The caller removes it on failure. */
async function writeAll(path: string, bytes: Readable, receipt: Receipt): Promise<void> {
  const file = await open(path, 'wx', 0o640);
  try {
    for await (const chunk of received(bytes)) {
      receipt.take(chunk);
      await writeChunk(file, chunk);
    }
    await file.sync();
  } finally {
    await file.close();
  }
}

/** `write` may take less than it was given. */
export async function writeChunk(file: FileHandle, chunk: Buffer): Promise<void> {
  for (let start = 0; start < chunk.length;) {
    const { bytesWritten } = await file.write(chunk, start);
    start += bytesWritten;
  }
}
