import { Injectable } from '@nestjs/common';
import { decide, scopeOf, type Permission } from '../../core/access/index.js';
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

  /** The groups where the caller has the permission, each with everything below it. */
  async visibleGroups(caller: Caller, permission: Permission): Promise<'all' | readonly string[]> {
    const scope = scopeOf(caller.grants, permission);
    return scope === 'all' ? 'all' : await this.groups.subtrees(scope);
  }
}
