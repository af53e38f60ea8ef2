import fc from 'fast-check';
import { expect, it } from 'vitest';
import {
  covers,
  GROUP_ROLES,
  PERMISSIONS,
  type Grant,
  type GroupRole,
  type Permission,
} from '../../src/core/access/index.js';
import { FleetError } from '../../src/core/kernel/index.js';
import { Access, Groups, type GroupRecord } from '../../src/server/access/index.js';
import type { Caller } from '../../src/server/platform/http/index.js';
import { describeOnBothDatabases } from '../support/databases.js';
import { makeClock } from '../support/manager.js';

/**
 * The rules once more, as slowly and plainly as they can be told: from what people read in docs/access.md,
 * without a path, a set or a look at the table of the code.
 */
const VIEWER = 'group.view node.view release.view rollout.view event.view'.split(' ');
const OPERATOR = [...VIEWER, 'node.upgrade', 'rollout.control'];
const ADMIN_ALONE =
  'group.manage member.manage node.enroll group.upgrade sink.manage audit.view'.split(' ');
const ADMIN = [...OPERATOR, ...ADMIN_ALONE];
const RELEASE = ['release.view', 'release.publish'];
/** Users and releases are in no group: who names these for a group has named nothing. */
const OF_NO_GROUP = ['user.manage', 'release.publish'];
const OF_ROLE: Readonly<Record<GroupRole, readonly string[]>> = {
  viewer: VIEWER,
  operator: OPERATOR,
  admin: ADMIN,
};

interface Tree {
  /** The parent of each group by number; group 0 is the root. */
  readonly parents: readonly (number | null)[];
}

function naiveMay(
  tree: Tree,
  grants: readonly Held[],
  permission: string,
  group: number | null,
): boolean {
  return grants.some((held) => {
    if (held.kind === 'super_admin') return true;
    if (!('group' in held)) return RELEASE.includes(permission);
    const given = held.kind === 'named' ? held.permissions : OF_ROLE[held.kind];
    if (!given.includes(permission)) return false;
    if (held.group === null) return true;
    if (OF_NO_GROUP.includes(permission)) return false;
    for (let at = group; at !== null; at = tree.parents[at] ?? null)
      if (at === held.group) return true;
    return false;
  });
}

type Held =
  | { readonly kind: 'super_admin' | 'release' }
  | { readonly kind: GroupRole; readonly group: number }
  | {
      readonly kind: 'named';
      readonly permissions: readonly Permission[];
      readonly group: number | null;
    };

const GROUPS_MAX = 9;
const anyTree: fc.Arbitrary<Tree> = fc
  .array(fc.nat(), { maxLength: GROUPS_MAX - 1 })
  .map((picks) => ({ parents: [null, ...picks.map((pick, index) => pick % (index + 1))] }));
const anyPermission = fc.constantFrom(...PERMISSIONS);
const anyHeld: fc.Arbitrary<Held> = fc.oneof(
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constantFrom('super_admin' as const, 'release' as const) }),
  },
  {
    weight: 4,
    arbitrary: fc.record({ kind: fc.constantFrom(...GROUP_ROLES), group: fc.nat(GROUPS_MAX - 1) }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('named' as const),
      permissions: fc.uniqueArray(anyPermission, { minLength: 1, maxLength: 4 }),
      group: fc.option(fc.nat(GROUPS_MAX - 1)),
    }),
  },
);
const anyWorld = fc.record({
  tree: anyTree,
  held: fc.array(anyHeld, { maxLength: 4 }),
  permission: anyPermission,
});

const toGrant = (held: Held, id: (group: number) => string): Grant => {
  if (!('group' in held)) return { role: held.kind };
  if (held.kind !== 'named') return { role: held.kind, groupId: id(held.group) };
  const { permissions, group } = held;
  return { permissions, groupId: group === null ? null : id(group) };
};

const callerWith = (grants: readonly Grant[]): Caller => ({
  kind: 'token',
  id: 'tok_00000000',
  name: 'ann',
  grants,
  requestId: '',
  ip: '',
});

describeOnBothDatabases('the guard against a naive model', (openTestDatabase, kind) => {
  it('agrees for random trees, memberships and actions', async () => {
    const database = await openTestDatabase();
    const groups = new Groups(database, makeClock());
    const access = new Access(groups);
    const root = await groups.find('grp_default');
    if (root === null) throw new Error('no root');
    let run = 0;
    await fc.assert(
      fc.asyncProperty(anyWorld, async ({ tree, held, permission }) => {
        run += 1;
        // A tree of its own below the root for each run; group 0 of the model is its top.
        const made: GroupRecord[] = [];
        await database.transaction(async (tx) => {
          for (const [index, parent] of tree.parents.entries()) {
            const above = parent === null ? root : made[parent];
            if (above === undefined) throw new Error('no parent');
            made.push(await groups.create(tx, `${run} ${index}`, above));
          }
        });
        // A group that the tree does not have is one that nobody made.
        const id = (group: number): string => made[group]?.id ?? 'grp_nowhere';
        const caller = callerWith(held.map((one) => toGrant(one, id)));
        const expected = made.map((_, group) => naiveMay(tree, held, permission, group));
        const views = made.map((_, group) => naiveMay(tree, held, 'group.view', group));
        const visible = await access.visibleGroups(caller, permission);
        for (const [group, record] of made.entries()) {
          const told = await access.require(caller, permission, record.id).then(
            () => 'yes',
            (error: unknown) => (error instanceof FleetError ? error.code : String(error)),
          );
          const refusal = views[group] === true ? 'insufficient_role' : 'not_found';
          expect(told).toBe(expected[group] === true ? 'yes' : refusal);
          // Lists are the single questions, one by one.
          expect(visible === 'all' || visible.includes(record.id)).toBe(expected[group]);
        }
      }),
      { numRuns: kind === 'sqlite' ? 120 : 25 },
    );
  });

  it('lets nobody make a token that can more than he', async () => {
    fc.assert(
      fc.property(anyTree, fc.array(anyHeld, { maxLength: 3 }), anyHeld, (tree, held, wanted) => {
        const id = (group: number): string => `grp_${group % tree.parents.length}`;
        const known = (one: Held): Held =>
          'group' in one && one.group !== null
            ? { ...one, group: one.group % tree.parents.length }
            : one;
        const mine = held.map(known);
        const want = known(wanted);
        const path: string[] = [];
        const where = 'group' in want ? want.group : null;
        for (let at = where; at !== null; at = tree.parents[at] ?? null) path.unshift(`grp_${at}`);
        if (
          !covers(
            mine.map((one) => toGrant(one, id)),
            toGrant(want, id),
            path,
          )
        )
          return;
        for (const permission of PERMISSIONS) {
          for (const group of [null, ...tree.parents.keys()]) {
            const could = naiveMay(tree, [want], permission, group);
            expect(!could || naiveMay(tree, mine, permission, group)).toBe(true);
          }
        }
      }),
      { numRuns: 2000 },
    );
  });
});
