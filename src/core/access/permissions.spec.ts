import { describe, expect, it } from 'vitest';
import {
  grantAllows,
  GROUP_ROLES,
  holdsAnywhere,
  PERMISSIONS,
  requiredRole,
  roleAllows,
  WHOLE_PERMISSIONS,
  type Role,
} from './index.js';

const ROLES: readonly Role[] = ['viewer', 'operator', 'admin', 'release', 'super_admin'];

describe('the table of permissions', () => {
  it('is this one', () => {
    const table = Object.fromEntries(
      PERMISSIONS.map((permission) => [
        permission,
        ROLES.filter((role) => roleAllows(role, permission)).join(' '),
      ]),
    );
    expect(table).toEqual({
      'token.manage': 'super_admin',
      'user.manage': 'super_admin',
      'member.manage': 'admin super_admin',
      'group.view': 'viewer operator admin super_admin',
      'group.manage': 'admin super_admin',
      'quota.manage': 'super_admin',
      'node.view': 'viewer operator admin super_admin',
      'node.enroll': 'admin super_admin',
      'node.upgrade': 'operator admin super_admin',
      'group.upgrade': 'admin super_admin',
      'release.view': 'viewer operator admin release super_admin',
      'release.publish': 'release super_admin',
      'rollout.view': 'viewer operator admin super_admin',
      'rollout.control': 'operator admin super_admin',
      'event.view': 'viewer operator admin super_admin',
      'sink.manage': 'admin super_admin',
      'audit.view': 'admin super_admin',
      'metrics.view': 'super_admin',
    });
  });

  it('lets each group role do all that the one below it may', () => {
    for (const permission of PERMISSIONS) {
      const allowed = GROUP_ROLES.map((role) => roleAllows(role, permission));
      expect([...allowed].sort()).toEqual(allowed);
    }
  });

  it('names a required role that is indeed enough', () => {
    for (const permission of PERMISSIONS) {
      expect(roleAllows(requiredRole(permission), permission)).toBe(true);
    }
    expect(requiredRole('token.manage')).toBe('super_admin');
    expect(requiredRole('release.publish')).toBe('release');
    expect(requiredRole('group.upgrade')).toBe('admin');
  });

  it('holds nothing on a group of what belongs to no group', () => {
    for (const permission of WHOLE_PERMISSIONS) {
      const permissions = PERMISSIONS;
      expect(grantAllows({ permissions, groupId: null }, permission)).toBe(true);
      // Also of a token that was made when that could still be asked for.
      expect(holdsAnywhere([{ permissions, groupId: 'grp_east' }], permission)).toBe(false);
    }
  });
});
