import { Inject, Injectable, type OnApplicationShutdown, type OnModuleInit } from '@nestjs/common';
import type { Logger } from 'pino';
import { MINUTE_MS } from '../../core/kernel/index.js';
import { CLOCK, Database, LOGGER, rowsOf, type Asked, type Clock } from '../platform/index.js';

interface Token {
  readonly id: string;
  readonly forgetAtMs: number;
}

/**
 * Which node tokens were used: each counts once, at whichever manager, and whoever is killed in between. They are kept in a table, since
 * memory ends with its process and Redis may forget; tokens that come together share a statement, so that a storm of
 * nodes is not a storm of transactions. When the database does not answer, nobody is let in.
 */
@Injectable()
export class UsedTokens implements OnModuleInit, OnApplicationShutdown {
  readonly #writing: Asked<Token, boolean>;
  #timer: NodeJS.Timeout | null = null;

  constructor(
    private readonly database: Database,
    @Inject(CLOCK) private readonly clock: Clock,
    @Inject(LOGGER) private readonly log: Logger,
  ) {
    this.#writing = database.batched(
      (tokens: readonly Token[]) => this.#insert(tokens),
      ({ id }) => id,
    );
  }

  onModuleInit(): void {
    this.#timer = setInterval(() => void this.#forget(), MINUTE_MS).unref();
  }

  onApplicationShutdown(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
  }

  /** True the first time, and never again until it may be forgotten. */
  take(id: string, forgetAtMs: number): Promise<boolean> {
    return this.#writing.ask({ id, forgetAtMs });
  }

  /** Whether each is new. Whoever hears that all of it failed comes again, with another token. */
  async #insert(tokens: readonly Token[]): Promise<boolean[]> {
    // In one order for all managers, so that two never wait for each other.
    const rows = [...tokens].sort((a, b) => (a.id < b.id ? -1 : 1));
    const taken = await this.database.together((tx) =>
      tx.all<{ id: string }>(
        `INSERT INTO used_node_tokens (id, expires_at) VALUES ${rowsOf(rows.length, '(?, ?)')}
         ON CONFLICT (id) DO NOTHING RETURNING id`,
        rows.flatMap(({ id, forgetAtMs }) => [id, forgetAtMs]),
      ),
    );
    const ours = new Set(taken.map(({ id }) => id));
    return tokens.map(({ id }) => ours.has(id));
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
