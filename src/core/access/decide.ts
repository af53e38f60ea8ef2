import { err, ok, type Refusal, type Result } from '../kernel/index.js';
import { requiredRole, roleAllows, type Grant, type Permission, type Role } from './permissions.js';

const heldOn = (grant: Grant, path: readonly string[]): boolean =>
  !('groupId' in grant) || path.includes(grant.groupId);

/** Whether any of the grants has the permission somewhere. The first, coarse question of a guard. */
export const holdsAnywhere = (grants: readonly Grant[], permission: Permission): boolean =>
  grants.some((grant) => roleAllows(grant.role, permission));

/** Why not, and the lowest role that would have been enough. */
export interface Denial extends Refusal<'not_found' | 'insufficient_role'> {
  readonly requiredRole: Role;
}

/**
 * May the holder of `grants` do this on one group? `path` holds the ids from the root down to that
 * group: a role held anywhere on it flows down. A group that the holder may not even view is
 * `not_found`, so that nobody learns by asking which groups exist.
 */
export function decide(
  grants: readonly Grant[],
  permission: Permission,
  path: readonly string[],
): Result<void, Denial> {
  const here = grants.filter((grant) => heldOn(grant, path));
  if (holdsAnywhere(here, permission)) return ok(undefined);
  const role = requiredRole(permission);
  if (!holdsAnywhere(here, 'group.view')) {
    return err({ code: 'not_found', message: 'no such group', requiredRole: role });
  }
  return err({
    code: 'insufficient_role',
    message: `this needs the role ${role} on the group or above`,
    requiredRole: role,
  });
}

/**
 * Where the grants give the permission: everywhere, or on these groups and below. The list has no
 * duplicates and is in the order of the grants; it is empty when nothing is granted.
 */
export function scopeOf(
  grants: readonly Grant[],
  permission: Permission,
): 'all' | readonly string[] {
  const roots = new Set<string>();
  for (const grant of grants) {
    if (!roleAllows(grant.role, permission)) continue;
    if (!('groupId' in grant)) return 'all';
    roots.add(grant.groupId);
  }
  return [...roots];
}
