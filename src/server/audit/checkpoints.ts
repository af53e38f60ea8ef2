import { Inject, Injectable, type OnModuleDestroy, type OnModuleInit } from '@nestjs/common';
import type { Logger } from 'pino';
import { MINUTE_MS } from '../../core/kernel/index.js';
import { Database, type Sql, type Tx } from '../platform/database/index.js';
import { CLOCK, LOGGER, type Clock } from '../platform/index.js';
import { meters } from '../platform/telemetry/index.js';
import { AuditKey } from './audit-key.js';
import { AuditLog } from './audit-log.js';
import { AuditTree } from './audit-tree.js';

/** A changed log is signed this often; what is younger can be rewritten unseen. */
export const CHECKPOINT_INTERVAL_MS = MINUTE_MS;

export interface StoredCheckpoint {
  readonly size: number;
  readonly origin: string;
  /** The whole signed note. */
  readonly note: string;
  readonly madeAt: number;
}

interface Row {
  size: number;
  origin: string;
  note: string;
  made_at: number;
}
const toCheckpoint = (row: Row): StoredCheckpoint => ({
  size: row.size,
  origin: row.origin,
  note: row.note,
  madeAt: row.made_at,
});

/** Hears of a new checkpoint in its transaction. */
export type CheckpointHearer = (tx: Tx, checkpoint: StoredCheckpoint) => void;

/** Signed states of the log: made every minute when something was added, and when asked for. */
@Injectable()
export class Checkpoints implements OnModuleInit, OnModuleDestroy {
  readonly #hearers: CheckpointHearer[] = [];
  #timer: NodeJS.Timeout | null = null;
  #ticking: Promise<void> = Promise.resolve();

  constructor(
    private readonly database: Database,
    private readonly log: AuditLog,
    private readonly tree: AuditTree,
    private readonly key: AuditKey,
    @Inject(CLOCK) private readonly clock: Clock,
    @Inject(LOGGER) private readonly logger: Logger,
  ) {}

  onModuleInit(): void {
    this.#timer = setInterval(() => {
      this.#ticking = this.#ticking.then(() => this.#tick());
    }, CHECKPOINT_INTERVAL_MS).unref();
  }

  async onModuleDestroy(): Promise<void> {
    if (this.#timer !== null) clearInterval(this.#timer);
    await this.#ticking;
  }

  /** For modules that stand to the right of this one. */
  onMade(hearer: CheckpointHearer): void {
    this.#hearers.push(hearer);
  }

  /**
   * A checkpoint over every entry that is committed. Idempotent while nothing is added: then it is
   * the one that is there.
   */
  async make(): Promise<StoredCheckpoint> {
    for (;;) {
      const made = await this.database.transaction(async (tx) => {
        const { tree, isComplete } = await this.tree.grow(tx);
        return isComplete ? this.#store(tx, tree) : null;
      });
      if (made !== null) return made;
    }
  }

  async newest(sql: Sql): Promise<StoredCheckpoint | null> {
    const [newest] = await this.list(sql, { below: null, limit: 1 });
    return newest ?? null;
  }

  /** Newest first. */
  async list(
    sql: Sql,
    page: { readonly below: number | null; readonly limit: number },
  ): Promise<StoredCheckpoint[]> {
    const rows = await sql.all<Row>(
      `SELECT size, origin, note, made_at FROM audit_checkpoints
       WHERE size < ? ORDER BY size DESC, made_at DESC LIMIT ?`,
      [page.below ?? Number.MAX_SAFE_INTEGER, page.limit],
    );
    return rows.map(toCheckpoint);
  }

  async #store(
    tx: Tx,
    tree: { readonly size: number; readonly root: Uint8Array },
  ): Promise<StoredCheckpoint> {
    const { origin } = this.key;
    const known = await tx.get<Row>(
      'SELECT size, origin, note, made_at FROM audit_checkpoints WHERE size = ? AND origin = ?',
      [tree.size, origin],
    );
    if (known !== undefined) return toCheckpoint(known);
    const made = { size: tree.size, origin, note: this.key.sign(tree), madeAt: this.clock.now() };
    await tx.run(
      'INSERT INTO audit_checkpoints (size, origin, note, made_at) VALUES (?, ?, ?, ?)',
      [made.size, made.origin, made.note, made.madeAt],
    );
    for (const hear of this.#hearers) hear(tx, made);
    return made;
  }

  /** Never rejects: what failed is tried again a minute later. */
  async #tick(): Promise<void> {
    try {
      const { size } = await this.tree.state(this.database.read);
      if (size !== (await this.log.head(this.database.read))) await this.make();
    } catch (error) {
      meters.count('bellwether_audit_failures_total', 'checkpoint');
      this.logger.error({ err: error }, 'no audit checkpoint could be made');
    }
  }
}
