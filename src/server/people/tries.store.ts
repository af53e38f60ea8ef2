import { createHash } from 'node:crypto';
import { Inject, Injectable } from '@nestjs/common';
import { oneMore, PACES, waitAfter, type PaceName } from '../../core/people/index.js';
import { DAY_MS, FleetError, SECOND_MS } from '../../core/kernel/index.js';
import { Database, type Tx } from '../platform/database/index.js';
import { CLOCK, type Clock } from '../platform/index.js';

/** What one try counts against. Texts of strangers are hashed: a row has one size. */
export interface Counted {
  readonly pace: PaceName;
  readonly about: string;
}

interface Row {
  tries: number;
  at: number;
}

/** Rows kept at most; beyond it the oldest are forgotten, which only forgives. */
const ROWS_MAX = 200_000;
/** Old rows are swept after so many tries. */
const SWEEP_EVERY = 1_000;

const keyOf = ({ pace, about }: Counted): string =>
  `${pace} ${createHash('sha256').update(about).digest('base64url')}`;

/**
 * Counts tries to sign in, in the database: a restart or a second manager forgives nothing. A try is
 * taken before the password is looked at, so that a thousand at once do not all slip through.
 */
@Injectable()
export class SignInTries {
  #taken = 0;

  constructor(
    private readonly database: Database,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /**
   * Takes one try. Throws `rate_limited`, and counts nothing, while one of them has to wait. Answers
   * the paces that are used up by this very try: the next one will have to wait.
   */
  async take(counted: readonly Counted[]): Promise<readonly PaceName[]> {
    // In one order, so that two tries never wait for each other's rows.
    const sorted = [...counted].sort((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1));
    const nowMs = this.clock.now();
    // A flood ends here: it reads, and writes nothing.
    for (const each of sorted) {
      const row = await this.database.read.get<Row>(
        'SELECT tries, at FROM sign_in_tries WHERE about = ?',
        [keyOf(each)],
      );
      if (row !== undefined) refuseEarly(row, each.pace, nowMs);
    }
    const used = await this.database.transaction((tx) => this.#count(tx, sorted, nowMs));
    this.#taken += 1;
    if (this.#taken % SWEEP_EVERY === 0) await this.#sweep(nowMs);
    return used;
  }

  async #count(tx: Tx, counted: readonly Counted[], nowMs: number): Promise<readonly PaceName[]> {
    const used: PaceName[] = [];
    for (const each of counted) {
      const key = keyOf(each);
      const row = await tx.get<Row>(
        `INSERT INTO sign_in_tries (about, tries, at) VALUES (?, 0, ?)
         ON CONFLICT (about) DO UPDATE SET tries = sign_in_tries.tries RETURNING tries, at`,
        [key, nowMs],
      );
      if (row === undefined) continue;
      refuseEarly(row, each.pace, nowMs);
      const pace = PACES[each.pace];
      const now = oneMore({ count: row.tries, atMs: row.at }, pace, nowMs);
      await tx.run('UPDATE sign_in_tries SET tries = ?, at = ? WHERE about = ?', [
        now.count,
        now.atMs,
        key,
      ]);
      if (now.count === pace.free) used.push(each.pace);
    }
    return used;
  }

  /** A try that was no failure: it is as if it had not been. */
  async giveBack(tx: Tx, counted: readonly Counted[]): Promise<void> {
    for (const key of counted.map(keyOf).sort()) {
      await tx.run('UPDATE sign_in_tries SET tries = tries - 1 WHERE about = ? AND tries > 0', [
        key,
      ]);
    }
  }

  /**
   * After a success everything about the account is forgotten, and nothing about the address: who has
   * one account must not clear the way to others with it.
   */
  async succeeded(tx: Tx, counted: readonly Counted[]): Promise<void> {
    await this.giveBack(
      tx,
      counted.filter(({ pace }) => pace === 'address'),
    );
    const others = counted.filter(({ pace }) => pace !== 'address').map(keyOf);
    for (const key of others.sort()) {
      await tx.run('DELETE FROM sign_in_tries WHERE about = ?', [key]);
    }
  }

  async #sweep(nowMs: number): Promise<void> {
    await this.database.transaction(async (tx) => {
      await tx.run('DELETE FROM sign_in_tries WHERE at < ?', [nowMs - DAY_MS]);
      const held = await tx.get<{ count: number }>('SELECT count(*) AS count FROM sign_in_tries');
      const surplus = (held?.count ?? 0) - ROWS_MAX;
      if (surplus <= 0) return;
      await tx.run(
        `DELETE FROM sign_in_tries WHERE about IN (
           SELECT about FROM sign_in_tries ORDER BY at LIMIT ?)`,
        [surplus],
      );
    });
  }
}

function refuseEarly(row: Row, pace: PaceName, nowMs: number): void {
  const waitMs = waitAfter({ count: row.tries, atMs: row.at }, PACES[pace], nowMs);
  if (waitMs <= 0) return;
  throw new FleetError('rate_limited', 'too many failed sign-ins', {
    context: { retry_after_seconds: Math.ceil(waitMs / SECOND_MS) },
  });
}
