import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  Batches,
  JointCommits,
  WORKS_PER_COMMIT_MAX,
  openDatabase,
  type Asked,
  type Database,
  type Locks,
  type Sql,
  type SqlValue,
  type Tx,
} from './parts.js';
import { silentLog } from './quiet-log.js';

/** Files there are memory: a commit costs microseconds, and both connections are as in production. */
const MEMORY_DIR = '/dev/shm';

/** One migrated database that many worlds use, one after another. */
export interface WorldDatabase {
  readonly real: Database;
  /** As it was after the migrations. */
  reset(): Promise<void>;
  close(): Promise<void>;
}

type Row = Record<string, SqlValue>;

/** Opens a database of its own, in memory where the system has a place for that. */
export async function openWorldDatabase(): Promise<WorldDatabase> {
  const dir = mkdtempSync(join(existsSync(MEMORY_DIR) ? MEMORY_DIR : tmpdir(), 'bellwether-sim-'));
  const real = await openDatabase({ url: null, dataDir: dir, log: silentLog });
  const tables = await real.read.all<{ name: string }>(
    `SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'
     AND name <> 'migrations'`,
  );
  const seeds = new Map<string, Row[]>();
  // The locks of the audit log would hold against setting a world back to its beginning.
  const locks = await real.read.all<{ name: string }>(
    `SELECT name FROM sqlite_master WHERE type = 'trigger'`,
  );
  await real.transaction(async (tx) => {
    for (const { name } of locks) await tx.run(`DROP TRIGGER ${name}`);
  });
  for (const { name } of tables) seeds.set(name, await real.read.all<Row>(`SELECT * FROM ${name}`));
  return {
    real,
    reset: () => real.transaction((tx) => restore(tx, seeds)),
    close: async () => {
      await real.close();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

async function restore(tx: Tx, seeds: ReadonlyMap<string, readonly Row[]>): Promise<void> {
  await tx.run('PRAGMA defer_foreign_keys = ON');
  for (const name of seeds.keys()) await tx.run(`DELETE FROM ${name}`);
  for (const [name, rows] of seeds) {
    for (const row of rows) {
      const columns = Object.keys(row);
      const marks = columns.map(() => '?').join(', ');
      await tx.run(
        `INSERT INTO ${name} (${columns.join(', ')}) VALUES (${marks})`,
        Object.values(row),
      );
    }
  }
}

/** What a statement of a manager that is dead ends with. */
export class ManagerDied extends Error {
  constructor() {
    super('the manager has died');
  }
}

/** What a statement ends with that the simulator let fail. */
export class StatementFailed extends Error {
  constructor() {
    super('the database failed, as the simulator wanted it');
  }
}

type Ending = 'dies' | 'fails';

/**
 * The database as one manager has it, until that manager dies: then every statement fails, and a
 * transaction in the middle is rolled back, as it is when the process is gone.
 */
export class MortalDatabase {
  readonly kind = 'sqlite';
  readonly read: Sql;
  /** Work that has begun and not ended. */
  running = 0;
  commits = 0;
  readonly #real: Database;
  readonly #onDeath: () => void;
  readonly #joint = new JointCommits(this);
  #isDead = false;
  #statementsLeft: number | null = null;
  #ending: Ending = 'dies';
  #diesAfterCommit = false;

  constructor(real: Database, onDeath: () => void) {
    this.#real = real;
    this.#onDeath = onDeath;
    this.read = {
      all: <T>(sql: string, params?: readonly SqlValue[]) =>
        this.#counted(() => real.read.all<T>(sql, params)),
      get: <T>(sql: string, params?: readonly SqlValue[]) =>
        this.#counted(() => real.read.get<T>(sql, params)),
      run: (sql, params) => this.#counted(() => real.read.run(sql, params)),
    };
  }

  /** The product asks for a `Database`, a class with private parts: nothing else can be one. */
  get asDatabase(): Database {
    return this as unknown as Database;
  }

  /** There is one manager at a time. */
  alone<T>(_name: string, work: () => Promise<T>): Promise<T> {
    return work();
  }

  get isDead(): boolean {
    return this.#isDead;
  }

  /** The statement after so many others fails, or is the last one that the manager tries. */
  endAfter(statements: number, ending: Ending): void {
    this.#statementsLeft = statements;
    this.#ending = ending;
  }

  /** Dies right after its next commit, before anything follows from that. */
  dieAfterCommit(): void {
    this.#diesAfterCommit = true;
  }

  spare(): void {
    this.#statementsLeft = null;
    this.#diesAfterCommit = false;
  }

  die(): void {
    if (this.#isDead) return;
    this.#isDead = true;
    this.#onDeath();
  }

  transaction<T>(work: (tx: Tx) => Promise<T>): Promise<T> {
    return this.#underWay(async () => {
      const result = await this.#real.transaction((tx) => work(this.#mortal(tx)));
      this.#committed();
      return result;
    });
  }

  /** As the product shares commits; what dies in one of them is tried alone, and dies there too. */
  together<T>(work: (tx: Tx) => Promise<T>, locks?: Locks<T>): Promise<T> {
    return this.#underWay(() => this.#joint.transaction(work, locks));
  }

  /** As the product answers together what comes together; no time passes here. */
  batched<Item, Result>(
    run: (items: readonly Item[]) => Promise<readonly Result[]>,
    keyOf?: (item: Item) => string,
  ): Asked<Item, Result> {
    const batches = new Batches(run, { most: WORKS_PER_COMMIT_MAX.sqlite, keyOf });
    return { ask: (item) => this.#underWay(() => batches.ask(item)) };
  }

  #mortal(tx: Tx): Tx {
    return {
      all: (sql, params) => this.#statement(() => tx.all(sql, params)),
      get: (sql, params) => this.#statement(() => tx.get(sql, params)),
      run: (sql, params) => this.#statement(() => tx.run(sql, params)),
      insertRows: (into, rows, alike) => this.#statement(() => tx.insertRows(into, rows, alike)),
      beforeCommit: (key, work, rank) => {
        tx.beforeCommit(key, work, rank);
      },
      afterCommit: (work) => {
        tx.afterCommit(() => {
          this.#perish();
          if (!this.#isDead) work();
        });
      },
    };
  }

  #committed(): void {
    this.commits += 1;
    this.#perish();
    this.#alive();
  }

  #perish(): void {
    if (this.#diesAfterCommit) this.die();
  }

  #alive(): void {
    if (this.#isDead) throw new ManagerDied();
  }

  #counted<T>(work: () => Promise<T>): Promise<T> {
    return this.#underWay(() => this.#statement(work));
  }

  async #underWay<T>(work: () => Promise<T>): Promise<T> {
    this.#alive();
    this.running += 1;
    try {
      return await work();
    } finally {
      this.running -= 1;
    }
  }

  async #statement<T>(work: () => Promise<T>): Promise<T> {
    this.#alive();
    if (this.#statementsLeft !== null) {
      this.#statementsLeft -= 1;
      if (this.#statementsLeft < 0) {
        this.#statementsLeft = null;
        if (this.#ending === 'fails') throw new StatementFailed();
        this.die();
        throw new ManagerDied();
      }
    }
    return work();
  }
}
