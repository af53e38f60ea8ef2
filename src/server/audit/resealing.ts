import {
  Inject,
  Injectable,
  type OnApplicationBootstrap,
  type OnModuleDestroy,
} from '@nestjs/common';
import type { Logger } from 'pino';
import { MINUTE_MS } from '../../core/kernel/index.js';
import { Database, type Tx } from '../platform/database/index.js';
import { LOGGER, Secrets, systemCaller } from '../platform/index.js';
import { AuditLog } from './audit-log.js';

/** Texts that one transaction seals: writers on SQLite wait for it, some 50 µs a text. */
export const RESEALED_AT_ONCE = 200;
/** After something that failed, such as a text that cannot be opened. */
const AGAIN_MS = MINUTE_MS;

/**
 * After a change of the master key: seals everything anew that lies under an older one, in the background,
 * and notes when nothing is left. It may be killed anywhere: what is done is done, what is left is found
 * again at the next start. It runs at each start, since also a start that was killed may have left
 * something.
 */
@Injectable()
export class Resealing implements OnApplicationBootstrap, OnModuleDestroy {
  #timer: NodeJS.Timeout | null = null;
  #running: Promise<void> = Promise.resolve();
  #isStopping = false;

  constructor(
    private readonly database: Database,
    private readonly secrets: Secrets,
    private readonly audit: AuditLog,
    @Inject(LOGGER) private readonly logger: Logger,
  ) {}

  /** All modules have said by now where their texts lie. */
  onApplicationBootstrap(): void {
    this.#begin();
  }

  async onModuleDestroy(): Promise<void> {
    this.#isStopping = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    await this.#running;
  }

  #begin(): void {
    this.#running = this.run().then(
      () => undefined,
      (error: unknown) => {
        this.logger.error({ err: error }, 'secrets could not all be sealed anew');
        if (this.#isStopping) return;
        this.#timer = setTimeout(() => this.#begin(), AGAIN_MS).unref();
      },
    );
  }

  /** True when nothing lies under an older key. Idempotent; false when the manager stops meanwhile. */
  async run(): Promise<boolean> {
    const { read } = this.database;
    const older = await read.all<{ id: string }>('SELECT id FROM master_keys WHERE id <> ?', [
      this.secrets.keyId,
    ]);
    if (older.length === 0) return true;
    for (const [purpose, places] of this.secrets.places) {
      for (let count = -1; count !== 0;) {
        if (this.#isStopping) return false;
        count = await this.database.transaction(async (tx) => {
          const done = await places.reseal(tx, RESEALED_AT_ONCE);
          if (done > 0) await this.#append(tx, 'secret.reseal', { purpose, count: done });
          return done;
        });
      }
    }
    await this.#finish(older.map(({ id }) => id));
    return true;
  }

  async #finish(older: readonly string[]): Promise<void> {
    await this.database.transaction(async (tx) => {
      for (const id of older) await tx.run('DELETE FROM master_keys WHERE id = ?', [id]);
      await this.#append(tx, 'secret.rotate', { old_keys: [...older] });
    });
    this.logger.info(
      { key: this.secrets.keyId, old: older },
      'everything lies under the new master key; the old ones are no longer needed',
    );
  }

  #append(
    tx: Tx,
    action: 'secret.reseal' | 'secret.rotate',
    details: Readonly<Record<string, string | number | string[]>>,
  ): Promise<void> {
    return this.audit.append(tx, {
      caller: systemCaller('secrets'),
      action,
      targetKind: 'master_key',
      targetId: this.secrets.keyId,
      groupId: null,
      outcome: 'allowed',
      details,
    });
  }
}
