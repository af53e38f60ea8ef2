import { Inject, Injectable, type OnApplicationShutdown, type OnModuleInit } from '@nestjs/common';
import type { Logger } from 'pino';
import { FleetError, SECOND_MS } from '../../../core/kernel/index.js';
import { BUS, type Bus } from '../bus/index.js';
import { Database, type Tx } from '../database/index.js';
import { newId } from '../ids.js';
import { LOGGER } from '../tokens.js';

/** A manager that has not been heard of for so long is taken for dead: four renewals. */
export const LEASE_MS = 8 * SECOND_MS;
export const RENEW_EVERY_MS = 2 * SECOND_MS;

/** The clock of the database: the only one that all managers share. */
const NOW = '(extract(epoch FROM clock_timestamp()) * 1000)::bigint';

/** In the transaction that takes a dead manager off the list, never twice for the same one. */
export type Burial = (managerId: string) => Promise<void>;

/**
 * The managers on one database. Each has a row with a lease in SQL; whoever finds one that has run out takes the
 * row away, and from then on nothing of that manager is written under its old id. A manager that stood still
 * for so long finds itself gone, and goes on under a new id, with no links. On SQLite there is one manager,
 * and all of this costs nothing.
 */
@Injectable()
export class Members implements OnModuleInit, OnApplicationShutdown {
  #id = newId('mgr');
  readonly #burials: Burial[] = [];
  readonly #expulsions: (() => void)[] = [];
  #timer: NodeJS.Timeout | null = null;
  #looking: Promise<void> | null = null;

  constructor(
    private readonly database: Database,
    @Inject(BUS) private readonly bus: Bus,
    @Inject(LOGGER) private readonly log: Logger,
  ) {}

  /** Who this process is now. */
  get id(): string {
    return this.#id;
  }

  /** Whether there can be others. */
  get isShared(): boolean {
    return this.database.kind === 'postgres';
  }

  /** After another manager was found dead, by this one. What it rejects is logged, not tried again. */
  onBurial(burial: Burial): void {
    this.#burials.push(burial);
  }

  /** After this one was found dead by another: nothing that it believed of nodes counts any more. */
  onExpelled(expelled: () => void): void {
    this.#expulsions.push(expelled);
  }

  async onModuleInit(): Promise<void> {
    if (!this.isShared) return;
    await this.#join();
    this.#timer = setInterval(() => void this.look(), RENEW_EVERY_MS).unref();
  }

  /** Its links have been closed by now. */
  async onApplicationShutdown(): Promise<void> {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
    await this.#looking;
    if (!this.isShared) return;
    await this.database
      .transaction((tx) => tx.run('DELETE FROM managers WHERE id = ?', [this.#id]))
      .catch(() => undefined);
    await this.bus.close();
  }

  /**
   * Holds this manager on the list until the transaction ends, and tells under which id. Throws `unavailable` when it
   * has been taken off: then others may hold what it believes to hold.
   */
  async require(tx: Tx): Promise<string> {
    const id = this.#id;
    if (!this.isShared) return id;
    // Conflicts with the DELETE of whoever takes it off, and not with its own renewals.
    const row = await tx.get('SELECT id FROM managers WHERE id = ? FOR KEY SHARE', [id]);
    if (row !== undefined) return id;
    throw new FleetError('unavailable', 'this manager was taken for dead', { kind: 'operational' });
  }

  /** How many others there are. */
  async others(): Promise<number> {
    if (!this.isShared) return 0;
    const row = await this.database.read.get<{ n: number }>(
      `SELECT count(*) AS n FROM managers WHERE id <> ? AND expires_at > ${NOW}`,
      [this.#id],
    );
    return row?.n ?? 0;
  }

  /** Renews the own lease and looks for those that ran out. One at a time; never rejects. */
  look(): Promise<void> {
    return (this.#looking ??= this.#look()
      .catch((error: unknown) => {
        this.log.warn({ err: error }, 'the list of managers could not be read or written');
      })
      .finally(() => (this.#looking = null)));
  }

  async #look(): Promise<void> {
    // Whoever was late himself, as everybody is after an outage of the database, judges nobody for a while.
    const mine = await this.database.transaction((tx) =>
      tx.get<{ is_calm: boolean }>(
        `UPDATE managers SET expires_at = ${NOW} + ?,
           calm_at = CASE WHEN expires_at < ${NOW} THEN ${NOW} + ? ELSE calm_at END
         WHERE id = ? RETURNING calm_at <= ${NOW} AS is_calm`,
        [LEASE_MS, LEASE_MS, this.#id],
      ),
    );
    if (mine === undefined) {
      await this.#expelled();
    } else if (mine.is_calm) {
      await this.#bury();
    }
  }

  async #join(): Promise<void> {
    await this.database.transaction((tx) =>
      tx.run(
        `INSERT INTO managers (id, joined_at, expires_at, calm_at)
         VALUES (?, ${NOW}, ${NOW} + ?, ${NOW} + ?)`,
        [this.#id, LEASE_MS, LEASE_MS],
      ),
    );
    this.bus.answerTo(this.#id);
  }

  async #expelled(): Promise<void> {
    this.#id = newId('mgr');
    await this.#join();
    this.log.warn('this manager stood still and was taken for dead; its nodes have to come back');
    for (const expelled of this.#expulsions) expelled();
  }

  async #bury(): Promise<void> {
    const late = await this.database.read.all<{ id: string }>(
      `SELECT id FROM managers WHERE expires_at < ${NOW} ORDER BY id LIMIT 100`,
    );
    for (const { id } of late) {
      const gone = await this.database.transaction((tx) =>
        tx.run(`DELETE FROM managers WHERE id = ? AND expires_at < ${NOW}`, [id]),
      );
      if (gone === 0) continue;
      this.log.warn({ managerId: id }, 'another manager is gone');
      for (const burial of this.#burials) await burial(id);
    }
  }
}
