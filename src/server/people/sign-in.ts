import { Inject, Injectable } from '@nestjs/common';
import { FleetError, type JsonValue } from '../../core/kernel/index.js';
import type { PaceName } from '../../core/people/index.js';
import { AuditLog, type AuditAction } from '../audit/index.js';
import { Database, type Tx } from '../platform/database/index.js';
import { networkOf, type Caller } from '../platform/http/index.js';
import { CLOCK, type Clock } from '../platform/index.js';
import { Factors } from './factors.store.js';
import { hashPassword, isOutdated, isPassword } from './password-hash.js';
import { SignInTries, type Counted } from './tries.store.js';
import { isActive, Users, type UserRecord } from './users.store.js';

export interface Attempt {
  readonly login: string;
  readonly password: string;
  readonly code?: string | undefined;
}

/** How a try is told: one text for all that is wrong, so that it does not tell who exists. */
const failed = (): FleetError =>
  new FleetError('sign_in_failed', 'login, password or code is wrong');

/** One entry of the audit log about a user, told by himself or by whoever claims to be him. */
export const aboutUser = (
  caller: Caller,
  action: AuditAction,
  userId: string,
  details: Readonly<Record<string, JsonValue>> = {},
  outcome: 'allowed' | 'refused' = 'allowed',
) => ({ caller, action, targetKind: 'user', targetId: userId, groupId: null, outcome, details });

/** A stranger who has just shown who he is. */
export const asUser = (caller: Caller, user: UserRecord): Caller => ({
  ...caller,
  kind: 'user',
  id: user.id,
  name: user.login,
});

/** Whether somebody is who he says: password, second factor, and how often he may be wrong. */
@Injectable()
export class SignIn {
  constructor(
    private readonly database: Database,
    private readonly users: Users,
    private readonly factors: Factors,
    private readonly tries: SignInTries,
    private readonly audit: AuditLog,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /**
   * Looks at a password and a code, and runs `enter` in the transaction that records the success. Throws
   * `sign_in_failed`, `second_factor_required` or `rate_limited`; each failure is audited. What
   * does not exist takes as long as what does: the same hash, the same writes.
   */
  async enter<T>(
    attempt: Attempt,
    from: {
      readonly caller: Caller;
      readonly user: UserRecord | null;
      readonly device: string | null;
    },
    enter: (tx: Tx, user: UserRecord, how: string) => Promise<T>,
  ): Promise<T> {
    const { caller, user } = from;
    const counted = countedOf(attempt.login, caller.ip, from.device);
    const used = await this.tries.take(counted);
    const isRight = await isPassword(attempt.password, user?.passwordHash ?? null);
    if (!isRight || user === null || !isActive(user, this.clock.now())) {
      return await this.#refuse(caller, user, used, 'password');
    }
    if (user.factorSecret === null) {
      const result = await this.#succeed(attempt, user, caller, counted, enter).catch(orChanged);
      return result === CHANGED
        ? await this.#refuse(caller, user, used, 'password')
        : (result as T);
    }
    return await this.#withCode(attempt, { ...from, user }, counted, enter);
  }

  async #withCode<T>(
    attempt: Attempt,
    from: { readonly caller: Caller; readonly user: UserRecord; readonly device: string | null },
    counted: readonly Counted[],
    enter: (tx: Tx, user: UserRecord, how: string) => Promise<T>,
  ): Promise<T> {
    const { caller, user } = from;
    if (attempt.code === undefined) {
      await this.database.transaction((tx) => this.tries.giveBack(tx, counted));
      throw new FleetError('second_factor_required', 'send a code of the second factor as well');
    }
    const more: Counted[] = from.device === null ? [{ pace: 'factor', about: user.id }] : [];
    const used = await this.tries.take(more);
    const all = [...counted, ...more];
    const result = await this.#succeed(attempt, user, caller, all, enter).catch((error: unknown) =>
      error === WRONG_CODE ? WRONG_CODE : orChanged(error),
    );
    if (result === WRONG_CODE || result === CHANGED)
      return await this.#refuse(caller, user, used, 'code');
    return result as T;
  }

  async #succeed<T>(
    attempt: Attempt,
    user: UserRecord,
    caller: Caller,
    counted: readonly Counted[],
    enter: (tx: Tx, user: UserRecord, how: string) => Promise<T>,
  ): Promise<T> {
    const outdated = user.passwordHash !== null && isOutdated(user.passwordHash);
    const fresh = outdated ? await hashPassword(attempt.password) : null;
    return await this.database.transaction(async (tx) => {
      if (!(await this.users.isUnchanged(tx, user))) throw CHANGED;
      const how = await this.#spend(tx, caller, user, attempt.code);
      await this.tries.succeeded(tx, counted);
      if (fresh !== null) await this.users.setPassword(tx, user.id, fresh);
      return await enter(tx, user, how);
    });
  }

  /** The code is used up in the transaction of the sign-in: when that fails, it is still good. */
  async #spend(tx: Tx, caller: Caller, user: UserRecord, code?: string): Promise<string> {
    if (user.factorSecret === null) return 'password';
    const how = await this.factors.spend(tx, user, code ?? '');
    // Thrown, so that nothing of this transaction stays.
    if (how === null) throw WRONG_CODE;
    if (how === 'recovery') {
      await this.audit.append(tx, aboutUser(asUser(caller, user), 'factor.recovery', user.id));
    }
    return `password and ${how}`;
  }

  async #refuse(
    caller: Caller,
    user: UserRecord | null,
    used: readonly PaceName[],
    wrong: 'password' | 'code',
  ): Promise<never> {
    await this.database.transaction(async (tx) => {
      // The name of a stranger is not kept: people type passwords into that field.
      const details = { error_code: 'sign_in_failed', wrong, login: user?.login ?? '' };
      const userId = user?.id ?? '';
      await this.audit.append(tx, aboutUser(caller, 'session.sign_in', userId, details, 'refused'));
      for (const pace of used) {
        await this.audit.append(
          tx,
          aboutUser(caller, 'session.lockout', userId, { pace }, 'refused'),
        );
      }
    });
    throw failed();
  }

  /**
   * The password of somebody who is signed in already, before he changes what protects him. A stolen
   * session must not be a place to guess: it counts like a known device. Throws as `enter` does.
   */
  async confirm(caller: Caller, user: UserRecord, password: string): Promise<void> {
    const counted: Counted[] = [{ pace: 'device', about: `session of ${user.id}` }];
    const used = await this.tries.take(counted);
    if (!(await isPassword(password, user.passwordHash))) {
      return await this.#refuse(caller, user, used, 'password');
    }
    await this.database.transaction((tx) => this.tries.succeeded(tx, counted));
  }

  /** The same for a code. Throws `second_factor_wrong`, or `rate_limited`. */
  async countCode(user: UserRecord): Promise<{ right(tx: Tx): Promise<void> }> {
    const counted: Counted[] = [{ pace: 'factor', about: user.id }];
    await this.tries.take(counted);
    return { right: (tx) => this.tries.succeeded(tx, counted) };
  }
}

/** The password or the second factor is another one since it was looked at. */
const CHANGED = new FleetError('sign_in_failed', 'password or second factor changed meanwhile');
const orChanged = (error: unknown): typeof CHANGED => {
  if (error !== CHANGED) throw error;
  return CHANGED;
};

const WRONG_CODE = new FleetError('second_factor_wrong', 'the code is wrong, or was used before');

/** What a try counts against; see `PACES`. */
function countedOf(login: string, ip: string, device: string | null): Counted[] {
  if (device !== null) return [{ pace: 'device', about: device }];
  const network = networkOf(ip);
  return [
    { pace: 'pair', about: `${login} ${network}` },
    { pace: 'address', about: network },
    { pace: 'account', about: login },
  ];
}
