import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startRolloutManager, type RolloutManager } from '../../../test/support/obedient-node.js';

describe.each(['sqlite', 'postgres'] as const)('the scope of a rollout (%s)', (kind) => {
  let manager: RolloutManager;
  let east: string;
  let hall: string;
  const ids: Record<string, string> = {};
  const nameOf = new Map<string, string>();

  beforeAll(async () => {
    manager = await startRolloutManager({ kind });
    east = await manager.group('east');
    hall = await manager.group('hall', east);
    const west = await manager.group('west');
    const enroll = async (name: string, group: string, labels: Record<string, string>) => {
      const { id } = await manager.join(group, name, { labels });
      ids[name] = id;
      nameOf.set(id, name);
    };
    await enroll('e1', east, { ring: 'a', site: 'fra' });
    await enroll('e2', east, { ring: 'b', site: 'fra' });
    await enroll('h1', hall, { ring: 'a', site: 'ber' });
    await enroll('h2', hall, { ring: 'b' });
    await enroll('w1', west, { ring: 'a', site: 'fra' });
  }, 60_000);
  afterAll(() => manager.stop());

  const id = (name: string): string => ids[name] ?? '';
  const preview = (scope: object, token?: string) =>
    manager.call(
      'rollouts.preview',
      {
        body: {
          product: 'edge',
          version: '1.1.0',
          scope: { group_id: east, ...scope },
          strategy: 'immediate',
        },
      },
      token,
    );
  /** Who is in it. */
  async function names(scope: object, token?: string): Promise<string[]> {
    const { status, body } = await preview(scope, token);
    expect(status, JSON.stringify(body)).toBe(200);
    const nodes = body.waves.flatMap((wave) => wave.nodes.map((node) => node.id));
    return nodes.map((node) => nameOf.get(node) ?? node).sort();
  }

  it('is a group with those below, or that group alone', async () => {
    expect(await names({})).toEqual(['e1', 'e2', 'h1', 'h2']);
    expect(await names({ subgroups: false })).toEqual(['e1', 'e2']);
    expect(await names({ group_id: hall })).toEqual(['h1', 'h2']);
  });

  it('is narrowed by labels, all of which a node must have', async () => {
    expect(await names({ labels: { ring: 'a' } })).toEqual(['e1', 'h1']);
    expect(await names({ labels: { ring: 'a', site: 'fra' } })).toEqual(['e1']);
    expect(await names({ labels: { ring: 'a' }, subgroups: false })).toEqual(['e1']);
    // What every object has by birth is no label.
    const { status } = await preview({ labels: { constructor: 'a' } });
    expect(status).toBe(409);
  });

  it('is narrowed by ids, and some can be left out', async () => {
    expect(await names({ node_ids: [id('e1'), id('h2')] })).toEqual(['e1', 'h2']);
    expect(await names({ exclude_node_ids: [id('e1')] })).toEqual(['e2', 'h1', 'h2']);
    expect(await names({ node_ids: [id('e1'), id('h2')], exclude_node_ids: [id('e1')] })).toEqual([
      'h2',
    ]);
    expect(await names({ node_ids: [id('e1'), id('h2')], labels: { ring: 'b' } })).toEqual(['h2']);
  });

  it('never reaches a node of another group, by whatever way it is named', async () => {
    const admin = await manager.token('admin', east);
    expect(await names({ node_ids: [id('e1'), id('w1')] }, admin)).toEqual(['e1']);
    const only = await preview({ node_ids: [id('w1')] }, admin);
    expect([only.status, only.body.code]).toEqual([409, 'rollout_empty']);
    // Nothing is told of it either, not even that it is there.
    expect(JSON.stringify(only.body)).not.toContain(id('w1'));
    const body = {
      product: 'edge',
      version: '1.1.0',
      scope: { group_id: east },
      strategy: 'custom' as const,
      waves: [{ label: { key: 'ring', value: 'a' } }, { rest: true as const }],
    };
    const made = await manager.call('rollouts.create', { body }, admin);
    const { body: page } = await manager.call('rollouts.targets', { params: { id: made.body.id } });
    expect(page.items.map((one) => [nameOf.get(one.node_id), one.wave]).sort()).toEqual([
      ['e1', 0],
      ['e2', 1],
      ['h1', 0],
      ['h2', 1],
    ]);
    await manager.call('rollouts.cancel', { params: { id: made.body.id } });
  });

  it('may be cut by a group that is not in it: then nobody is in that wave', async () => {
    const { status, body } = await manager.call('rollouts.preview', {
      body: {
        product: 'edge',
        version: '1.1.0',
        scope: { group_id: hall },
        strategy: 'custom',
        waves: [{ group_id: 'grp_0000000000' }, { rest: true }],
      },
    });
    expect([status, body.code]).toEqual([400, 'rollout_plan_invalid']);
  });
});
