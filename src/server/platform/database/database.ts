import { AsyncLocalStorage } from 'node:async_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { FleetError, invariant } from '../../../core/kernel/index.js';
import { meters, traced } from '../telemetry/index.js';
import type { Engine, EngineTx } from './engine.js';
import { Batches, WORKS_PER_COMMIT_MAX, type Asked } from './batches.js';
import { JointCommits, type Locks } from './joint-commits.js';
import type { Sql, SqlValue, Tx } from './sql.js';

/** A serialization failure or deadlock is tried again this often; more would hide a hot row. */
const RETRIES_MAX = 3;
const RETRY_DELAY_MS = 10;

/** How often those are answered that come together. */
const BATCH_EVERY_MS = 20;

/** What managers do one at a time. Numbers stay what they are: managers of two versions share them. */
const LOCK_KEYS = { releases: 1 } as const;

/** The one way to the tables, the same on SQLite and PostgreSQL. */
export class Database {
  readonly kind: 'sqlite' | 'postgres';
  /** Reads committed rows; each statement stands for itself. Never sees an open transaction. */
  readonly read: Sql;
  readonly #engine: Engine;
  readonly #log: Logger;
  readonly #current = new AsyncLocalStorage<OpenTx>();
  readonly #beginnings = new AsyncLocalStorage<Beginning>();
  readonly #running = new Set<Promise<unknown>>();
  readonly #joint = new JointCommits(this);
  /** Since when transactions wait to begin, the oldest first. */
  readonly #waiting = new Set<{ readonly sinceMs: number }>();
  #closing: Promise<void> | null = null;

  constructor(engine: Engine, log: Logger) {
    this.#engine = engine;
    this.#log = log;
    this.kind = engine.kind;
    this.read = this.#told(engine.read);
  }

  /**
   * Runs `work` in one transaction and commits what it did; whatever it throws rolls everything
   * back and is thrown on. On SQLite transactions run one after another; on PostgreSQL they are
   * READ COMMITTED and `work` may run again after a deadlock, so it must have no effect of its own
   * outside `tx`: those belong into `tx.afterCommit`. Transactions do not nest.
   */
  async transaction<T>(work: (tx: Tx) => Promise<T>): Promise<T> {
    if (this.#closing !== null) throw closed();
    invariant(this.#current.getStore()?.open !== true, 'a transaction inside a transaction');
    const run = traced('transaction', { isPart: true }, () => this.#retrying(work));
    this.#running.add(run);
    try {
      return await run;
    } finally {
      this.#running.delete(run);
    }
  }

  /** As `transaction`; small works of many callers share a commit, those of one line also on PostgreSQL: see `JointCommits`. */
  together<T>(work: (tx: Tx) => Promise<T>, locks?: Locks<T>): Promise<T> {
    return this.#joint.transaction(work, locks);
  }

  /**
   * For what nodes ask that may come by the thousand: those that come together are answered together (`Batches`). In a storm of some
   * hundred a second each batch has ten, whose statements cost hardly more than those of one; the half dozen batches that an
   * arrival goes through take it a tenth of a second then. Whoever comes alone does not wait.
   */
  batched<Item, Result>(
    run: (items: readonly Item[]) => Promise<readonly Result[]>,
    keyOf?: (item: Item) => string,
  ): Asked<Item, Result> {
    const most = WORKS_PER_COMMIT_MAX[this.kind];
    return new Batches(run, { most, everyMs: BATCH_EVERY_MS, keyOf });
  }

  /**
   * Thousands of rows have come into these tables at once. By itself PostgreSQL looks a minute later at the soonest, and reads whole tables
   * until then where an index has what is wanted. Never throws: all is right without it. SQLite needs no numbers.
   */
  async haveGrown(tables: readonly string[]): Promise<void> {
    if (this.kind === 'sqlite' || this.#closing !== null) return;
    const run = this.read.run(`ANALYZE ${tables.join(', ')}`).catch((error: unknown) => {
      this.#log.warn({ err: error, tables }, 'PostgreSQL does not look at its tables anew');
    });
    this.#running.add(run);
    await run.finally(() => this.#running.delete(run));
  }

  /** How long the transaction has waited that waits longest for its turn: on SQLite for those before it, else for a connection. */
  delayMs(): number {
    const nowMs = performance.now();
    const [oldest] = this.#waiting;
    return nowMs - Math.min(oldest?.sinceMs ?? nowMs, this.#joint.oldestMs() ?? nowMs);
  }

  /**
   * Runs `work`; the first transaction that it commits began with `check`, and is rolled back with what that
   * throws. Work that makes no transaction is not checked.
   */
  async beginningWith<T>(check: (tx: Tx) => Promise<void>, work: () => Promise<T>): Promise<T> {
    return await this.#beginnings.run({ check, isDone: false }, work);
  }

  /**
   * Runs a work that only one manager does at a time. Whoever calls it stands in a line of his own first: the lock
   * takes a connection. It is a courtesy: a manager that loses its connection loses the lock, and works on.
   */
  async alone<T>(name: keyof typeof LOCK_KEYS, work: () => Promise<T>): Promise<T> {
    const free = await this.#engine.lock(LOCK_KEYS[name]).catch((error: unknown) => {
      throw this.#outage(error);
    });
    try {
      return await work();
    } finally {
      await free();
    }
  }

  /** Waits for running transactions, refuses new ones, closes the connections. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= (async () => {
      await Promise.allSettled(this.#running);
      await this.#engine.close();
    })();
    return this.#closing;
  }

  async #begin(): Promise<EngineTx> {
    try {
      return await this.#engine.begin();
    } catch (error) {
      throw this.#outage(error);
    }
  }

  /** What a caller can act on: the database is away, nothing was changed, trying again may help. */
  #outage(error: unknown): unknown {
    if (!this.#engine.isOutage(error)) return error;
    meters.count('bellwether_db_transactions_total', 'unavailable');
    return new FleetError('unavailable', 'the database does not answer or cannot write', {
      kind: 'operational',
      cause: error,
    });
  }

  #told(sql: Sql): Sql {
    const rethrow = (error: unknown): never => {
      throw this.#outage(error);
    };
    return {
      all: <Row>(text: string, params?: readonly SqlValue[]) =>
        sql.all<Row>(text, params).catch(rethrow),
      get: <Row>(text: string, params?: readonly SqlValue[]) =>
        sql.get<Row>(text, params).catch(rethrow),
      run: (text, params) => sql.run(text, params).catch(rethrow),
    };
  }

  async #retrying<T>(work: (tx: Tx) => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.#once(work);
      } catch (error) {
        if (attempt > RETRIES_MAX || !this.#engine.isRetryable(error)) throw error;
        meters.count('bellwether_db_transactions_total', 'retried');
        await sleep(RETRY_DELAY_MS * attempt);
      }
    }
  }

  async #once<T>(work: (tx: Tx) => Promise<T>): Promise<T> {
    const askedMs = performance.now();
    const waits = { sinceMs: askedMs };
    this.#waiting.add(waits);
    const inner = await this.#begin().finally(() => this.#waiting.delete(waits));
    meters.since('bellwether_db_transaction_wait_seconds', askedMs);
    const startedMs = performance.now();
    const tx = new OpenTx(inner);
    let result: T;
    try {
      const beginning = this.#beginnings.getStore();
      if (beginning?.isDone === false) await beginning.check(tx);
      result = await this.#current.run(tx, () => work(tx));
      await this.#current.run(tx, () => tx.runBeforeCommit());
      tx.end();
      await inner.commit();
      if (beginning !== undefined) beginning.isDone = true;
    } catch (error) {
      tx.end();
      await inner.rollback();
      meters.count('bellwether_db_transactions_total', 'rolled_back');
      throw this.#outage(error);
    } finally {
      meters.since('bellwether_db_transaction_seconds', startedMs);
    }
    meters.count('bellwether_db_transactions_total', 'committed');
    for (const effect of tx.effects) {
      try {
        effect();
      } catch (error) {
        this.#log.error({ err: error }, 'an effect after a commit failed');
      }
    }
    return result;
  }
}

const closed = (): FleetError =>
  new FleetError('unavailable', 'the database is closed', { kind: 'operational' });

interface Beginning {
  readonly check: (tx: Tx) => Promise<void>;
  isDone: boolean;
}

interface Hook {
  readonly work: () => Promise<void>;
  readonly rank: number;
}

class OpenTx implements Tx {
  readonly effects: (() => void)[] = [];
  readonly #inner: EngineTx;
  readonly #hooks = new Map<object, Hook>();
  #ended = false;
  #failure: { readonly error: unknown } | null = null;

  constructor(inner: EngineTx) {
    this.#inner = inner;
  }

  get open(): boolean {
    return !this.#ended;
  }

  all<Row>(sql: string, params: readonly SqlValue[] = []): Promise<Row[]> {
    return this.#guarded(() => this.#inner.all<Row>(sql, params));
  }
  get<Row>(sql: string, params: readonly SqlValue[] = []): Promise<Row | undefined> {
    return this.#guarded(() => this.#inner.get<Row>(sql, params));
  }
  run(sql: string, params: readonly SqlValue[] = []): Promise<number> {
    return this.#guarded(() => this.#inner.run(sql, params));
  }

  insertRows(
    into: string,
    rows: readonly (readonly SqlValue[])[],
    alike?: readonly number[],
  ): Promise<void> {
    return this.#guarded(() => this.#inner.insertRows(into, rows, alike));
  }

  beforeCommit(key: object, work: () => Promise<void>, rank = 0): void {
    invariant(!this.#ended, 'the transaction has ended');
    if (!this.#hooks.has(key)) this.#hooks.set(key, { work, rank });
  }
  afterCommit(work: () => void): void {
    invariant(!this.#ended, 'the transaction has ended');
    this.effects.push(work);
  }

  /** A work may register more, so the next one is looked for each time. */
  async runBeforeCommit(): Promise<void> {
    while (this.#hooks.size > 0) {
      const waiting = [...this.#hooks];
      const lowest = Math.min(...waiting.map(([, hook]) => hook.rank));
      const next = waiting.find(([, hook]) => hook.rank === lowest);
      if (next === undefined) break;
      this.#hooks.delete(next[0]);
      await next[1].work();
    }
    if (this.#failure !== null) throw this.#failure.error;
  }

  end(): void {
    this.#ended = true;
  }

  /** SQLite would go on after a failed statement, PostgreSQL would not: both must not. */
  async #guarded<T>(statement: () => Promise<T>): Promise<T> {
    invariant(!this.#ended, 'the transaction has ended');
    if (this.#failure !== null) throw this.#failure.error;
    try {
      return await statement();
    } catch (error) {
      this.#failure ??= { error };
      throw error;
    }
  }
}
