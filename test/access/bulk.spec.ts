import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { GROUP_ROLES, type Grant, type GroupRole } from '../../src/core/access/index.js';
import { FleetError } from '../../src/core/kernel/index.js';
import { Transfers } from '../../src/server/fleet/index.js';
import { Database, type Caller } from '../../src/server/platform/index.js';
import { makeMigratedPostgres } from '../support/databases.js';
import { startTestManager, type TestManager } from '../support/manager.js';
import { join, type Browser } from '../support/people/browser.js';

/** Five groups: the root, two below it, and one below each of those. */
const PARENTS = [null, 0, 0, 1, 2] as const;
const above = (group: number): number[] => {
  const path = [group];
  for (let at = PARENTS[group] ?? null; at !== null; at = PARENTS[at] ?? null) path.push(at);
  return path;
};
const RANK: readonly (GroupRole | null)[] = [null, ...GROUP_ROLES];

/** What somebody holds on a group: the best of what he holds there and above. */
const bestOn = (held: readonly { group: number; role: GroupRole }[], group: number): number =>
  Math.max(
    0,
    ...held.filter((one) => above(group).includes(one.group)).map(({ role }) => RANK.indexOf(role)),
  );
const ADMIN = RANK.indexOf('admin');

const anyGroup = fc.nat(PARENTS.length - 1);
const anyRole = fc.record({ group: anyGroup, role: fc.constantFrom(...GROUP_ROLES) });

describe.each(['sqlite', 'postgres'] as const)('bulk and people (%s)', (kind) => {
  let manager: TestManager;
  let drop: (() => Promise<void>) | null = null;
  const groups: string[] = [];
  const nodes: string[] = [];
  beforeAll(async () => {
    const made = kind === 'postgres' ? await makeMigratedPostgres() : null;
    drop = made?.drop ?? null;
    manager = await startTestManager(made === null ? {} : { DATABASE_URL: made.url });
    for (const [index, parent] of PARENTS.entries()) {
      const id = parent === null ? 'grp_default' : await manager.group(`g${index}`, groups[parent]);
      groups.push(id);
      nodes.push((await manager.node(id, `edge-${index}`)).id);
    }
  }, 120_000);
  afterAll(async () => {
    await manager.stop();
    await drop?.();
  });
  const id = (group: number): string => groups[group] ?? '';

  const callerWith = (grants: readonly Grant[]): Caller => ({
    kind: 'token',
    id: 'tok_00000000',
    name: 'ann',
    grants,
    requestId: '',
    ip: '',
  });
  const homes = () =>
    manager.manager.app.get(Database).transaction(async (tx) => {
      for (const [index, node] of nodes.entries()) {
        await tx.run('UPDATE nodes SET group_id = ? WHERE id = ?', [id(index), node]);
      }
    });
  const transfer = (ids: readonly string[], to: number, caller: Caller): Promise<string> =>
    manager.manager.app
      .get(Transfers)
      .transfer(ids, id(to), caller)
      .then(
        () => 'yes',
        (error: unknown) => (error instanceof FleetError ? error.code : String(error)),
      );

  it('a bulk transfer does what its calls would do one by one, or nothing', async () => {
    const anyCall = fc.record({
      held: fc.array(anyRole, { maxLength: 3 }),
      to: anyGroup,
      // The last one is of a node that nobody knows.
      picks: fc.uniqueArray(fc.nat(PARENTS.length), { minLength: 1, maxLength: 4 }),
    });
    await fc.assert(
      fc.asyncProperty(anyCall, async ({ held, to, picks }) => {
        const caller = callerWith(held.map(({ group, role }) => ({ role, groupId: id(group) })));
        const ids = picks.map((pick) => nodes[pick] ?? 'nod_00000000000000000000');
        const alone: string[] = [];
        for (const one of ids) {
          await homes();
          alone.push(await transfer([one], to, caller));
        }
        await homes();
        const all = await transfer(ids, to, caller);
        expect(all).toBe(alone.find((told) => told !== 'yes') ?? 'yes');
        const mayAll = picks.every((pick) => pick < PARENTS.length && bestOn(held, pick) === ADMIN);
        expect(all === 'yes').toBe(mayAll && bestOn(held, to) === ADMIN);
        const rows = await manager.manager.app
          .get(Database)
          .read.all<{ id: string; group_id: string }>('SELECT id, group_id FROM nodes');
        const where = new Map(rows.map((row) => [row.id, row.group_id]));
        for (const [index, node] of nodes.entries()) {
          const isMoved = all === 'yes' && picks.includes(index);
          expect(where.get(node)).toBe(id(isMoved ? to : index));
        }
      }),
      { numRuns: kind === 'sqlite' ? 60 : 15 },
    );
    await homes();
  });

  it('people may on each group what their members say, by hand or from a provider', async () => {
    const ann: Browser & { readonly id: string } = await join(manager, 'ann', {
      group_id: id(0),
      role: 'viewer',
    });
    const database = manager.manager.app.get(Database);
    const anyMember = fc.record({
      group: anyGroup,
      role: fc.constantFrom(...GROUP_ROLES),
      source: fc.constantFrom('manual' as const, 'sso' as const),
      isOver: fc.boolean(),
    });
    const anyMembers = fc.uniqueArray(anyMember, {
      maxLength: 4,
      selector: ({ group, source }) => `${group} ${source}`,
    });
    /** Routes that ask for a viewer, an operator (a node of its own) and an admin of one group. */
    const asks = [
      (group: number) => ann.call('groups.switch', { params: { id: id(group) } }),
      (group: number) => ann.call('members.list', { params: { id: id(group) } }),
    ] as const;
    await fc.assert(
      fc.asyncProperty(anyMembers, anyGroup, async (members, group) => {
        await database.transaction(async (tx) => {
          await tx.run('DELETE FROM members WHERE user_id = ?', [ann.id]);
          for (const one of members) {
            await tx.run(
              `INSERT INTO members (user_id, group_id, source, role, created_at, expires_at)
               VALUES (?, ?, ?, ?, 0, ?)`,
              [ann.id, id(one.group), one.source, one.role, one.isOver ? 1 : null],
            );
          }
        });
        const held = members.filter(({ isOver }) => !isOver);
        const best = bestOn(held, group);
        const isAdminSomewhere = held.some(({ role }) => role === 'admin');
        const [viewing, managing] = [await asks[0](group), await asks[1](group)];
        const hidden = held.length === 0 ? 403 : 404;
        expect(viewing.status).toBe(best > 0 ? 200 : hidden);
        const refused = best > 0 || !isAdminSomewhere ? 403 : 404;
        expect(managing.status).toBe(best === ADMIN ? 200 : refused);
        const listed = await ann.call('groups.list', { query: { limit: 100 } });
        const expected = groups.filter((_, index) => bestOn(held, index) > 0).sort();
        if (held.length > 0) {
          const items = listed.body['items'] as { id: string }[];
          expect(items.map((one) => one.id).sort()).toEqual(expected);
        }
      }),
      { numRuns: kind === 'sqlite' ? 60 : 20 },
    );
  });
});
