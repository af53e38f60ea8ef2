import { Batches, WORKS_PER_COMMIT_MAX } from './batches.js';
import type { Engine } from './engine.js';
import type { Tx } from './sql.js';

/** What is needed of `Database`. */
interface Transactions {
  readonly kind: Engine['kind'];
  transaction<T>(work: (tx: Tx) => Promise<T>): Promise<T>;
}

interface Work {
  readonly order: string;
  readonly run: (tx: Tx) => Promise<unknown>;
  readonly early: (() => unknown) | null;
}

/** What a work will lock, for those that have to share a transaction because of it. */
export interface Locks<T = unknown> {
  /** Works that name the same one share transactions, on every database: a row that all of them lock, or a kind of them. */
  readonly line: string;
  /** The row that is this work's own: works of one transaction run in this order, those of the same row as they were called. */
  readonly row?: string;
  /** For a work that is worth less the longer it waits: its answer when it need not be done any more; null: it must (`BatchRules.early`). */
  readonly early?: () => T | null;
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
  readonly #lines = new Map<string, Batches<Work, unknown>>();

  constructor(database: Transactions) {
    this.#database = database;
  }

  /** As `Database.transaction`. Of one line and row in the order of the calls, as long as nothing throws and none is `early`. */
  async transaction<T>(work: (tx: Tx) => Promise<T>, locks?: Locks<T>): Promise<T> {
    const isPostgres = this.#database.kind === 'postgres';
    if (isPostgres && locks === undefined) return await this.#database.transaction(work);
    const name = isPostgres && locks !== undefined ? locks.line : ONE_LINE;
    const line = this.#lines.get(name) ?? this.#newLine(name);
    this.#lines.set(name, line);
    const order = isPostgres ? (locks?.row ?? '') : '';
    return (await line.ask({ order, run: work, early: locks?.early ?? null })) as T;
  }

  /** Since when the oldest work waits; null when none does. */
  oldestMs(): number | null {
    const since = [...this.#lines.values()].flatMap(({ oldestMs }) => oldestMs ?? []);
    return since.length === 0 ? null : Math.min(...since);
  }

  #newLine(name: string): Batches<Work, unknown> {
    return new Batches((works) => this.#commit(works), {
      most: WORKS_PER_COMMIT_MAX[this.#database.kind],
      early: ({ early }) => early,
      onIdle: () => this.#lines.delete(name),
    });
  }

  #commit(works: readonly Work[]): Promise<unknown[]> {
    const inOrder = works
      .map((work, index) => ({ ...work, index }))
      .sort((a, b) => (a.order < b.order ? -1 : a.order > b.order ? 1 : 0));
    return this.#database.transaction(async (tx) => {
      const results: unknown[] = [];
      for (const { index, run } of inOrder) results[index] = await run(tx);
      return results;
    });
  }
}
