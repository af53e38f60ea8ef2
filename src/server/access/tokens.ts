import { Inject, Injectable } from '@nestjs/common';
import { covers, decide, type Role } from '../../core/access/index.js';
import { FleetError, MINUTE_MS, type JsonValue } from '../../core/kernel/index.js';
import { AuditLog, type AuditAction } from '../audit/index.js';
import { Database, type Tx } from '../platform/database/index.js';
import { personBehind, type Caller } from '../platform/http/index.js';
import { CLOCK, type Clock } from '../platform/index.js';
import { Groups } from './groups.store.js';
import { OpenRequests } from './open-requests.js';
import { ApiTokens, grantOf, type TokenPower, type TokenRecord } from './tokens.store.js';

interface Made {
  readonly token: TokenRecord;
  readonly secret: string;
}

const noToken = (): FleetError => new FleetError('not_found', 'no such token');

/** Making, rotating and ending API tokens. What the maker may not do, no token of his can. */
@Injectable()
export class Tokens {
  constructor(
    private readonly database: Database,
    private readonly tokens: ApiTokens,
    private readonly groups: Groups,
    private readonly audit: AuditLog,
    private readonly open: OpenRequests,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /** Not idempotent. Throws `not_found` for a group out of sight, `token_exceeds_maker`. */
  async create(
    caller: Caller,
    wanted: TokenPower & { readonly name: string; readonly expiresInDays: number },
  ): Promise<Made> {
    const path = await this.#pathOf(caller, wanted.groupId);
    requireCovered(caller, wanted, path);
    return await this.database.transaction(async (tx) => {
      const made = await this.tokens.create(tx, { ...wanted, makerId: personBehind(caller) });
      await this.#record(tx, caller, 'token.create', made.token, {
        expires_in_days: wanted.expiresInDays,
      });
      return made;
    });
  }

  /**
   * A token that can the same as this one, which ends at once or in `graceMinutes`, in one
   * transaction: there is no moment with neither and no failure with both. Throws `not_found`,
   * `token_exceeds_maker`, and `conflict` when it has expired or somebody else was faster.
   */
  async rotate(
    caller: Caller,
    id: string,
    terms: { readonly expiresInDays: number; readonly graceMinutes: number },
  ): Promise<Made> {
    const { token: old, path } = await this.#managed(caller, id);
    requireCovered(caller, old, path);
    return await this.database.transaction(async (tx) => {
      const { name, role, permissions, groupId } = old;
      const power = { role, permissions, groupId };
      if (!(await this.#end(tx, caller, old, terms.graceMinutes))) {
        throw new FleetError('conflict', 'this token has expired, or was ended meanwhile');
      }
      const made = await this.tokens.create(tx, {
        ...power,
        name,
        expiresInDays: terms.expiresInDays,
        // Whoever rotates it has its secret from now on.
        makerId: personBehind(caller),
      });
      await this.#record(tx, caller, 'token.rotate', old, {
        new_id: made.token.id,
        expires_in_days: terms.expiresInDays,
        grace_minutes: terms.graceMinutes,
      });
      return made;
    });
  }

  /** Its requests that are still answered are cut after the commit. Throws `not_found`. */
  async revoke(caller: Caller, id: string): Promise<void> {
    await this.#managed(caller, id);
    await this.database.transaction(async (tx) => {
      const token = await this.tokens.revoke(tx, id);
      if (token === null) throw noToken();
      await this.#record(tx, caller, 'token.revoke', token, {});
      tx.afterCommit(() => this.open.cut(id, caller.requestId));
    });
  }

  async #end(tx: Tx, caller: Caller, token: TokenRecord, graceMinutes: number): Promise<boolean> {
    const nowMs = this.clock.now();
    if (token.expiresAt <= nowMs) return false;
    if (graceMinutes > 0) {
      const untilMs = nowMs + graceMinutes * MINUTE_MS;
      tx.afterCommit(() => this.open.shorten(token.id, untilMs));
      return await this.tokens.shorten(tx, token, untilMs);
    }
    tx.afterCommit(() => this.open.cut(token.id, caller.requestId));
    return (await this.tokens.revoke(tx, token.id)) !== null;
  }

  /** A token that the caller may manage; others are not there. */
  async #managed(
    caller: Caller,
    id: string,
  ): Promise<{ readonly token: TokenRecord; readonly path: readonly string[] }> {
    const token = await this.tokens.find(this.database.read, id);
    if (token === null) throw noToken();
    const group = token.groupId === null ? null : await this.groups.find(token.groupId);
    const path = group?.path ?? [];
    if (!decide(caller.grants, 'token.manage', path).ok) throw noToken();
    return { token, path };
  }

  async #pathOf(caller: Caller, groupId: string | null): Promise<readonly string[]> {
    if (groupId === null) return [];
    const group = await this.groups.find(groupId);
    if (group === null || !decide(caller.grants, 'token.manage', group.path).ok) {
      throw new FleetError('not_found', 'no such group');
    }
    return group.path;
  }

  async #record(
    tx: Tx,
    caller: Caller,
    action: AuditAction,
    token: TokenRecord,
    more: Readonly<Record<string, JsonValue>>,
  ): Promise<void> {
    const { name, role, permissions } = token;
    await this.audit.append(tx, {
      caller,
      action,
      targetKind: 'token',
      targetId: token.id,
      groupId: token.groupId,
      outcome: 'allowed',
      details: {
        name,
        role,
        ...(permissions === null ? {} : { permissions: [...permissions] }),
        ...more,
      },
    });
  }
}

/** Also where a role is asked for: it is what its permissions are, and a super admin more. */
function requireCovered(caller: Caller, wanted: TokenPower, path: readonly string[]): void {
  const isPlatform = wanted.groupId === null;
  const mayHere = decide(caller.grants, 'token.manage', isPlatform ? [] : path).ok;
  if (mayHere && covers(caller.grants, grantOf(wanted), path)) return;
  throw new FleetError('token_exceeds_maker', 'you may not do all that this token could');
}

/** What a schema leaves open: a role or permissions. */
export const powerOf = (given: {
  readonly role?: Role | undefined;
  readonly permissions?: TokenPower['permissions'] | undefined;
  readonly group_id: string | null;
}): TokenPower => ({
  role: given.role ?? null,
  permissions: given.permissions === undefined ? null : [...new Set(given.permissions)],
  groupId: given.group_id,
});
