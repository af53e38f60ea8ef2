import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  decide,
  GROUP_ROLES,
  holdsAnywhere,
  PERMISSIONS,
  roleAllows,
  scopeOf,
  type Grant,
} from './index.js';

/** A small tree: every group's path from the root. */
const PATHS = [
  ['grp_root'],
  ['grp_root', 'grp_east'],
  ['grp_root', 'grp_west'],
  ['grp_root', 'grp_east', 'grp_berlin'],
  ['grp_root', 'grp_east', 'grp_berlin', 'grp_hall7'],
] as const;

const anyPath = fc.constantFrom(...PATHS);
const anyPermission = fc.constantFrom(...PERMISSIONS);
const anyGrant: fc.Arbitrary<Grant> = fc.oneof(
  fc.record({ role: fc.constantFrom('super_admin' as const, 'release' as const) }),
  fc.record({
    role: fc.constantFrom(...GROUP_ROLES),
    groupId: fc.constantFrom('grp_root', 'grp_east', 'grp_west', 'grp_berlin', 'grp_hall7'),
  }),
);
const anyGrants = fc.array(anyGrant, { maxLength: 4 });

describe('a decision', () => {
  it('is no when nothing is granted, and hides that the group exists', () => {
    for (const permission of PERMISSIONS) {
      const decision = decide([], permission, ['grp_root']);
      expect(decision).toMatchObject({ ok: false, error: { code: 'not_found' } });
    }
  });

  it('lets a role flow down the tree, and never up or sideways', () => {
    const grants: Grant[] = [{ role: 'viewer', groupId: 'grp_east' }];
    const mayView = PATHS.filter((path) => decide(grants, 'node.view', path).ok);
    expect(mayView).toEqual([PATHS[1], PATHS[3], PATHS[4]]);
  });

  it('says which role is missing to someone who may view the group', () => {
    const grants: Grant[] = [{ role: 'viewer', groupId: 'grp_root' }];
    expect(decide(grants, 'group.upgrade', ['grp_root', 'grp_east'])).toEqual({
      ok: false,
      error: {
        code: 'insufficient_role',
        message: 'this needs the role admin on the group or above',
        requiredRole: 'admin',
      },
    });
  });

  it('hides groups from a pipeline, which may only publish', () => {
    const grants: Grant[] = [{ role: 'release' }];
    expect(decide(grants, 'release.publish', ['grp_root']).ok).toBe(true);
    expect(decide(grants, 'node.view', ['grp_root'])).toMatchObject({
      error: { code: 'not_found' },
    });
  });

  it('never turns to no when a grant is added', () => {
    fc.assert(
      fc.property(anyGrants, anyGrant, anyPermission, anyPath, (grants, more, what, path) => {
        if (decide(grants, what, path).ok)
          expect(decide([...grants, more], what, path).ok).toBe(true);
      }),
    );
  });

  it('of yes on a group is yes on every group below it', () => {
    fc.assert(
      fc.property(anyGrants, anyPermission, anyPath, (grants, what, path) => {
        if (!decide(grants, what, path).ok) return;
        for (const below of PATHS.filter((each) => path.every((id, i) => each[i] === id))) {
          expect(decide(grants, what, below).ok).toBe(true);
        }
      }),
    );
  });

  it('is yes exactly where one grant alone is enough', () => {
    fc.assert(
      fc.property(anyGrants, anyPermission, anyPath, (grants, what, path) => {
        const alone = grants.some((grant) => decide([grant], what, path).ok);
        expect(decide(grants, what, path).ok).toBe(alone);
      }),
    );
  });

  it('of yes anywhere means that the permission is held somewhere', () => {
    fc.assert(
      fc.property(anyGrants, anyPermission, anyPath, (grants, what, path) => {
        if (decide(grants, what, path).ok) expect(holdsAnywhere(grants, what)).toBe(true);
      }),
    );
  });
});

describe('a scope', () => {
  it('holds a group exactly when the decision on that group is yes', () => {
    fc.assert(
      fc.property(anyGrants, anyPermission, anyPath, (grants, what, path) => {
        const scope = scopeOf(grants, what);
        const inside = scope === 'all' || path.some((id) => scope.includes(id));
        expect(inside).toBe(decide(grants, what, path).ok);
      }),
    );
  });

  it('is everything for a platform role that has the permission', () => {
    expect(scopeOf([{ role: 'super_admin' }], 'audit.view')).toBe('all');
    expect(scopeOf([{ role: 'release' }], 'audit.view')).toEqual([]);
    expect(roleAllows('release', 'audit.view')).toBe(false);
  });

  it('names a group once, however often it is granted', () => {
    const grants: Grant[] = [
      { role: 'admin', groupId: 'grp_east' },
      { role: 'viewer', groupId: 'grp_east' },
    ];
    expect(scopeOf(grants, 'node.view')).toEqual(['grp_east']);
  });
});
