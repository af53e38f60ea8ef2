import { Inject, Injectable, type OnApplicationShutdown, type OnModuleInit } from '@nestjs/common';
import type { Logger } from 'pino';
import { MINUTE_MS } from '../../core/kernel/index.js';
import { CLOCK, Database, LOGGER, type Clock } from '../platform/index.js';

/** Above this many remembered tokens the oldest go; 200 000 are two minutes of a storm. */
const REMEMBERED_MAX = 200_000;
/** Tokens in one statement. */
const BATCH_MAX = 500;

interface Waiting {
  readonly id: string;
  readonly forgetAtMs: number;
  readonly answer: PromiseWithResolvers<boolean>;
}

/**
 * Which node tokens were used: each counts once, at whichever manager. One manager alone remembers them in
 * memory. Several have a table, since Redis may forget: tokens that come together share a statement, so that
 * a storm of nodes is not a storm of transactions. When the database does not answer, nobody is let in.
 */
@Injectable()
export class UsedTokens implements OnModuleInit, OnApplicationShutdown {
  readonly #used = new Map<string, number>();
  #waiting: Waiting[] = [];
  #writing: Promise<void> | null = null;
  #timer: NodeJS.Timeout | null = null;

  constructor(
    private readonly database: Database,
    @Inject(CLOCK) private readonly clock: Clock,
    @Inject(LOGGER) private readonly log: Logger,
  ) {}

  onModuleInit(): void {
    if (this.database.kind === 'sqlite') return;
    this.#timer = setInterval(() => void this.#forget(), MINUTE_MS).unref();
  }

  onApplicationShutdown(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
  }

  /** True the first time, and never again until it may be forgotten. */
  take(id: string, forgetAtMs: number): Promise<boolean> {
    if (this.database.kind === 'sqlite') return Promise.resolve(this.#takeHere(id, forgetAtMs));
    const answer = Promise.withResolvers<boolean>();
    this.#waiting.push({ id, forgetAtMs, answer });
    this.#start();
    return answer.promise;
  }

  #start(): void {
    if (this.#waiting.length === 0) return;
    this.#writing ??= this.#write().finally(() => {
      this.#writing = null;
      // One may have come in between the last look and now.
      this.#start();
    });
  }

  #takeHere(id: string, forgetAtMs: number): boolean {
    if (this.#used.has(id)) return false;
    const nowMs = this.clock.now();
    // Insertion order is close to order of expiry: looking at the front is enough.
    for (const [old, untilMs] of this.#used) {
      if (untilMs > nowMs && this.#used.size < REMEMBERED_MAX) break;
      this.#used.delete(old);
    }
    this.#used.set(id, forgetAtMs);
    return true;
  }

  async #write(): Promise<void> {
    while (this.#waiting.length > 0) {
      const batch = this.#waiting.splice(0, BATCH_MAX);
      try {
        const taken = await this.#insert(batch);
        // Of two that are the same, in one batch, the first one counts.
        for (const { id, answer } of batch) answer.resolve(taken.delete(id));
      } catch (error) {
        for (const { answer } of batch) answer.reject(error);
      }
    }
  }

  async #insert(batch: readonly Waiting[]): Promise<Set<string>> {
    const byId = new Map(batch.map(({ id, forgetAtMs }) => [id, forgetAtMs]));
    // In one order for all managers, so that two never wait for each other.
    const rows = [...byId].sort(([a], [b]) => (a < b ? -1 : 1));
    const taken = await this.database.transaction((tx) =>
      tx.all<{ id: string }>(
        `INSERT INTO used_node_tokens (id, expires_at) VALUES ${rows.map(() => '(?, ?)').join(', ')}
         ON CONFLICT (id) DO NOTHING RETURNING id`,
        rows.flat(),
      ),
    );
    return new Set(taken.map(({ id }) => id));
  }

  async #forget(): Promise<void> {
    try {
      await this.database.transaction((tx) =>
        tx.run('DELETE FROM used_node_tokens WHERE expires_at < ?', [this.clock.now()]),
      );
    } catch (error) {
      this.log.warn({ err: error }, 'used node tokens are forgotten later');
    }
  }
}
