import { createHash } from 'node:crypto';
import { Inject, Injectable } from '@nestjs/common';
import { DAY_MS, FleetError } from '../../../core/kernel/index.js';
import { Database, type Tx } from '../database/index.js';
import type { Caller } from '../http/index.js';
import { sealedColumn, Secrets } from '../secrets/index.js';
import { CLOCK, type Clock } from '../tokens.js';

/** How long an answer is kept for a request that comes again. */
export const KEPT_MS = DAY_MS;
/** Of one caller; beyond that the oldest go. */
export const KEYS_PER_CALLER_MAX = 1_000;
/** Visible ASCII, as the draft of the header has it, with or without quotes. */
const KEY = /^[\x21-\x7e]{1,255}$/;

const PURPOSE = 'idempotency';
/** What is sealed is small; only large rollouts are larger, and they hold no secret. */
const SEALED_CHARS_MAX = 16_000;
const KEPT_CHARS_MAX = 256 * 1024;
const PLAIN = 'plain:';

export interface Asked {
  readonly caller: Caller;
  readonly key: string;
  /** Of route, parameters and body. */
  readonly request: unknown;
}

interface Row {
  readonly id: string;
  readonly fingerprint: string;
  readonly answer: string | null;
}

const sha256 = (text: string): string => createHash('sha256').update(text).digest('base64url');

/**
 * Requests that make something, made once however often they come. The key is taken in the very transaction
 * that makes the thing: whatever dies in between, there are both or neither. Answers are sealed, since some
 * hold a secret that is shown once.
 */
@Injectable()
export class Idempotency {
  constructor(
    private readonly database: Database,
    private readonly secrets: Secrets,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {
    secrets.keep(
      PURPOSE,
      sealedColumn(secrets, {
        purpose: PURPOSE,
        table: 'idempotency_keys',
        id: 'id',
        column: 'answer',
      }),
    );
  }

  /**
   * Runs `work`, or gives the answer that it gave before. Throws `idempotency_key_reused` when the same key
   * came with something else, and `idempotency_in_progress` while the first one has not answered.
   */
  async once(
    { caller, key, request }: Asked,
    work: () => Promise<unknown>,
  ): Promise<{ readonly answer: unknown; readonly isReplayed: boolean }> {
    if (!KEY.test(key)) throw badKey();
    const id = sha256(`${caller.kind} ${caller.id} ${key}`);
    // Who may do less or more than before is another caller: nobody is shown what he may not see now.
    const fingerprint = sha256(JSON.stringify([request, caller.grants]));
    const row = await this.#find(id);
    if (row !== null) return { answer: this.#replay(row, fingerprint), isReplayed: true };
    const take = (tx: Tx): Promise<void> => this.#take(tx, caller, { id, fingerprint });
    const answer = await this.database.beginningWith(take, work);
    const kept = this.#keep(id, JSON.stringify(answer ?? null));
    await this.database.transaction((tx) =>
      tx.run('UPDATE idempotency_keys SET answer = ? WHERE id = ?', [kept, id]),
    );
    return { answer, isReplayed: false };
  }

  async #find(id: string): Promise<Row | null> {
    const row = await this.database.read.get<Row>(
      'SELECT id, fingerprint, answer FROM idempotency_keys WHERE id = ? AND created_at > ?',
      [id, this.clock.now() - KEPT_MS],
    );
    return row ?? null;
  }

  #replay({ id, fingerprint, answer }: Row, asked: string): unknown {
    if (fingerprint !== asked) {
      throw new FleetError('idempotency_key_reused', 'this key came with another request before');
    }
    if (answer === null) throw inProgress();
    const isPlain = answer.startsWith(PLAIN);
    const text = isPlain ? answer.slice(PLAIN.length) : this.secrets.open(PURPOSE, id, answer);
    return JSON.parse(text) as unknown;
  }

  /** Null: too large to be kept; the same request again is told to look for the thing. */
  #keep(id: string, text: string): string | null {
    if (text.length <= SEALED_CHARS_MAX) return this.secrets.seal(PURPOSE, id, text);
    return text.length <= KEPT_CHARS_MAX ? PLAIN + text : null;
  }

  async #take(
    tx: Tx,
    caller: Caller,
    { id, fingerprint }: { readonly id: string; readonly fingerprint: string },
  ): Promise<void> {
    const now = this.clock.now();
    const callerKey = `${caller.kind} ${caller.id}`;
    await tx.run('DELETE FROM idempotency_keys WHERE created_at <= ?', [now - KEPT_MS]);
    await tx.run(
      `DELETE FROM idempotency_keys WHERE id IN (
         SELECT id FROM idempotency_keys WHERE caller = ? ORDER BY created_at DESC, id LIMIT ? OFFSET ?)`,
      [callerKey, KEYS_PER_CALLER_MAX, KEYS_PER_CALLER_MAX - 1],
    );
    const taken = await tx.run(
      `INSERT INTO idempotency_keys (id, caller, fingerprint, answer, created_at)
       VALUES (?, ?, ?, NULL, ?) ON CONFLICT (id) DO NOTHING`,
      [id, callerKey, fingerprint, now],
    );
    if (taken === 0) throw inProgress();
  }
}

const inProgress = (): FleetError =>
  new FleetError('idempotency_in_progress', 'the first request with this key has no answer yet', {
    context: { retry_after_seconds: 1 },
  });

function badKey(): FleetError {
  const message = 'take 1 to 255 visible characters, best a random UUID';
  return new FleetError('invalid_request', `Idempotency-Key: ${message}`, {
    context: { problems: [{ path: 'header.idempotency-key', message }] },
  });
}
