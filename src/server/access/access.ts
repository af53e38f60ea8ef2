import { Injectable } from '@nestjs/common';
import {
  covers,
  decide,
  scopeOf,
  type Grant,
  type GroupRole,
  type Permission,
} from '../../core/access/index.js';
import { FleetError } from '../../core/kernel/index.js';
import type { Permission as RoutePermission } from '../../protocol/api/index.js';
import type { Caller } from '../platform/http/index.js';
import { Groups } from './groups.store.js';

/**
 * The rules of `src/core/access` and the rows of the route table name the same permissions: when
 * one list gains a name that the other lacks, one of these lines does not compile.
 */
type Guarded = Exclude<RoutePermission, 'public' | 'node' | 'person'>;
type Same<A, B> = [A] extends [B] ? ([B] extends [A] ? true : never) : never;
true satisfies Same<Guarded, Permission>;

/** Groups that a caller was refused on: for the audit log, never for the answer. */
const attempted = new WeakMap<object, string>();

/** The group on which this error refused a caller; null when it is not known. */
export const attemptedGroupOf = (error: unknown): string | null =>
  typeof error === 'object' && error !== null ? (attempted.get(error) ?? null) : null;

/** What a caller may do on groups. Every handler that touches one group asks here. */
@Injectable()
export class Access {
  constructor(private readonly groups: Groups) {}

  /**
   * Returns when the caller may. Throws `not_found` when the caller may not even view the group
   * or there is none, and `insufficient_role` (with `required_role`) when only the right is missing.
   */
  async require(caller: Caller, permission: Permission, groupId: string): Promise<void> {
    const group = await this.groups.find(groupId);
    if (group === null) throw new FleetError('not_found', 'no such group');
    const decision = decide(caller.grants, permission, group.path);
    if (decision.ok) return;
    const { code, message, requiredRole } = decision.error;
    const refusal = new FleetError(code, message, { context: { required_role: requiredRole } });
    attempted.set(refusal, groupId);
    throw refusal;
  }

  /**
   * Returns when the caller may give this role on this group: who may manage members, and holds all that
   * the role can. Throws as `require`, and `insufficient_role`.
   */
  async requireToGive(caller: Caller, role: GroupRole, groupId: string): Promise<void> {
    await this.require(caller, 'member.manage', groupId);
    const path = (await this.groups.find(groupId))?.path ?? [];
    if (!covers(caller.grants, { role, groupId }, path)) throw mayNotGive(role);
  }

  /** The groups where the caller has the permission, each with everything below it. */
  async visibleGroups(caller: Caller, permission: Permission): Promise<'all' | readonly string[]> {
    const scope = scopeOf(caller.grants, permission);
    return scope === 'all' ? 'all' : await this.groups.subtrees(scope);
  }

  /** The same, or of them one group alone: none when it is not among them. */
  async visibleOnly(
    caller: Caller,
    permission: Permission,
    only: string | undefined,
  ): Promise<'all' | readonly string[]> {
    const visible = await this.visibleGroups(caller, permission);
    if (only === undefined) return visible;
    return visible === 'all' || visible.includes(only) ? [only] : [];
  }
}

const SUPER_ADMIN: Grant = { role: 'super_admin' };

/**
 * Returns when the caller is a super admin: who holds every permission by name is none, and makes none.
 * Throws `insufficient_role`.
 */
export function requireSuperAdmin(caller: Caller): void {
  if (!covers(caller.grants, SUPER_ADMIN, [])) throw mayNotGive('super_admin');
}

const mayNotGive = (role: GroupRole | 'super_admin'): FleetError =>
  new FleetError('insufficient_role', `this needs the role ${role}`, {
    context: { required_role: role },
  });
