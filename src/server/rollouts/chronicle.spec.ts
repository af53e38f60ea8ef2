import { afterEach, describe, expect, it } from 'vitest';
import { makePostgresDatabase, makeTempDir } from '../../../test/support/databases.js';
import { eventually, makeSigningKey, publish } from '../../../test/support/fleet.js';
import { startTestManager, type TestManager } from '../../../test/support/manager.js';
import { connectNode, type NodeLink } from '../../../test/support/node-link.js';
import type { NodeEvent, NodeEventType } from '../../protocol/node/index.js';

const cleanUps: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

/** A node that does as it is told, over its real link. */
class Obedient {
  readonly #link: NodeLink;
  #seq = 0;
  constructor(link: NodeLink) {
    this.#link = link;
  }
  get id(): string {
    return this.#link.nodeId;
  }

  async #tell(type: NodeEventType, command_id: string, code?: string): Promise<void> {
    const event: NodeEvent = {
      seq: (this.#seq += 1),
      at: new Date().toISOString(),
      type,
      category: 'upgrade',
      severity: code === undefined ? 'info' : 'critical',
      service: 'edge',
      command_id,
      message: type,
      details: code === undefined ? {} : { error_code: code },
    };
    this.#link.send({ type: 'events', spool_id: 'spl_000001', events: [event] });
    const ack = await this.#link.next('events_ack');
    expect(ack.through).toBe(this.#seq);
  }

  /** Takes the next command and ends it as wanted. */
  async obey(end: 'upgrade_completed' | 'upgrade_rolled_back'): Promise<void> {
    const { command } = await this.#link.next('command');
    const { command_id } = command;
    this.#link.send({ type: 'ack', command_id, result: 'accepted' });
    await this.#tell('upgrade_started', command_id);
    await this.#tell('upgrade_staged', command_id);
    const service = 'edge';
    this.#link.send({ type: 'permit_request', command_id, service, version: '1.1.0' });
    expect((await this.#link.next('permit')).command_id).toBe(command_id);
    await this.#tell('upgrade_probation', command_id);
    const code = end === 'upgrade_rolled_back' ? 'upgrade_unhealthy' : undefined;
    await this.#tell(end, command_id, code);
  }
}

async function setUp(kind: 'sqlite' | 'postgres', nodeCount: number) {
  const env: Record<string, string> = {};
  if (kind === 'postgres') {
    const made = await makePostgresDatabase();
    cleanUps.push(() => made.drop());
    env['DATABASE_URL'] = made.url;
  }
  const manager = await startTestManager(env);
  cleanUps.push(() => manager.stop());
  const dir = makeTempDir();
  cleanUps.push(() => dir.remove());
  const key = makeSigningKey();
  await publish(manager, { folder: dir.path, version: '1.1.0', sequence: 1, key });
  const east = await manager.group('east');
  const nodes = new Map<string, Obedient>();
  for (let index = 0; index < nodeCount; index += 1) {
    const link = await connectNode(manager, await manager.node(east, `edge-${index}`));
    nodes.set(link.nodeId, new Obedient(link));
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
      ['wave_opened', 'info', 'Wave 1 of 2 opened: edge 1.1.0 for 1 node'],
      ['wave_settling', 'info', 'Wave 1 of 2 is done; it settles for 1 s'],
      ['wave_passed', 'info', 'Wave 1 of 2 passed its gate'],
      ['wave_opened', 'info', 'Wave 2 of 2 opened: edge 1.1.0 for 2 nodes'],
      ['wave_settling', 'info', 'Wave 2 of 2 is done; it settles for 1 s'],
      ['wave_passed', 'info', 'Wave 2 of 2 passed its gate'],
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
      query: { rollout_id: id, severity: 'critical', limit: 1000 },
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
