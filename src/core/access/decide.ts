import { err, ok, type Refusal, type Result } from '../kernel/index.js';
import {
  grantAllows,
  PERMISSIONS,
  requiredRole,
  type Grant,
  type Permission,
  type Role,
} from './permissions.js';

/** The group of a grant; null when it is held on the whole installation. */
const groupOf = (grant: Grant): string | null => ('groupId' in grant ? grant.groupId : null);

const heldOn = (grant: Grant, path: readonly string[]): boolean => {
  const groupId = groupOf(grant);
  return groupId === null || path.includes(groupId);
};

/** Whether any of the grants has the permission somewhere. The first, coarse question of a guard. */
export const holdsAnywhere = (grants: readonly Grant[], permission: Permission): boolean =>
  grants.some((grant) => grantAllows(grant, permission));

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
    if (!grantAllows(grant, permission)) continue;
    const groupId = groupOf(grant);
    if (groupId === null) return 'all';
    roots.add(groupId);
  }
  return [...roots];
}

/**
 * Whether the holder of `grants` may give `wanted` to somebody else: only what is held already, where
 * it is held. `path` leads from the root to the group of `wanted`, and is not looked at when that one
 * is held on the whole installation. Whoever holds every permission by name is still no super admin:
 * that role also holds what will be added.
 */
export function covers(grants: readonly Grant[], wanted: Grant, path: readonly string[]): boolean {
  const isSuper = (grant: Grant): boolean => 'role' in grant && grant.role === 'super_admin';
  if (isSuper(wanted)) return grants.some(isSuper);
  const where = groupOf(wanted) === null ? [] : path;
  return PERMISSIONS.filter((permission) => grantAllows(wanted, permission)).every(
    (permission) => decide(grants, permission, where).ok,
  );
}
