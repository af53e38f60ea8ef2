import { rowsOf, type SqlValue, type Tx } from '../platform/index.js';
import { errorCodeOf, type NewEvent } from './event-rows.js';

/** Ids of one block lie side by side in the table: reading a whole one takes about 0.1 ms. */
export const BLOCK_EVENTS = 512;
/** The finest step of the counts: 5 minutes. */
export const COUNT_BUCKET_MS = 300_000;

export const blockOf = (id: number): number => Math.floor((id - 1) / BLOCK_EVENTS);
export const firstIdOf = (block: number): number => block * BLOCK_EVENTS + 1;

/** What a block can be marked with; the letter stands in the key. */
export const MARK = {
  node: 'n:',
  rollout: 'r:',
  error: 'e:',
  type: 't:',
  category: 'c:',
  severity: 's:',
} as const;

/** In one statement; the log waits for whoever notes. */
const ROWS_PER_INSERT = 128;

interface Count {
  readonly event: NewEvent;
  readonly bucket: number;
  count: number;
}

/**
 * What is noted beside the events of one commit, so that a search need not look at all of them: an index
 * on node or rollout for each row would slow ingest at millions of rows; one mark for each block and
 * key, however many events stand behind it, does not.
 */
class Notes {
  readonly marks = new Map<string, number>();
  readonly times = new Map<number, { first: number; last: number }>();
  readonly counts = new Map<string, Count>();
  #last: { readonly event: NewEvent; readonly block: number; readonly count: Count } | null = null;

  add(event: NewEvent, id: number): void {
    const block = blockOf(id);
    this.#time(block, event.at);
    const before = this.#last?.block === block ? this.#last.event : null;
    this.#marks(event, before, block);
    const bucket = Math.floor(event.at / COUNT_BUCKET_MS);
    const same = this.#last;
    if (same !== null && same.count.bucket === bucket && isSameKind(same.event, event)) {
      same.count.count += 1;
      this.#last = { event, block, count: same.count };
      return;
    }
    const key = `${bucket} ${event.groupId} ${event.category} ${event.type} ${event.severity}`;
    const count = this.counts.get(key) ?? { event, bucket, count: 0 };
    count.count += 1;
    this.counts.set(key, count);
    this.#last = { event, block, count };
  }

  #time(block: number, at: number): void {
    const known = this.times.get(block);
    if (known === undefined) {
      this.times.set(block, { first: at, last: at });
    } else if (at < known.first) {
      known.first = at;
    } else if (at > known.last) {
      known.last = at;
    }
  }

  #marks(event: NewEvent, before: NewEvent | null, block: number): void {
    const { nodeId, type, category, severity } = event;
    const rolloutId = event.rolloutId ?? null;
    if (nodeId !== null && nodeId !== before?.nodeId) this.#mark(MARK.node, nodeId, block);
    if (rolloutId !== null && rolloutId !== before?.rolloutId) {
      this.#mark(MARK.rollout, rolloutId, block);
    }
    if (type !== before?.type) this.#mark(MARK.type, type, block);
    if (category !== before?.category) this.#mark(MARK.category, category, block);
    if (severity !== before?.severity) this.#mark(MARK.severity, severity, block);
    const code = errorCodeOf(event);
    if (code !== null) this.#mark(MARK.error, code, block);
  }

  #mark(kind: string, word: string, block: number): void {
    this.marks.set(`${kind}${word} ${block}`, block);
  }
}

const isSameKind = (a: NewEvent, b: NewEvent): boolean =>
  a.groupId === b.groupId &&
  a.type === b.type &&
  a.severity === b.severity &&
  a.category === b.category;

/** Notes beside events, in their transaction; the first of them has `firstId`. */
export async function noteEvents(
  tx: Tx,
  firstId: number,
  events: readonly NewEvent[],
): Promise<void> {
  const notes = new Notes();
  for (const [index, event] of events.entries()) notes.add(event, firstId + index);
  const times = [...notes.times].map(([block, { first, last }]) =>
    tx.run(
      `INSERT INTO event_blocks (block, first_at, last_at) VALUES (?, ?, ?)
       ON CONFLICT (block) DO UPDATE SET
         first_at = CASE WHEN excluded.first_at < event_blocks.first_at
           THEN excluded.first_at ELSE event_blocks.first_at END,
         last_at = CASE WHEN excluded.last_at > event_blocks.last_at
           THEN excluded.last_at ELSE event_blocks.last_at END`,
      [block, first, last],
    ),
  );
  await Promise.all([
    insertMarks(tx, notes.marks),
    ...times,
    insertCounts(tx, [...notes.counts.values()]),
  ]);
}

/** As many rows as there are, up to a power of two: few texts of SQL, each prepared once and kept. */
export function* inSome<Row>(rows: readonly Row[]): Generator<readonly Row[]> {
  for (let done = 0; done < rows.length;) {
    const left = rows.length - done;
    const count = Math.min(ROWS_PER_INSERT, 2 ** Math.floor(Math.log2(left)));
    yield rows.slice(done, done + count);
    done += count;
  }
}

async function insertMarks(tx: Tx, marks: ReadonlyMap<string, number>): Promise<void> {
  // In one order everywhere, so that two transactions cannot wait for each other.
  const rows = [...marks]
    .map(([key, block]): [string, number] => [key.slice(0, key.lastIndexOf(' ')), block])
    .sort(([a], [b]) => (a < b ? -1 : 1));
  const sent = [...inSome(rows)].map((some) =>
    tx.run(
      `INSERT INTO event_marks (key, block) VALUES ${rowsOf(some.length, '(?, ?)')}
       ON CONFLICT (key, block) DO NOTHING`,
      some.flat(),
    ),
  );
  await Promise.all(sent);
}

async function insertCounts(tx: Tx, counts: readonly Count[]): Promise<void> {
  const sent = [...inSome(counts)].map((some) =>
    tx.run(
      `INSERT INTO event_counts (bucket, group_id, category, type, severity, count)
       VALUES ${rowsOf(some.length, '(?, ?, ?, ?, ?, ?)')}
       ON CONFLICT (bucket, group_id, category, type, severity)
       DO UPDATE SET count = event_counts.count + excluded.count`,
      some.flatMap(({ event, bucket, count }): SqlValue[] => [
        ...[bucket, event.groupId, event.category, event.type],
        ...[event.severity, count],
      ]),
    ),
  );
  await Promise.all(sent);
}
