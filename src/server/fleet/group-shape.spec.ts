import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeOnBothDatabases } from '../../../test/support/databases.js';
import type { ProblemBody } from '../../../test/support/manager.js';
import { startRolloutManager, type RolloutManager } from '../../../test/support/obedient-node.js';
import { GROUP_DEPTH_MAX } from '../access/index.js';

describeOnBothDatabases('the shape of the tree', (_, kind) => {
  let manager: RolloutManager;
  beforeAll(async () => {
    manager = await startRolloutManager({ kind });
  }, 60_000);
  afterAll(() => manager.stop());

  const change = (id: string, body: { name?: string; parent_id?: string }, by?: string) =>
    manager.call('groups.change', { params: { id }, body }, by);
  const remove = async (id: string, by?: string) => {
    const { status, body } = await manager.call('groups.remove', { params: { id } }, by);
    return { status, body: body as ProblemBody };
  };
  const quota = (id: string, nodes_max: number | null, by?: string) =>
    manager.call('groups.set_quota', { params: { id }, body: { nodes_max } }, by);
  const transfer = (node_ids: readonly string[], group_id: string, by?: string) =>
    manager.call('nodes.transfer', { body: { node_ids: [...node_ids], group_id } }, by);
  const groupOf = async (id: string): Promise<string> =>
    (await manager.call('nodes.show', { params: { id } })).body.group_id;

  it('moves a group with all below it, and what it may be seen by', async () => {
    const [a, b] = [await manager.group('move a'), await manager.group('move b')];
    const child = await manager.group('child', a);
    const grand = await manager.group('grand', child);
    const node = await manager.node(grand, 'moved');
    const [ofA, ofB] = [await manager.token('admin', a), await manager.token('admin', b)];
    const sees = async (by: string) =>
      (await manager.call('nodes.show', { params: { id: node.id } }, by)).status;
    expect([await sees(ofA), await sees(ofB)]).toEqual([200, 404]);
    expect((await change(child, { parent_id: b }, ofA)).status).toBe(404);
    expect((await change(child, { parent_id: b })).body).toMatchObject({ parent_id: b });
    expect([await sees(ofA), await sees(ofB)]).toEqual([404, 200]);
    expect((await change(child, { name: 'renamed' }, ofB)).body.name).toBe('renamed');
    // A role on the group alone does not take it away from those above.
    const ofChild = await manager.token('admin', child);
    const away = await change(grand, { parent_id: 'grp_default' }, ofChild);
    expect(away.status).toBe(404);
    expect((await remove(child, ofChild)).body.code).toBe('insufficient_role');
  });

  it('makes no loop, no twin and no tree that is too deep, also not by two moves at once', async () => {
    const a = await manager.group('loop a');
    const b = await manager.group('loop b', a);
    const c = await manager.group('loop c', b);
    for (const parent_id of [a, b, c]) {
      expect((await change(a, { parent_id })).body.code).toBe('conflict');
    }
    expect((await change('grp_default', { parent_id: a })).body.code).toBe('conflict');
    await manager.group('twin', a);
    const twin = await manager.group('twin', b);
    expect((await change(twin, { parent_id: a })).body.code).toBe('conflict');

    const [x, y] = [await manager.group('x'), await manager.group('y')];
    const both = await Promise.all([change(x, { parent_id: y }), change(y, { parent_id: x })]);
    expect(both.filter(({ status }) => status === 200)).toHaveLength(1);

    let deep = await manager.group('deep');
    for (let depth = 3; depth <= GROUP_DEPTH_MAX; depth += 1) deep = await manager.group('d', deep);
    expect((await change(b, { parent_id: deep })).body.code).toBe('conflict');
    expect((await change(c, { parent_id: a })).status).toBe(200);
  });

  it('deletes groups that are empty, and keeps what happened in them for those above', async () => {
    const above = await manager.group('above');
    const full = await manager.group('full', above);
    const child = await manager.group('child', full);
    const node = await manager.node(full, 'in the way');
    expect((await remove(full)).body.code).toBe('group_not_empty');
    expect((await remove(child)).status).toBe(204);
    expect((await remove(full)).body).toMatchObject({
      code: 'group_not_empty',
      context: { nodes: 1 },
    });
    const enrollment = await manager.call('enrollment.create', { body: { group_id: full } });
    expect((await transfer([node.id], above)).status).toBe(200);
    expect((await remove(full)).status).toBe(204);
    expect((await remove(full)).status).toBe(404);
    expect((await remove('grp_default')).status).toBe(409);
    expect(enrollment.status).toBe(201);
    const made = await manager.call('groups.create', { body: { name: 'x', parent_id: full } });
    expect(made.status).toBe(404);
    await manager.group('full', above);
    const admin = await manager.token('admin', above);
    const query = { target_id: full, limit: 10 };
    const { body } = await manager.call('audit.list', { query }, admin);
    expect(body.items.map((entry) => entry.action)).toContain('group.delete');
  });

  it('holds as many nodes as the quotas above allow, and says which one is full', async () => {
    const outer = await manager.group('outer');
    const inner = await manager.group('inner', outer);
    const admin = await manager.token('admin', outer);
    expect((await quota(outer, 2, admin)).status).toBe(403);
    expect((await quota(outer, 2)).body.nodes_max).toBe(2);
    const first = await manager.node(inner, 'one');
    await manager.node(outer, 'two');
    await expect(manager.node(inner, 'three')).rejects.toThrow(
      new RegExp(`409.*quota_exceeded.*"quota":"${outer}","current":2,"limit":2`),
    );
    const outside = await manager.node('grp_default', 'outside');
    expect((await transfer([outside.id], inner)).body).toMatchObject({
      code: 'quota_exceeded',
      context: { quota: outer, current: 2, limit: 2 },
    });
    expect(await groupOf(outside.id)).toBe('grp_default');
    await manager.call('nodes.revoke', { params: { id: first.id } });
    const many = await Promise.allSettled([4, 5, 6].map((n) => manager.node(inner, `late ${n}`)));
    expect(many.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    const big = await manager.group('big');
    await manager.node(big, 'in big');
    expect((await change(big, { parent_id: inner })).body.code).toBe('quota_exceeded');
    expect((await quota(outer, null)).body.nodes_max).toBeNull();
    expect((await transfer([outside.id], inner)).status).toBe(200);
  });

  it('transfers nodes for whoever administers both groups, with a new link', async () => {
    const [from, to] = [await manager.group('from'), await manager.group('to')];
    const node = await manager.join(from, 'traveller');
    const [ofFrom, ofTo] = [await manager.token('admin', from), await manager.token('admin', to)];
    expect((await transfer([node.id], to, ofFrom)).status).toBe(404);
    expect((await transfer([node.id], to, ofTo)).status).toBe(404);
    expect(await groupOf(node.id)).toBe(from);
    expect((await transfer([node.id, node.id], to)).body.items).toEqual([
      { id: node.id, group_id: to },
    ]);
    expect(await node.link.closed).toBe(1001);
    expect((await transfer([node.id], to)).status).toBe(200);
    const seen = async (by: string) => {
      const { body } = await manager.call('events.list', { query: { limit: 1000 } }, by);
      return body.items.filter((event) => event.type === 'node_transferred').length;
    };
    expect([await seen(ofFrom), await seen(ofTo)]).toEqual([1, 1]);
  });

  it('keeps a node where a rollout holds it', async () => {
    const [from, to] = [await manager.group('held'), await manager.group('free')];
    const node = await manager.join(from, 'busy');
    const made = await manager.call('rollouts.create', {
      body: { product: 'edge', version: '1.1.0', scope: { group_id: from } },
    });
    expect(made.status).toBe(202);
    expect((await transfer([node.id], to)).body).toMatchObject({
      code: 'rollout_node_busy',
      context: { node_id: node.id, rollout_id: made.body.id },
    });
    await node.obey();
    await manager.call('rollouts.cancel', { params: { id: made.body.id } });
    expect((await transfer([node.id], to)).status).toBe(200);
  });

  it('keeps a group where a rollout of those above holds its nodes', async () => {
    const [above, goal] = [await manager.group('leads'), await manager.group('elsewhere')];
    const [held, own] = [await manager.group('held', above), await manager.group('own', above)];
    const node = await manager.join(held, 'led from above');
    const [led] = [await manager.join(own, 'led from within')];
    const roll = async (group_id: string) =>
      (
        await manager.call('rollouts.create', {
          body: { product: 'edge', version: '1.1.0', scope: { group_id } },
        })
      ).body.id;
    const inside = await roll(own);
    // Its own rollouts go where it goes.
    expect((await change(own, { parent_id: goal })).status).toBe(200);
    const rollout = await roll(above);
    expect((await change(held, { parent_id: goal })).body).toMatchObject({
      code: 'rollout_node_busy',
      context: { rollout_id: rollout },
    });
    expect((await change(held, { name: 'renamed' })).status).toBe(200);
    await Promise.all([node.obey(), led.obey()]);
    for (const id of [inside, rollout]) {
      await manager.call('rollouts.cancel', { params: { id } });
    }
    expect((await change(held, { parent_id: goal })).status).toBe(200);
  });

  it('moves no node out of a group that it came to while it was asked about', async () => {
    const [mine, theirs, goal] = [
      await manager.group('was mine'),
      await manager.group('is theirs'),
      await manager.group('a goal'),
    ];
    const node = await manager.node(mine, 'gone meanwhile');
    const both = await manager.token('admin', mine);
    await manager.call('groups.change', { params: { id: goal }, body: { parent_id: mine } });
    // Noted as used: what follows writes nothing before the transfer itself.
    expect((await manager.call('groups.list', {}, both)).status).toBe(200);
    let late: ReturnType<typeof transfer> | null = null;
    await manager.database.transaction(async (tx) => {
      await tx.run('UPDATE nodes SET group_id = ? WHERE id = ?', [theirs, node.id]);
      // It is asked about before this commits, and wants to write after it.
      late = transfer([node.id], goal, both);
      await new Promise((resolve) => setTimeout(resolve, 300));
    });
    const answer = await (late as unknown as ReturnType<typeof transfer>);
    expect([404, 409]).toContain(answer.status);
    expect(await groupOf(node.id)).toBe(theirs);
  });

  it('treats each id of a bulk transfer as if it were alone', async () => {
    const [mine, theirs, goal] = [
      await manager.group('mine'),
      await manager.group('theirs'),
      await manager.group('goal'),
    ];
    const both = await manager.call('tokens.create', {
      body: { name: 'one group', role: 'admin', group_id: mine },
    });
    const below = await manager.group('below', mine);
    const pool = [
      (await manager.node(mine, 'm1')).id,
      (await manager.node(below, 'm2')).id,
      (await manager.node(theirs, 't1')).id,
      (await manager.node(goal, 'g1')).id,
      'nod_00000000000000000000',
    ];
    const secret = both.body.secret;
    // Every subset of two, in both orders: it goes through exactly when both go through one by one.
    for (const first of pool) {
      for (const second of pool) {
        const bulk = await transfer([first, second], below, secret);
        const at = await Promise.all(pool.slice(0, 4).map(groupOf));
        // Back to where they were, then the same one by one.
        for (const [index, home] of [mine, below, theirs, goal].entries()) {
          await transfer([pool[index] ?? ''], home);
        }
        const single = [
          await transfer([first], below, secret),
          await transfer([second], below, secret),
        ];
        const worst = single.find(({ status }) => status !== 200);
        expect([first, second, bulk.status, bulk.body.code]).toEqual([
          first,
          second,
          worst?.status ?? 200,
          worst?.body.code,
        ]);
        if (worst === undefined)
          expect(await Promise.all(pool.slice(0, 4).map(groupOf))).toEqual(at);
        for (const [index, home] of [mine, below, theirs, goal].entries()) {
          await transfer([pool[index] ?? ''], home);
        }
      }
    }
  }, 120_000);
});
