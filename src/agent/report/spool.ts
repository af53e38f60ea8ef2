import { open, readFile, rm, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import type { NodeEvent } from '../../protocol/node/index.js';
import { syncDirectory } from '../durable-files.js';
import { droppedBetween, type Dropped } from './dropped.js';
import { lineOf, parseSegment, type SpoolEvent, type SpoolRecord } from './segment.js';
import {
  createSegment,
  findSpool,
  newSpoolId,
  rewriteSegment,
  writeAcked,
  writeSpoolId,
  type FoundSpool,
  type Run,
  type Segment,
} from './spool-files.js';

/** An upgrade makes about eight events: these are the last hundred upgrades. */
const REMEMBERED_IDS_MAX = 1_000;
const SPOOL_BYTES_MAX = 64 * 1024 * 1024;
/** Small enough to be read whole at each batch, large enough to make few files. */
const SEGMENT_BYTES_MAX = 256 * 1024;

export interface SpoolOptions {
  /** Bound of the whole spool on the disk; 64 MiB when not given. */
  readonly bytesMax?: number;
  readonly segmentBytesMax?: number;
  /** Told after unacknowledged events had to go for want of room. */
  readonly onDropped?: (dropped: Dropped) => void;
  readonly log?: (message: string, fields: Readonly<Record<string, unknown>>) => void;
}

export interface SpoolBatch {
  readonly events: readonly NodeEvent[];
  /** There are events later on, but the next number is gone: only a new `hello` gets past that. */
  readonly isGap: boolean;
}

interface Waiting {
  readonly events: readonly { readonly id: string; readonly event: SpoolEvent }[];
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Events on the disk until the manager has them. Numbers are given once, from 1, without gaps; an
 * event whose `append` resolved survives a power cut and is read again until it is acknowledged.
 * Segments of lines with checksums, so that damage costs only the lines that it hit.
 */
export class Spool {
  /** What had to be mended when it was opened; null when nothing was. */
  readonly recovered: string | null;
  readonly #folder: string;
  readonly #bytesMax: number;
  readonly #segmentBytesMax: number;
  readonly #onDropped: NonNullable<SpoolOptions['onDropped']>;
  readonly #log: NonNullable<SpoolOptions['log']>;
  #id: string;
  #segments: Segment[];
  #file: FileHandle | null = null;
  #acked = 0;
  #dropped = 0;
  #ids: Map<string, number>;
  #cache: { readonly segment: Segment; readonly bytes: number; records: SpoolRecord[] } | null =
    null;
  #waiting: Waiting[] = [];
  /** Everything that touches the files runs one after another. */
  #turn: Promise<unknown> = Promise.resolve();
  #isDrainQueued = false;

  private constructor(folder: string, found: FoundSpool, options: SpoolOptions) {
    this.recovered = found.recovered;
    this.#folder = folder;
    this.#bytesMax = options.bytesMax ?? SPOOL_BYTES_MAX;
    this.#segmentBytesMax = options.segmentBytesMax ?? SEGMENT_BYTES_MAX;
    this.#onDropped = options.onDropped ?? ((): void => undefined);
    this.#log = options.log ?? ((): void => undefined);
    this.#id = found.id;
    this.#segments = found.segments;
    this.#acked = found.acked;
    this.#ids = new Map(found.ids);
    this.#forgetIds();
  }

  /** Rejects only with errors of the file system. */
  static async open(folder: string, options: SpoolOptions = {}): Promise<Spool> {
    const found = await findSpool(folder, REMEMBERED_IDS_MAX);
    const spool = new Spool(folder, found, options);
    if (found.isNumberingLost) await spool.renew();
    return spool;
  }

  get id(): string {
    return this.#id;
  }

  /** The oldest number that is here and not acknowledged; `nextSeq` when there is none. */
  get firstSeq(): number {
    const run = this.#heldRuns().next().value;
    return run === undefined ? this.nextSeq : Math.max(run.from, this.#acked + 1);
  }

  get nextSeq(): number {
    return this.#last.lastSeq + 1;
  }

  /** How many events wait. */
  get backlog(): number {
    let count = 0;
    for (const { from, to } of this.#heldRuns()) count += to - Math.max(from, this.#acked + 1) + 1;
    return count;
  }

  /** How many unacknowledged events had to go for want of room since it was opened. */
  get dropped(): number {
    return this.#dropped;
  }

  /**
   * Durable when it resolves; what waits meanwhile shares one sync. An event whose id is among the
   * last thousand is left out. Rejects with the error of the file system and then changed nothing.
   * A full spool makes room: acknowledged events first, then the oldest of severity `info`, then
   * the oldest.
   */
  append(events: Waiting['events']): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ events, resolve, reject });
      if (this.#isDrainQueued) return;
      this.#isDrainQueued = true;
      void this.#exclusively(async () => {
        this.#isDrainQueued = false;
        await this.#drain(this.#waiting.splice(0));
      });
    });
  }

  /**
   * The run of events that follows `after`, oldest first: at most `max`, and at most `bytesMax` of
   * JSON (but one at least).
   */
  read(after: number, max: number, bytesMax = Number.MAX_SAFE_INTEGER): Promise<SpoolBatch> {
    return this.#exclusively(async () => {
      const events: NodeEvent[] = [];
      let bytes = 0;
      for (const segment of this.#segments) {
        if (segment.lastSeq <= after + events.length) continue;
        for (const record of await this.#recordsOf(segment)) {
          if (record.seq <= after + events.length) continue;
          if (record.seq !== after + events.length + 1) {
            return { events, isGap: events.length === 0 };
          }
          const event = { seq: record.seq, ...record.event };
          bytes += Buffer.byteLength(JSON.stringify(event)) + 1;
          const isFull = events.length > 0 && bytes > bytesMax;
          if (events.length === max || isFull) return { events, isGap: false };
          events.push(event);
        }
      }
      return { events, isGap: false };
    });
  }

  /**
   * The manager has everything up to here. Idempotent; a lower number than before, or one that was
   * never given, changes nothing. Files go when all in them is acknowledged and their ids are no
   * longer needed against doubles.
   */
  acknowledge(through: number): Promise<void> {
    return this.#exclusively(async () => {
      if (through <= this.#acked || through >= this.nextSeq) return;
      this.#acked = through;
      await writeAcked(this.#folder, this.#id, through);
      await this.#removeAcknowledged();
    });
  }

  /**
   * Begins anew under another id, with the events that were not acknowledged numbered from 1. For
   * when the manager knows numbers that this spool never gave: it was set back, by a restored
   * backup for example. An event may then reach the manager twice; none is lost.
   */
  renew(): Promise<void> {
    return this.#exclusively(async () => {
      const held: SpoolRecord[] = [];
      for (const segment of this.#segments) held.push(...(await this.#recordsOf(segment)));
      const kept = held
        .filter((record) => record.seq > this.#acked)
        .map((record, index) => ({ ...record, seq: index + 1 }));
      await this.#closeFile();
      const old = this.#segments;
      const id = newSpoolId();
      const fresh = await createSegment(this.#folder, id, 1);
      const segment = await rewriteSegment(this.#folder, fresh, kept);
      // From here on the new one counts; files of another id are removed at the next opening.
      await writeSpoolId(this.#folder, id);
      this.#id = id;
      this.#segments = [segment];
      this.#acked = 0;
      this.#cache = null;
      this.#ids = new Map(kept.map((record) => [record.id, record.seq]));
      for (const { name } of old) await rm(join(this.#folder, name), { force: true });
    });
  }

  /** Waits for what is being written. The spool must not be used afterwards. */
  async close(): Promise<void> {
    await this.#exclusively(() => this.#closeFile());
  }

  get #last(): Segment {
    return this.#segments[this.#segments.length - 1] as Segment;
  }

  #unacknowledged(): Run[] {
    return [...this.#heldRuns()].map(({ from, to }) => ({
      from: Math.max(from, this.#acked + 1),
      to,
    }));
  }

  *#heldRuns(): Generator<Run, undefined> {
    for (const segment of this.#segments) {
      for (const run of segment.runs) if (run.to > this.#acked) yield run;
    }
    return undefined;
  }

  #exclusively<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#turn.then(work);
    this.#turn = done.catch(() => undefined);
    return done;
  }

  async #drain(waiting: readonly Waiting[]): Promise<void> {
    try {
      await this.#write(waiting.flatMap((one) => one.events));
      for (const one of waiting) one.resolve();
    } catch (error) {
      for (const one of waiting) one.reject(error);
    }
  }

  async #write(events: Waiting['events']): Promise<void> {
    const fresh = new Map<string, SpoolRecord>();
    for (const { id, event } of events) {
      if (this.#ids.has(id) || fresh.has(id)) continue;
      fresh.set(id, { seq: this.nextSeq + fresh.size, id, event });
    }
    if (fresh.size === 0) return;
    const records = [...fresh.values()];
    const bytes = Buffer.from(records.map(lineOf).join(''));
    await this.#makeRoom(bytes.length);
    if (this.#last.bytes + bytes.length > this.#segmentBytesMax && this.#last.bytes > 0) {
      await this.#closeFile();
      this.#segments.push(await createSegment(this.#folder, this.#id, this.nextSeq));
    }
    const segment = this.#last;
    await this.#writeTo(segment, bytes);
    segment.bytes += bytes.length;
    const from = segment.lastSeq + 1;
    segment.lastSeq += records.length;
    const run = segment.runs.at(-1);
    if (run?.to === from - 1) run.to = segment.lastSeq;
    else segment.runs.push({ from, to: segment.lastSeq });
    segment.hasInfo ||= records.some((record) => record.event.severity === 'info');
    if (this.#cache?.segment === segment) this.#cache = null;
    for (const record of records) this.#ids.set(record.id, record.seq);
    this.#forgetIds();
  }

  /** All of it is on the disk, or the file is as it was. */
  async #writeTo(segment: Segment, bytes: Buffer): Promise<void> {
    try {
      this.#file ??= await open(join(this.#folder, segment.name), 'r+');
      // A try before this one may have left a part behind.
      await this.#file.truncate(segment.bytes);
      // A disk with room for a part takes that part and says nothing; the rest is refused then.
      for (let done = 0; done < bytes.length;) {
        const left = bytes.length - done;
        done += (await this.#file.write(bytes, done, left, segment.bytes + done)).bytesWritten;
      }
      await this.#file.datasync();
    } catch (error) {
      await this.#file?.truncate(segment.bytes).catch(() => undefined);
      await this.#closeFile().catch(() => undefined);
      throw error;
    }
  }

  async #closeFile(): Promise<void> {
    const file = this.#file;
    this.#file = null;
    await file?.close();
  }

  #forgetIds(): void {
    for (const id of this.#ids.keys()) {
      if (this.#ids.size <= REMEMBERED_IDS_MAX) return;
      this.#ids.delete(id);
    }
  }

  async #recordsOf(segment: Segment): Promise<readonly SpoolRecord[]> {
    if (segment.bytes === 0) return [];
    const cache = this.#cache;
    if (cache?.segment === segment && cache.bytes === segment.bytes) return cache.records;
    const bytes = await readFile(join(this.#folder, segment.name));
    const records = [...parseSegment(bytes.subarray(0, segment.bytes)).records];
    this.#cache = { segment, bytes: segment.bytes, records };
    return records;
  }

  async #removeAcknowledged(keepIds = true): Promise<void> {
    const unneeded = this.nextSeq - 1 - (keepIds ? REMEMBERED_IDS_MAX : 0);
    const through = Math.min(this.#acked, unneeded);
    await this.#remove(
      this.#segments.filter((one) => one !== this.#last && one.lastSeq <= through),
    );
  }

  async #remove(gone: readonly Segment[]): Promise<void> {
    if (gone.length === 0) return;
    for (const { name } of gone) await rm(join(this.#folder, name), { force: true });
    await syncDirectory(this.#folder);
    this.#segments = this.#segments.filter((one) => !gone.includes(one));
    this.#cache = null;
  }

  #isOver(incoming: number): boolean {
    const bytes = this.#segments.reduce((sum, one) => sum + one.bytes, 0);
    return bytes + incoming > this.#bytesMax;
  }

  async #makeRoom(incoming: number): Promise<void> {
    if (!this.#isOver(incoming)) return;
    await this.#removeAcknowledged(false);
    const before = this.#unacknowledged();
    for (const segment of this.#segments.slice(0, -1)) {
      if (!this.#isOver(incoming)) break;
      if (segment.hasInfo) await this.#dropInfo(segment);
    }
    while (this.#isOver(incoming) && this.#segments.length > 1) {
      await this.#remove(this.#segments.slice(0, 1));
    }
    const lost = droppedBetween(before, this.#unacknowledged());
    if (lost === null) return;
    const { count: dropped } = lost;
    this.#dropped += dropped;
    this.#onDropped(lost);
    this.#log('the spool is full; the oldest events were dropped', {
      error_code: 'events_lost',
      dropped,
    });
  }

  async #dropInfo(segment: Segment): Promise<void> {
    const records = await this.#recordsOf(segment);
    const kept = records.filter((record) => record.event.severity !== 'info');
    if (kept.length === 0) {
      await this.#remove([segment]);
      return;
    }
    const rewritten = await rewriteSegment(this.#folder, segment, kept);
    this.#segments = this.#segments.map((one) => (one === segment ? rewritten : one));
    this.#cache = null;
  }
}
