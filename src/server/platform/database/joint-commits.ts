import { FleetError } from '../../../core/kernel/index.js';
import type { Engine } from './engine.js';
import type { Tx } from './sql.js';

/** Works of one commit: some ten ms in one go, and one wait for the disk. */
export const WORKS_PER_COMMIT_MAX = 64;

/** What is needed of `Database`. */
interface Transactions {
  readonly kind: Engine['kind'];
  transaction<T>(work: (tx: Tx) => Promise<T>): Promise<T>;
}

interface Waiting {
  readonly sinceMs: number;
  readonly order: string;
  readonly run: (tx: Tx) => Promise<void>;
  readonly done: () => void;
  readonly failed: (error: unknown) => void;
  readonly alone: () => Promise<void>;
}

/** Works that share commits. */
interface Line {
  waiting: Waiting[];
  isBusy: boolean;
}

/** What a work will lock, for those that have to share a transaction because of it. */
export interface Locks {
  /** Works that name the same one share transactions, on every database: a row that all of them lock, or a kind of them. */
  readonly line: string;
  /** The row that is this work's own: works of one transaction run in this order, those of the same row as they were called. */
  readonly row?: string;
}

/** Where all works wait that share commits by the process. */
const ONE_LINE = '';

/**
 * Small works of many callers in shared transactions: on SQLite each commit waits for the disk with the whole
 * process behind it, and the answers of ten thousand nodes would be ten thousand such waits. Works run one
 * after another, each seeing what those before it wrote, and every caller hears only after the commit. When
 * one of them throws, all is rolled back and each is run again in a transaction of its own; so a work must
 * have no effect outside `tx`, as in `Database.transaction`.
 *
 * On PostgreSQL transactions run side by side and share commits by themselves; but those that lock one row wait for
 * each other, a connection each, and some hundred nodes that ask at once would take all connections there are. Whoever
 * names a line shares a transaction with the others that name it; who names none has a transaction of its own. Works
 * that lock a row each do so in the order of these rows, so that two managers do not wait for each other.
 */
export class JointCommits {
  readonly #database: Transactions;
  readonly #lines = new Map<string, Line>();

  constructor(database: Transactions) {
    this.#database = database;
  }

  /** As `Database.transaction`. Of one line and row in the order of the calls, as long as nothing throws. */
  transaction<T>(work: (tx: Tx) => Promise<T>, locks?: Locks): Promise<T> {
    const isPostgres = this.#database.kind === 'postgres';
    if (isPostgres && locks === undefined) return this.#database.transaction(work);
    const name = isPostgres && locks !== undefined ? locks.line : ONE_LINE;
    const line = this.#lines.get(name) ?? { waiting: [], isBusy: false };
    this.#lines.set(name, line);
    return new Promise<T>((resolve, reject) => {
      let result: T;
      line.waiting.push({
        sinceMs: performance.now(),
        order: isPostgres ? (locks?.row ?? '') : '',
        run: async (tx) => {
          result = await work(tx);
        },
        done: () => {
          resolve(result);
        },
        failed: reject,
        alone: () => this.#database.transaction(work).then(resolve, reject),
      });
      if (!line.isBusy) void this.#drain(name, line);
    });
  }

  /** Since when the oldest work waits; null when none does. */
  oldestMs(): number | null {
    const since = [...this.#lines.values()].flatMap(({ waiting }) => waiting[0]?.sinceMs ?? []);
    return since.length === 0 ? null : Math.min(...since);
  }

  /** Never rejects. */
  async #drain(name: string, line: Line): Promise<void> {
    line.isBusy = true;
    while (line.waiting.length > 0) {
      // What came in the same turn of the event loop goes together.
      await new Promise((resolve) => setImmediate(resolve));
      const group = line.waiting
        .slice(0, WORKS_PER_COMMIT_MAX)
        .sort((a, b) => (a.order < b.order ? -1 : a.order > b.order ? 1 : 0));
      line.waiting = line.waiting.slice(WORKS_PER_COMMIT_MAX);
      await this.#commit(group);
    }
    line.isBusy = false;
    this.#lines.delete(name);
  }

  async #commit(group: readonly Waiting[]): Promise<void> {
    const [only] = group;
    if (group.length === 1 && only !== undefined) {
      await only.alone();
      return;
    }
    try {
      await this.#database.transaction(async (tx) => {
        for (const { run } of group) await run(tx);
      });
    } catch (error) {
      // Where the database itself is away, each alone would wait as long as all of them did.
      const isAway = error instanceof FleetError && error.code === 'unavailable';
      for (const { alone, failed } of group) {
        if (isAway) failed(error);
        else await alone();
      }
      return;
    }
    for (const { done } of group) done();
  }
}
