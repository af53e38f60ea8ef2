import { afterEach, describe, expect, it } from 'vitest';
import { eventually } from '../../../test/support/fleet.js';
import type { TestManager } from '../../../test/support/manager.js';
import { startRolloutManager, type ObedientNode } from '../../../test/support/obedient-node.js';

const cleanUps: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

async function setUp(kind: 'sqlite' | 'postgres', nodeCount: number) {
  const manager = await startRolloutManager({ kind });
  cleanUps.push(() => manager.stop());
  const east = await manager.group('east');
  const nodes = new Map<string, ObedientNode>();
  for (let index = 0; index < nodeCount; index += 1) {
    const node = await manager.join(east, `edge-${index}`);
    nodes.set(node.id, node);
  }
  return { manager, east, nodes };
}

const rollOut = async (manager: TestManager, group: string, token?: string): Promise<string> => {
  const { status, body } = await manager.call(
    'groups.upgrade',
    {
      params: { id: group },
      body: { version: '1.1.0', product: 'edge', settle_seconds: 1, wave_percents: [30, 100] },
    },
    token,
  );
  expect(status, JSON.stringify(body)).toBe(202);
  return body.id;
};

const reaches = (manager: TestManager, id: string, status: string): Promise<void> =>
  eventually(async () => {
    const { body } = await manager.call('rollouts.show', { params: { id } });
    expect(body.status).toBe(status);
  });

/** The nodes of a wave, in the order of the plan. */
async function ofWave(manager: TestManager, id: string, wave: number): Promise<string[]> {
  const { body } = await manager.call('rollouts.targets', { params: { id } });
  return body.items.filter((target) => target.wave === wave).map((target) => target.node_id);
}

/** Audit entries about one rollout, oldest first: who, what, to what, with which details. */
async function auditOf(manager: TestManager, token?: string) {
  const { body } = await manager.call('audit.list', { query: { limit: 500 } }, token);
  return body.items
    .filter(({ action }) => action.includes('upgrade') || action.startsWith('rollout'))
    .reverse()
    .map((entry) => ({
      by: entry.actor_name,
      action: entry.action,
      target: `${entry.target_kind} ${entry.target_id}`,
      group: entry.group_id,
      details: entry.details,
    }));
}

describe.each(['sqlite', 'postgres'] as const)('the record of a rollout (%s)', (kind) => {
  it('that succeeds holds who asked for what, each wave, and its end', async () => {
    const { manager, east, nodes } = await setUp(kind, 3);
    const admin = await manager.token('admin', east);
    const id = await rollOut(manager, east, admin);
    for (const wave of [0, 1]) {
      for (const node of await ofWave(manager, id, wave)) {
        await nodes.get(node)?.obey('upgrade_completed');
      }
    }
    await reaches(manager, id, 'complete');
    const common = { target: `group ${east}`, group: east };
    const expected = [
      {
        ...common,
        by: 'a admin',
        action: 'group.upgrade.schedule',
        details: {
          version: '1.1.0',
          channel: 'stable',
          strategy: 'staged',
          node_count: 3,
          product: 'edge',
          rollout_id: id,
        },
      },
      {
        ...common,
        by: 'rollout orchestrator',
        action: 'group.upgrade.complete',
        details: { version: '1.1.0', completed_count: 3, rollout_id: id },
      },
    ];
    expect(await auditOf(manager)).toEqual(expected);
    expect(await auditOf(manager, admin)).toEqual(expected);
    const { body } = await manager.call('events.list', {
      query: { rollout_id: id, category: 'upgrade', limit: 1000 },
    });
    const told = body.items.filter((event) => event.node_id === null);
    expect(told.map(({ type, severity, message }) => [type, severity, message])).toEqual([
      ['rollout_started', 'info', 'Rollout of edge 1.1.0 started'],
      ['wave_opened', 'info', 'Wave 1 of 2 (30 %) opened: 1 node gets edge 1.1.0'],
      ['wave_settling', 'info', 'Wave 1 of 2 (30 %) is done; it settles for 1 s'],
      ['wave_passed', 'info', 'Wave 1 of 2 (30 %) passed its gate'],
      ['wave_opened', 'info', 'Wave 2 of 2 (100 %) opened: 2 nodes get edge 1.1.0'],
      ['wave_settling', 'info', 'Wave 2 of 2 (100 %) is done; it settles for 1 s'],
      ['wave_passed', 'info', 'Wave 2 of 2 (100 %) passed its gate'],
      ['rollout_completed', 'info', 'Rollout of edge 1.1.0 complete: 3 nodes upgraded'],
    ]);
    // What nodes told stands in the same sequence, under the same rollout: four each.
    expect(body.items.length - told.length).toBe(12);
  }, 60_000);

  it('that fails holds the pause with wave and failures, the resume, and the second try', async () => {
    const { manager, east, nodes } = await setUp(kind, 2);
    const id = await rollOut(manager, east);
    const [first] = await ofWave(manager, id, 0);
    await nodes.get(first ?? '')?.obey('upgrade_rolled_back');
    await reaches(manager, id, 'paused');
    await manager.call('rollouts.resume', { params: { id } });
    for (const wave of [0, 1]) {
      for (const node of await ofWave(manager, id, wave)) {
        await nodes.get(node)?.obey('upgrade_completed');
      }
    }
    await reaches(manager, id, 'complete');
    const entries = await auditOf(manager);
    expect(entries.map(({ by, action, details }) => [by, action, details])).toEqual([
      ['first admin', 'group.upgrade.schedule', expect.objectContaining({ node_count: 2 })],
      [
        'rollout orchestrator',
        'group.upgrade.paused',
        {
          version: '1.1.0',
          wave: 1,
          failure_count: 1,
          reason: 'wave_failed',
          rollout_id: id,
        },
      ],
      ['first admin', 'rollout.resume', { version: '1.1.0', product: 'edge' }],
      [
        'rollout orchestrator',
        'group.upgrade.complete',
        { version: '1.1.0', completed_count: 2, rollout_id: id },
      ],
    ]);
    const { body } = await manager.call('events.list', {
      query: { rollout_id: id, severity: 'critical', category: 'upgrade', limit: 1000 },
    });
    expect(
      body.items.map(({ type, node_id, details }) => [type, node_id, details['error_code']]),
    ).toEqual([
      ['upgrade_rolled_back', first, 'upgrade_unhealthy'],
      ['rollout_paused', null, undefined],
    ]);
    expect(body.items[1]?.details).toMatchObject({ wave: 1, reason: 'wave_failed', failures: 1 });
  }, 60_000);

  it('of one node holds the request, and the hand that paused and cancelled it', async () => {
    const { manager, east, nodes } = await setUp(kind, 1);
    const [node] = [...nodes.keys()];
    const operator = await manager.token('operator', east);
    const params = { id: node ?? '' };
    const made = await manager.call(
      'nodes.upgrade',
      { params, body: { version: '1.1.0' } },
      operator,
    );
    const { id } = made.body;
    await manager.call('rollouts.pause', { params: { id } }, operator);
    await manager.call('rollouts.cancel', { params: { id } });
    const entries = await auditOf(manager);
    expect(entries).toEqual([
      {
        by: 'a operator',
        action: 'node.upgrade.request',
        target: `node ${node}`,
        group: east,
        details: { version: '1.1.0', channel: 'stable', product: 'edge', rollout_id: id },
      },
      {
        by: 'a operator',
        action: 'rollout.pause',
        target: `rollout ${id}`,
        group: east,
        details: { version: '1.1.0', product: 'edge' },
      },
      {
        by: 'first admin',
        action: 'rollout.cancel',
        target: `rollout ${id}`,
        group: east,
        details: { version: '1.1.0', product: 'edge' },
      },
    ]);
    // The trail is for admins of the group.
    expect((await manager.call('audit.list', {}, operator)).status).toBe(403);
  }, 60_000);
});
