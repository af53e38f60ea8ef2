import { createHash } from 'node:crypto';
import { constants, type BigIntStats } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';

/** What a file was worth when it was looked at. */
export interface Looked<T> {
  /** SHA-256 of its bytes in hex; `invalid` when it could not be read as it should. */
  readonly digest: string;
  readonly value: T;
}

interface Known<T> extends Looked<T> {
  /** Identity and age of the file: while these are the same, its content is. */
  readonly mark: string;
}

export interface GuardedFileOptions<T> {
  readonly bytesMax: number;
  /** Called when the content changed. */
  readonly parse: (bytes: Buffer) => T;
  /** What stands in for the content of a file that is missing or not to be trusted. */
  readonly without: (problem: string) => T;
}

/**
 * A file that says what is trusted here: looked at on every use and parsed when it changed. Nothing is
 * read but a plain local file of bounded size that only root or this user can change.
 */
export class GuardedFile<T> {
  readonly path: string;
  readonly #options: GuardedFileOptions<T>;
  #known: Known<T> | null = null;

  constructor(path: string, options: GuardedFileOptions<T>) {
    this.path = path;
    this.#options = options;
  }

  async look(): Promise<Looked<T>> {
    this.#known = await this.#read(this.#known);
    return this.#known;
  }

  /** Every check is made on the open file, not on its name: it cannot be exchanged in between. */
  async #read(before: Known<T> | null): Promise<Known<T>> {
    const { bytesMax, parse } = this.#options;
    let file: FileHandle;
    try {
      file = await open(
        this.path,
        constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK,
      );
    } catch (error) {
      return this.#bad(describeOpenError((error as { code?: string }).code));
    }
    try {
      const found = await file.stat({ bigint: true });
      const problem = problemWith(found, bytesMax);
      if (problem !== null) return this.#bad(problem);
      const mark = [found.dev, found.ino, found.size, found.mtimeNs, found.ctimeNs].join(' ');
      if (before?.mark === mark) return before;
      const bytes = await file.readFile();
      const digest = createHash('sha256').update(bytes).digest('hex');
      return { mark, digest, value: parse(bytes) };
    } catch (error) {
      return this.#bad(`cannot be read (${String((error as { code?: string }).code)})`);
    } finally {
      await file.close();
    }
  }

  #bad(problem: string): Known<T> {
    return { mark: '', digest: 'invalid', value: this.#options.without(problem) };
  }
}

function describeOpenError(code: string | undefined): string {
  if (code === 'ELOOP') return 'is a symbolic link';
  return code === 'ENOENT' ? 'is missing' : `cannot be read (${code ?? 'unknown'})`;
}

function problemWith(found: BigIntStats, bytesMax: number): string | null {
  if (!found.isFile()) return 'is not a file';
  const owner = Number(found.uid);
  if (owner !== 0 && owner !== process.getuid?.()) return 'belongs to somebody else (chown root)';
  if ((found.mode & 0o022n) !== 0n) return 'can be changed by others (chmod go-w)';
  return found.size > bytesMax ? `is larger than ${bytesMax} bytes` : null;
}
