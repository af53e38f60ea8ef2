import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Inject, Injectable } from '@nestjs/common';
import { DAY_MS, FleetError } from '../../core/kernel/index.js';
import { AuditLog } from '../audit/index.js';
import { Database, type Sql, type Tx } from '../platform/database/index.js';
import type { Caller } from '../platform/http/index.js';
import {
  CLOCK,
  CONFIG,
  hashSecret,
  newSecret,
  type Clock,
  type Config,
} from '../platform/index.js';
import { writeDurably } from '../platform/secrets/index.js';
import type { PeoplePort } from './people.port.js';
import { Refusals } from './refusals.js';
import { ApiTokens, type TokenRecord } from './tokens.store.js';

/** Long enough to be found in a log the next morning, short enough to be no standing door. */
const SETUP_TOKEN_LIFETIME_MS = DAY_MS;
/** The first admin token lives this long; it is meant to make others and to be revoked. */
const FIRST_TOKEN_DAYS = 365;

const setupDone = (): FleetError =>
  new FleetError('setup_done', 'this installation has an admin already');

/**
 * How an installation gets its first admin without a default password: a one-time token that only
 * someone with the console or the data directory of the manager can see.
 */
@Injectable()
export class Setup {
  #people: Pick<PeoplePort, 'hasSuperAdmin'> | null = null;

  constructor(
    private readonly database: Database,
    private readonly tokens: ApiTokens,
    private readonly audit: AuditLog,
    private readonly refusals: Refusals,
    @Inject(CONFIG) private readonly config: Config,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /** Registered by the module of users: an admin among them is an admin too. */
  usePeople(people: Pick<PeoplePort, 'hasSuperAdmin'>): void {
    this.#people = people;
  }

  /** Where the token also lies, for scripts; readable by the owner of the manager only. */
  get file(): string {
    return join(this.config.dataDir, 'setup-token');
  }

  /**
   * Makes a new set-up token when there is no admin, and makes every earlier one invalid. Returns
   * null when there is an admin.
   */
  async offer(): Promise<string | null> {
    const secret = newSecret('bws');
    const offered = await this.database.transaction(async (tx) => {
      await tx.run('DELETE FROM setup_token');
      if (await this.#hasAdmin(tx)) return false;
      await tx.run('INSERT INTO setup_token (id, secret_hash, expires_at) VALUES (1, ?, ?)', [
        hashSecret(secret),
        this.clock.now() + SETUP_TOKEN_LIFETIME_MS,
      ]);
      return true;
    });
    await rm(this.file, { force: true });
    if (!offered) return null;
    // Whoever waits for the file must never read half of it.
    await writeDurably(this.file, `${secret}\n`);
    return secret;
  }

  /**
   * Trades the set-up token for the first admin token. Of several tries at once one wins. Throws
   * `setup_done` when there is an admin, `setup_token_invalid` otherwise.
   */
  async finish(
    caller: Caller,
    given: { readonly setup_token: string; readonly name: string },
  ): Promise<{ readonly token: TokenRecord; readonly secret: string }> {
    if (await this.#hasAdmin(this.database.read)) throw setupDone();
    const made = await this.database.transaction(async (tx) => {
      const refused = await this.#redeem(tx, given.setup_token);
      if (refused !== null) return refused;
      const created = await this.tokens.create(tx, {
        name: given.name,
        role: 'super_admin',
        permissions: null,
        groupId: null,
        expiresInDays: FIRST_TOKEN_DAYS,
        makerId: null,
      });
      await this.audit.append(tx, {
        caller,
        action: 'setup.finish',
        targetKind: 'token',
        targetId: created.token.id,
        groupId: null,
        outcome: 'allowed',
        details: { name: given.name },
      });
      return created;
    });
    return await this.#done(caller, made, 'setup.finish');
  }

  /**
   * Trades the set-up token for whatever `make` makes, in one transaction: the first user, who is an admin.
   * Throws as `finish` does.
   */
  async trade<T extends object>(
    caller: Caller,
    setupToken: string,
    route: string,
    make: (tx: Tx) => Promise<T>,
  ): Promise<T> {
    if (await this.#hasAdmin(this.database.read)) throw setupDone();
    const made = await this.database.transaction(
      async (tx) => (await this.#redeem(tx, setupToken)) ?? (await make(tx)),
    );
    return await this.#done(caller, made, route);
  }

  /** Whether `trade` would get as far as `make`; throws as it does, and changes nothing. */
  async check(caller: Caller, setupToken: string, route: string): Promise<void> {
    if (await this.#hasAdmin(this.database.read)) throw setupDone();
    const good = await this.database.read.get(
      'SELECT id FROM setup_token WHERE secret_hash = ? AND expires_at > ?',
      [hashSecret(setupToken), this.clock.now()],
    );
    if (good === undefined) await this.#done(caller, 'setup_token_invalid', route);
  }

  /** Whether there is an admin already. */
  async isDone(): Promise<boolean> {
    return await this.#hasAdmin(this.database.read);
  }

  async #hasAdmin(sql: Sql): Promise<boolean> {
    if (await this.tokens.hasSuperAdmin(sql)) return true;
    return this.#people !== null && (await this.#people.hasSuperAdmin(sql));
  }

  /** Uses the set-up token up; null when it was good. */
  async #redeem(tx: Tx, setupToken: string): Promise<'setup_done' | 'setup_token_invalid' | null> {
    if (await this.#hasAdmin(tx)) return 'setup_done';
    const taken = await tx.run('DELETE FROM setup_token WHERE secret_hash = ? AND expires_at > ?', [
      hashSecret(setupToken),
      this.clock.now(),
    ]);
    return taken === 0 ? 'setup_token_invalid' : null;
  }

  async #done<T extends object>(
    caller: Caller,
    made: T | 'setup_done' | 'setup_token_invalid',
    route: string,
  ): Promise<T> {
    if (made === 'setup_done') throw setupDone();
    if (made === 'setup_token_invalid') {
      const error = new FleetError(made, 'the set-up token is wrong, used or expired');
      return await this.refusals.refuse(caller, error, route);
    }
    await rm(this.file, { force: true });
    return made;
  }
}
