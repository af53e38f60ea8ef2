import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MINUTE_MS } from '../../core/kernel/index.js';
import type { Agenda } from './agenda.js';
import type { Chance } from './chance.js';
import type { Faults } from './faults.js';
import { Manager } from './manager.js';
import { ManagerDied, MortalDatabase, StatementFailed } from './mortal-database.js';
import type { Mutant } from './mutant.js';
import type { NodeLink } from './nodes/node-link.js';
import { isUsual } from './operators.js';
import { DiskBlobs, type Database } from './parts.js';
import { Violation } from './checks/violation.js';
import { SimulatedWakeups } from './wakeups.js';
import type { Wire } from './nodes/wire.js';

const SWEEP_MS = 5_000;
/** While nothing happens there is less to sweep: later sweeps would only find the same. */
const SWEEP_MS_MAX = 900_000;

export interface LivesOptions {
  readonly agenda: Agenda;
  readonly chance: Chance;
  readonly faults: Faults;
  readonly database: Database;
  readonly mutant: Mutant | null;
  /** When something happened that was more than a heartbeat. */
  readonly lastNewsAt: () => number;
  readonly say: (what: string) => void;
}

/** The manager dies and is started again, as often as luck has it; between two lives there is none. */
export class Lives {
  manager: Manager | null = null;
  database: MortalDatabase;
  /** Whether the manager was given something to do in this step. */
  isTouched = false;
  /** What a manager said is wrong with itself. */
  error: Violation | null = null;
  readonly #options: LivesOptions;

  constructor(options: LivesOptions) {
    this.#options = options;
    this.database = new MortalDatabase(options.database, () => undefined);
  }

  /** The manager is about to work: this is when it may die of it. */
  touch(): void {
    this.isTouched = true;
    const { faults, chance } = this.#options;
    if (!faults.isOn || this.manager === null) return;
    if (faults.hit('manager_dies_in_transaction'))
      this.database.endAfter(chance.int(0, 25), 'dies');
    else if (faults.hit('transaction_fails')) this.database.endAfter(chance.int(0, 25), 'fails');
    else if (faults.hit('manager_dies_after_commit')) this.database.dieAfterCommit();
  }

  /** Another life, unless there is one. */
  async start(): Promise<void> {
    if (this.manager !== null) return;
    const { agenda, faults, chance, mutant, say } = this.#options;
    const database = new MortalDatabase(this.#options.database, () => {
      this.#died(database);
    });
    this.database = database;
    const onError = (error: unknown, message: string): void => {
      this.#hear(database, error, message);
    };
    const manager = new Manager({
      agenda,
      database,
      wakeups: new SimulatedWakeups({
        agenda,
        faults,
        chance,
        losesAll: mutant?.isNeverWoken ?? false,
        onError: (error) => {
          onError(error, 'wake-up');
        },
      }),
      blobs: noBlobs(),
      onError,
      mutate: mutant?.mutate ?? (() => undefined),
    });
    this.manager = manager;
    say('starts');
    this.touch();
    try {
      await manager.start();
    } catch (error) {
      // A manager that cannot start is started again by whoever looks after it.
      if (!isWanted(error)) throw error;
      database.die();
    }
    if (mutant?.isNeverWoken !== true) this.#sweepLater(manager);
    this.#flushLater(manager);
  }

  /** Lets a node's socket in; false when there is no manager. */
  connect(link: NodeLink, wire: Wire): boolean {
    if (this.manager === null) return false;
    const { id, groupId } = link.node.options;
    this.manager.connect({ nodeId: id, groupId, publicKey: 'k'.repeat(43), revoked: false }, wire);
    return true;
  }

  #died(database: MortalDatabase): void {
    if (this.manager?.database !== database) return;
    const { agenda, chance, faults, say } = this.#options;
    say('dies');
    this.manager.bury();
    this.manager = null;
    agenda.in(faults.isOn ? chance.spread(500, 20 * MINUTE_MS) : 1_000, () => this.start());
  }

  /** What a manager says is wrong, is: unless it is dead, or we made it so. */
  #hear(database: MortalDatabase, error: unknown, message: string): void {
    if (database.isDead || isWanted(error) || isUsual(error)) return;
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    this.error ??= new Violation('no_unexpected_error', `${message}: ${text}`);
  }

  #idleMs(): number {
    return this.#options.agenda.now - this.#options.lastNewsAt();
  }

  #sweepLater(manager: Manager): void {
    const { agenda, faults } = this.#options;
    agenda.in(Math.min(SWEEP_MS_MAX, Math.max(SWEEP_MS, this.#idleMs() / 4)), async () => {
      if (this.manager !== manager) return;
      this.touch();
      if (faults.hit('manager_dies_idle')) manager.database.die();
      else await manager.sweep();
      this.#sweepLater(manager);
    });
  }

  #flushLater(manager: Manager): void {
    const { agenda } = this.#options;
    agenda.in(Math.min(SWEEP_MS_MAX, Math.max(1_000, this.#idleMs() / 8)), async () => {
      if (this.manager !== manager) return;
      await manager.flushHealth();
      this.#flushLater(manager);
    });
  }
}

/** Whether the simulator itself wanted this to go wrong. */
export const isWanted = (error: unknown): boolean =>
  error instanceof ManagerDied ||
  error instanceof StatementFailed ||
  (error instanceof Error && error.cause !== undefined && isWanted(error.cause));

let blobs: DiskBlobs | null = null;

/** Releases want a store for their artifacts; nobody here fetches one. */
function noBlobs(): DiskBlobs {
  if (blobs !== null) return blobs;
  const dir = mkdtempSync(join(tmpdir(), 'bellwether-sim-'));
  process.once('exit', () => {
    rmSync(dir, { recursive: true, force: true });
  });
  blobs = new DiskBlobs(dir);
  return blobs;
}
