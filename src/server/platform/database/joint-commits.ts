import type { Engine } from './engine.js';
import type { Tx } from './sql.js';

/** Works of one commit: some ten ms in one go, and one wait for the disk. */
const WORKS_PER_COMMIT_MAX = 64;

/** What is needed of `Database`. */
interface Transactions {
  readonly kind: Engine['kind'];
  transaction<T>(work: (tx: Tx) => Promise<T>): Promise<T>;
}

interface Waiting {
  readonly sinceMs: number;
  readonly run: (tx: Tx) => Promise<void>;
  readonly done: () => void;
  readonly alone: () => Promise<void>;
}

/**
 * Small works of many callers in shared transactions: on SQLite each commit waits for the disk with the whole
 * process behind it, and the answers of ten thousand nodes would be ten thousand such waits. Works run one
 * after another, each seeing what those before it wrote, and every caller hears only after the commit. When
 * one of them throws, all is rolled back and each is run again in a transaction of its own; so a work must
 * have no effect outside `tx`, as in `Database.transaction`. On PostgreSQL, where transactions run side by side
 * and share commits by themselves, each has its own.
 */
export class JointCommits {
  readonly #database: Transactions;
  #waiting: Waiting[] = [];
  #isBusy = false;

  constructor(database: Transactions) {
    this.#database = database;
  }

  /** As `Database.transaction`. In the order of the calls, as long as nothing throws. */
  transaction<T>(work: (tx: Tx) => Promise<T>): Promise<T> {
    if (this.#database.kind === 'postgres') return this.#database.transaction(work);
    return new Promise<T>((resolve, reject) => {
      let result: T;
      this.#waiting.push({
        sinceMs: performance.now(),
        run: async (tx) => {
          result = await work(tx);
        },
        done: () => {
          resolve(result);
        },
        alone: () => this.#database.transaction(work).then(resolve, reject),
      });
      if (!this.#isBusy) void this.#drain();
    });
  }

  /** Since when the oldest work waits; null when none does. */
  oldestMs(): number | null {
    return this.#waiting[0]?.sinceMs ?? null;
  }

  /** Never rejects. */
  async #drain(): Promise<void> {
    this.#isBusy = true;
    while (this.#waiting.length > 0) {
      // What came in the same turn of the event loop goes together.
      await new Promise((resolve) => setImmediate(resolve));
      const group = this.#waiting.slice(0, WORKS_PER_COMMIT_MAX);
      this.#waiting = this.#waiting.slice(WORKS_PER_COMMIT_MAX);
      await this.#commit(group);
    }
    this.#isBusy = false;
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
    } catch {
      for (const { alone } of group) await alone();
      return;
    }
    for (const { done } of group) done();
  }
}
