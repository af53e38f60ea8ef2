import { expect, it } from 'vitest';
import { describeOnBothDatabases } from '../../../test/support/databases.js';
import { makeClock } from '../../../test/support/manager.js';
import type { Grant } from '../../core/access/index.js';
import { DAY_MS, MINUTE_MS } from '../../core/kernel/index.js';
import type { Database } from '../platform/database/index.js';
import type { Caller } from '../platform/http/index.js';
import { Access, ApiTokens, GROUP_DEPTH_MAX, Groups, type GroupRecord } from './index.js';

const holding = (...grants: Grant[]): Caller => ({
  kind: 'token',
  id: 'tok_00000000',
  name: 'ann',
  grants,
  requestId: '',
  ip: '',
});

async function tree(database: Database): Promise<{
  groups: Groups;
  root: GroupRecord;
  make(name: string, parent: GroupRecord): Promise<GroupRecord>;
}> {
  const groups = new Groups(database, makeClock());
  const root = await groups.find('grp_default');
  if (root === null) throw new Error('no root');
  const make = (name: string, parent: GroupRecord): Promise<GroupRecord> =>
    database.transaction((tx) => groups.create(tx, name, parent));
  return { groups, root, make };
}

describeOnBothDatabases('groups', (openTestDatabase) => {
  it('begin with one root and grow into a tree', async () => {
    const { groups, root, make } = await tree(await openTestDatabase());
    expect(root).toMatchObject({ parentId: null, path: ['grp_default'] });
    const east = await make('east', root);
    const hall = await make('hall', east);
    await make('west', root);
    expect(await groups.find(hall.id)).toMatchObject({
      parentId: east.id,
      path: ['grp_default', east.id, hall.id],
    });
    expect((await groups.subtree(east.id)).sort()).toEqual([east.id, hall.id].sort());
    expect(await groups.subtree('grp_default')).toHaveLength(4);
    expect(await groups.subtree('grp_nowhere')).toEqual([]);
    expect(await groups.find('grp_nowhere')).toBeNull();
  });

  it('have one name each below one parent', async () => {
    const { root, make } = await tree(await openTestDatabase());
    const east = await make('east', root);
    await expect(make('east', root)).rejects.toMatchObject({ code: 'conflict' });
    await make('east', east);
  });

  it('nest only so deep', async () => {
    const { root, make } = await tree(await openTestDatabase());
    let group = root;
    for (let depth = 2; depth <= GROUP_DEPTH_MAX; depth += 1) group = await make('deeper', group);
    await expect(make('deeper', group)).rejects.toMatchObject({ code: 'conflict' });
  });

  it('are listed in pages, parents before children', async () => {
    const { groups, root, make } = await tree(await openTestDatabase());
    const ids = [root.id];
    let parent = root;
    for (const name of ['a', 'b', 'c']) ids.push((parent = await make(name, parent)).id);
    const seen: string[] = [];
    let after = null;
    for (;;) {
      const page: GroupRecord[] = await groups.list({ groups: 'all', after, limit: 2 });
      if (page.length === 0) break;
      seen.push(...page.map((group) => group.id));
      const last = page.at(-1);
      after = last === undefined ? null : { at: last.createdAt, id: last.id };
    }
    expect(seen.sort()).toEqual(ids.sort());
    expect(await groups.list({ groups: [root.id], after: null, limit: 9 })).toHaveLength(1);
    expect(await groups.list({ groups: [], after: null, limit: 9 })).toEqual([]);
  });
});

describeOnBothDatabases('access', (openTestDatabase) => {
  it('asks the tree', async () => {
    const { groups, root, make } = await tree(await openTestDatabase());
    const access = new Access(groups);
    const east = await make('east', root);
    const hall = await make('hall', east);
    const operator = holding({ role: 'operator', groupId: east.id });
    await access.require(operator, 'node.upgrade', hall.id);
    await expect(access.require(operator, 'group.upgrade', hall.id)).rejects.toMatchObject({
      code: 'insufficient_role',
      context: { required_role: 'admin' },
    });
    for (const groupId of [root.id, 'grp_nowhere']) {
      await expect(access.require(operator, 'node.view', groupId)).rejects.toMatchObject({
        code: 'not_found',
      });
    }
    const visible = await access.visibleGroups(operator, 'node.view');
    expect(new Set(visible)).toEqual(new Set([east.id, hall.id]));
    expect(await access.visibleGroups(operator, 'audit.view')).toEqual([]);
    expect(await access.visibleGroups(holding({ role: 'super_admin' }), 'audit.view')).toBe('all');
  });
});

describeOnBothDatabases('API tokens', (openTestDatabase) => {
  const setUp = async () => {
    const database = await openTestDatabase();
    const clock = makeClock();
    const tokens = new ApiTokens(database, clock);
    const make = (expiresInDays = 30) =>
      database.transaction((tx) =>
        tokens.create(tx, {
          name: 'ci',
          role: 'super_admin',
          groupId: null,
          permissions: null,
          expiresInDays,
          makerId: null,
        }),
      );
    return { database, clock, tokens, make };
  };

  it('are known by their secret until they expire', async () => {
    const { clock, tokens, make } = await setUp();
    const { token, secret } = await make(1);
    expect(secret).toMatch(/^bwt_[0-9a-z]{40}$/);
    expect(await tokens.authenticate(secret)).toMatchObject({ id: token.id, role: 'super_admin' });
    expect(await tokens.authenticate(`${secret.slice(0, -1)}!`)).toBeNull();
    expect(await tokens.authenticate('bwt_')).toBeNull();
    clock.advance(DAY_MS);
    expect(await tokens.authenticate(secret)).toBeNull();
  });

  it('store a hash and never the secret', async () => {
    const { database, make } = await setUp();
    const { secret } = await make();
    const rows = await database.read.all('SELECT * FROM api_tokens');
    expect(rows).toHaveLength(1);
    expect(JSON.stringify(rows)).not.toContain(secret);
    expect(JSON.stringify(rows)).not.toContain(secret.slice(4));
  });

  it('remember when they were used, to the minute', async () => {
    const { clock, tokens, make } = await setUp();
    const { secret } = await make();
    const lastUsed = async (): Promise<number | null> => {
      await tokens.authenticate(secret);
      return (await tokens.list(null, 1))[0]?.lastUsedAt ?? null;
    };
    const first = await lastUsed();
    clock.advance(MINUTE_MS / 2);
    expect(await lastUsed()).toBe(first);
    clock.advance(MINUTE_MS / 2);
    expect(await lastUsed()).toBeGreaterThanOrEqual((first ?? 0) + MINUTE_MS);
  });

  it('are revoked once, and then unknown', async () => {
    const { database, tokens, make } = await setUp();
    const { token, secret } = await make();
    const revoke = () => database.transaction((tx) => tokens.revoke(tx, token.id));
    expect(await tokens.hasSuperAdmin(database.read)).toBe(true);
    expect(await revoke()).toMatchObject({ id: token.id });
    expect(await revoke()).toBeNull();
    expect(await tokens.authenticate(secret)).toBeNull();
    expect(await tokens.list(null, 10)).toEqual([]);
    expect(await tokens.hasSuperAdmin(database.read)).toBe(false);
  });

  it('are listed newest first, in pages', async () => {
    const { clock, tokens, make } = await setUp();
    const ids: string[] = [];
    for (let i = 0; i < 3; i += 1) {
      ids.unshift((await make()).token.id);
      clock.advance(1000);
    }
    const [first, second] = await tokens.list(null, 2);
    expect([first?.id, second?.id]).toEqual(ids.slice(0, 2));
    const cursor = { at: second?.createdAt ?? 0, id: second?.id ?? '' };
    expect((await tokens.list(cursor, 2)).map((token) => token.id)).toEqual(ids.slice(2));
  });
});
