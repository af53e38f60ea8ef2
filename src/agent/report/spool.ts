import { createReadStream } from 'node:fs';
import { mkdir, open, readFile, rename, stat, truncate, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { createInterface } from 'node:readline';
import { randomBytes } from 'node:crypto';
import { z } from 'zod';

/** Ids of the last events, so that one appended twice around a crash is stored once. */
const REMEMBERED_IDS_MAX = 1_000;
/** The file is written anew when this much of it is acknowledged. */
const COMPACT_AT_BYTES = 256 * 1024;

const Head = z.object({
  id: z.string().regex(/^spl_[0-9a-z]{20}$/),
  /** Everything up to here is acknowledged and may be gone from the file. */
  acked: z.int().min(0),
  /** The next sequence number, never given twice. */
  next: z.int().min(1),
  ids: z.array(z.string()),
});
type Head = z.infer<typeof Head>;

export interface SpooledEvent<T> {
  readonly seq: number;
  readonly event: T;
}

interface Line<T> extends SpooledEvent<T> {
  readonly id: string;
}

/**
 * Events on the disk until the manager has them: gapless sequence numbers, durable before `append`
 * resolves. Lines carry a checksum; a torn end (power cut) is cut off, and nothing behind it was
 * ever acknowledged to anyone. A file that is damaged further up is set aside and a spool with a
 * new id begun; `recovered` then says so.
 */
export class Spool<T> {
  readonly id: string;
  /** What was wrong with the files, if anything. */
  readonly recovered: string | null;
  readonly #folder: string;
  readonly #bytesMax: number;
  #lines: Line<T>[];
  #file: FileHandle;
  #bytes: number;
  #ackedBytes = 0;
  #acked: number;
  #next: number;
  readonly #ids: Set<string>;
  #writes: Promise<unknown> = Promise.resolve();

  private constructor(opened: Opened<T>) {
    this.id = opened.head.id;
    this.recovered = opened.recovered;
    this.#folder = opened.folder;
    this.#bytesMax = opened.bytesMax;
    this.#lines = opened.lines;
    this.#file = opened.file;
    this.#bytes = opened.bytes;
    this.#acked = opened.head.acked;
    this.#next = (opened.lines.at(-1)?.seq ?? opened.head.next - 1) + 1;
    this.#ids = new Set([...opened.head.ids, ...opened.lines.map((line) => line.id)]);
  }

  static async open<T>(folder: string, bytesMax = 64 * 1024 * 1024): Promise<Spool<T>> {
    return new Spool<T>(await openFiles<T>(folder, bytesMax));
  }

  /** The oldest sequence that can still be read. */
  get firstSeq(): number {
    return this.#lines[0]?.seq ?? this.#next;
  }

  get nextSeq(): number {
    return this.#next;
  }

  get backlog(): number {
    return this.#lines.length;
  }

  /**
   * Durable when it resolves. An id that is known already is dropped. When the spool is full the
   * oldest events go; `firstSeq` then moves up, and the manager records the gap.
   */
  append(events: readonly { readonly id: string; readonly event: T }[]): Promise<void> {
    return this.#exclusively(async () => {
      const fresh: Line<T>[] = [];
      for (const { id, event } of events) {
        if (this.#ids.has(id)) continue;
        this.#ids.add(id);
        fresh.push({ seq: this.#next + fresh.length, id, event });
      }
      if (fresh.length === 0) return;
      const text = fresh.map(lineText).join('');
      await this.#file.appendFile(text);
      await this.#file.sync();
      this.#next += fresh.length;
      this.#bytes += Buffer.byteLength(text);
      this.#lines.push(...fresh);
      while (this.#ids.size > REMEMBERED_IDS_MAX + this.#lines.length) {
        const [oldest] = this.#ids;
        this.#ids.delete(oldest as string);
      }
      if (this.#bytes > this.#bytesMax) await this.#dropOldest();
    });
  }

  /** The events after a sequence, oldest first. */
  read(after: number, max: number): SpooledEvent<T>[] {
    const start = Math.max(0, after + 1 - this.firstSeq);
    return this.#lines.slice(start, start + max).map(({ seq, event }) => ({ seq, event }));
  }

  /** The manager has everything up to here. Idempotent; an older number changes nothing. */
  acknowledge(through: number): Promise<void> {
    return this.#exclusively(async () => {
      if (through <= this.#acked || through >= this.#next) return;
      this.#acked = through;
      const gone = this.#lines.filter((line) => line.seq <= through);
      this.#lines = this.#lines.slice(gone.length);
      for (const line of gone) this.#ackedBytes += Buffer.byteLength(lineText(line));
      if (this.#lines.length === 0 || this.#ackedBytes > COMPACT_AT_BYTES) await this.#compact();
    });
  }

  async close(): Promise<void> {
    await this.#writes;
    await this.#file.close();
  }

  #exclusively(work: () => Promise<void>): Promise<void> {
    const done = this.#writes.then(work);
    this.#writes = done.catch(() => undefined);
    return done;
  }

  async #dropOldest(): Promise<void> {
    const keep = Math.floor(this.#lines.length / 2);
    this.#lines = this.#lines.slice(this.#lines.length - keep);
    await this.#compact();
  }

  /**
   * Head first, then the file: between the two the file holds lines that the head calls
   * acknowledged, and they are skipped when it is read again.
   */
  async #compact(): Promise<void> {
    const acked = this.firstSeq - 1;
    const ids = [...this.#ids].slice(-REMEMBERED_IDS_MAX);
    await writeHead(this.#folder, { id: this.id, acked, next: this.#next, ids });
    const text = this.#lines.map(lineText).join('');
    const temporary = join(this.#folder, 'events.tmp');
    const file = await open(temporary, 'w', 0o640);
    await file.writeFile(text);
    await file.sync();
    await file.close();
    await rename(temporary, join(this.#folder, 'events'));
    await syncFolder(this.#folder);
    await this.#file.close();
    this.#file = await open(join(this.#folder, 'events'), 'a', 0o640);
    this.#bytes = Buffer.byteLength(text);
    this.#ackedBytes = 0;
  }
}

interface Opened<T> {
  readonly folder: string;
  readonly bytesMax: number;
  readonly head: Head;
  readonly lines: Line<T>[];
  readonly file: FileHandle;
  readonly bytes: number;
  readonly recovered: string | null;
}

const checksum = (text: string): string => crc32(text).toString(16).padStart(8, '0');

function lineText(line: Line<unknown>): string {
  const json = JSON.stringify(line);
  return `${checksum(json)} ${json}\n`;
}

function parseLine<T>(text: string): Line<T> | null {
  const json = text.slice(9);
  if (text[8] !== ' ' || checksum(json) !== text.slice(0, 8)) return null;
  return JSON.parse(json) as Line<T>;
}

async function openFiles<T>(folder: string, bytesMax: number): Promise<Opened<T>> {
  await mkdir(folder, { recursive: true, mode: 0o750 });
  const place = join(folder, 'events');
  let recovered: string | null = null;
  let head = await readHead(folder);
  let read = await readLines<T>(place);
  const isGapless = read.lines.every(
    (line, index) => index === 0 || line.seq === (read.lines[index - 1]?.seq ?? 0) + 1,
  );
  const isDamaged = head === 'damaged' || read.isDamaged || !isGapless;
  if (isDamaged || (head === null && read.lines.length > 0)) {
    recovered = 'the spool was damaged; what was left of it was set aside';
    await rename(place, `${place}.corrupt-${Date.now()}`).catch(() => undefined);
    head = null;
    read = { lines: [], bytes: 0, isDamaged: false };
  }
  if (head === null || head === 'damaged') {
    head = { id: newSpoolId(), acked: 0, next: 1, ids: [] };
    await writeHead(folder, head);
  }
  const { acked } = head;
  const lines = read.lines.filter((line) => line.seq > acked);
  if ((await sizeOf(place)) > read.bytes) await truncate(place, read.bytes);
  const file = await open(place, 'a', 0o640);
  return { folder, bytesMax, head, lines, file, bytes: read.bytes, recovered };
}

const sizeOf = (path: string): Promise<number> =>
  stat(path).then(
    (found) => found.size,
    () => 0,
  );

/** Reads up to the first bad line. Bad in the middle is damage; bad at the end is a torn write. */
async function readLines<T>(
  path: string,
): Promise<{ lines: Line<T>[]; bytes: number; isDamaged: boolean }> {
  const lines: Line<T>[] = [];
  let bytes = 0;
  let bad = false;
  if ((await sizeOf(path)) === 0) return { lines, bytes, isDamaged: false };
  const size = await sizeOf(path);
  for await (const text of createInterface({ input: createReadStream(path, 'utf8') })) {
    if (bad) return { lines, bytes, isDamaged: true };
    const line = parseLine<T>(text);
    const length = Buffer.byteLength(text) + 1;
    // A last line without its newline was never synced as a whole.
    if (line === null || bytes + length > size) bad = true;
    else {
      lines.push(line);
      bytes += length;
    }
  }
  return { lines, bytes, isDamaged: false };
}

async function readHead(folder: string): Promise<Head | null | 'damaged'> {
  const text = await readFile(join(folder, 'head.json'), 'utf8').catch(() => null);
  if (text === null) return null;
  try {
    const parsed = Head.safeParse(JSON.parse(text));
    return parsed.success ? parsed.data : 'damaged';
  } catch {
    return 'damaged';
  }
}

async function writeHead(folder: string, head: Head): Promise<void> {
  const temporary = join(folder, 'head.tmp');
  const file = await open(temporary, 'w', 0o640);
  await file.writeFile(JSON.stringify(head));
  await file.sync();
  await file.close();
  await rename(temporary, join(folder, 'head.json'));
  await syncFolder(folder);
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  await handle.sync();
  await handle.close();
}

function newSpoolId(): string {
  const alphabet = '0123456789abcdefghijklmnopqrstuvwxyz';
  return `spl_${[...randomBytes(20)].map((byte) => alphabet[byte % 36]).join('')}`;
}
