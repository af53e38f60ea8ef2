import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  startRolloutManager,
  type ObedientNode,
  type RolloutManager,
} from '../../../test/support/obedient-node.js';

describe.each(['sqlite', 'postgres'] as const)('the report of a rollout (%s)', (kind) => {
  let manager: RolloutManager;
  let east: string;
  let count = 0;
  const nodes = new Map<string, ObedientNode>();

  beforeAll(async () => {
    manager = await startRolloutManager({ kind });
  }, 60_000);
  afterAll(() => manager.stop());

  /** Three nodes of ring a, one of which is a canary, and one of ring b, an hour later. */
  async function setUp(): Promise<string> {
    east = await manager.group(`east ${(count += 1)}`);
    for (const ring of ['a', 'a', 'a', 'b']) {
      const node = await manager.join(east, `edge-${nodes.size}`, { labels: { ring } });
      nodes.set(node.id, node);
    }
    const { status, body } = await manager.call('rollouts.create', {
      body: {
        product: 'edge',
        version: '1.1.0',
        scope: { group_id: east },
        strategy: 'scheduled',
        settle_seconds: 0,
        start_version: '1.0.0',
        done_percent: 100,
        rings: [
          { name: 'first', ring: 'a', canary_count: 1 },
          { name: 'others', rest: true, wait_hours: 1 },
        ],
      },
    });
    expect(status, JSON.stringify(body)).toBe(202);
    return body.id;
  }
  const report = async (id: string) =>
    (await manager.call('rollouts.report', { params: { id } })).body;
  const why = async (id: string, node: string) => {
    const { body } = await manager.call('rollouts.why', { params: { id, node } });
    return body.because.map(({ code, message }) => `${code}: ${message}`);
  };
  const inWave = async (id: string, wave: number): Promise<ObedientNode[]> => {
    const { body } = await manager.call('rollouts.targets', { params: { id } });
    return body.items.flatMap((one) => (one.wave === wave ? (nodes.get(one.node_id) ?? []) : []));
  };

  it('tells each ring: where it stands and why, how many, and what runs there', async () => {
    const id = await setUp();
    expect(await report(id)).toEqual({
      id,
      status: 'in_progress',
      reason: 'wave_open',
      mode: 'enabled',
      start_version: '1.0.0',
      target_version: '1.1.0',
      rings: [
        {
          ring: 'first',
          state: 'canary',
          reason: 'wave_open',
          until: null,
          started_at: expect.any(String) as unknown,
          initial_count: 3,
          present_count: 3,
          up_to_date_count: 0,
          failed_count: 0,
          versions: { '1.0.0': 3 },
        },
        {
          ring: 'others',
          state: 'unstarted',
          reason: 'previous_waves_not_done',
          until: null,
          started_at: null,
          initial_count: 1,
          present_count: 1,
          up_to_date_count: 0,
          failed_count: 0,
          versions: { '1.0.0': 1 },
        },
      ],
    });
    const [canary] = await inWave(id, 0);
    await canary?.obey();
    await expect.poll(async () => (await report(id)).rings[0]?.state).toBe('active');
    const [one, two] = await inWave(id, 1);
    await one?.obey();
    await two?.obey('upgrade_rolled_back');
    const [ring, last] = (await report(id)).rings;
    expect(ring).toMatchObject({
      state: 'paused',
      up_to_date_count: 2,
      failed_count: 1,
      versions: { '1.0.0': 1, '1.1.0': 2 },
    });
    expect(last?.state).toBe('unstarted');
    await manager.call('rollouts.mark_done', { params: { id }, body: { wave: 1 } });
    await manager.call('rollouts.skip_wave', { params: { id }, body: { wave: 2 } });
    expect((await report(id)).rings.map(({ state }) => state)).toEqual(['done', 'skipped']);
    await manager.call('rollouts.cancel', { params: { id } });
  }, 30_000);

  it('tells of a ring that is paused, skipped or done why, since when, and what is there', async () => {
    const id = await setUp();
    const startedAt = (await report(id)).rings[0]?.started_at;
    const { body } = await manager.call('rollouts.show', { params: { id } });
    expect(startedAt).toBe(body.waves[0]?.opened_at);
    expect(startedAt).not.toBeNull();
    const [canary] = await inWave(id, 0);
    await canary?.obey('upgrade_rolled_back');
    await canary?.link.close();
    await expect.poll(async () => (await report(id)).rings[0]?.present_count).toBe(2);
    const first = {
      ring: 'first',
      until: null,
      started_at: startedAt,
      initial_count: 3,
      present_count: 2,
      up_to_date_count: 0,
      failed_count: 1,
      versions: { '1.0.0': 3 },
    };
    const others = {
      ring: 'others',
      until: null,
      started_at: null,
      initial_count: 1,
      present_count: 1,
      up_to_date_count: 0,
      failed_count: 0,
      versions: { '1.0.0': 1 },
    };
    const paused = await report(id);
    expect([paused.status, paused.reason]).toEqual(['paused', 'wave_failed']);
    expect(paused.rings).toEqual([
      { ...first, state: 'paused', reason: 'wave_failed' },
      { ...others, state: 'unstarted', reason: 'previous_waves_not_done' },
    ]);
    // The canary is called done: it is not tried again, and the others follow.
    await manager.call('rollouts.mark_done', { params: { id }, body: { wave: 0 } });
    await manager.call('rollouts.skip_wave', { params: { id }, body: { wave: 2 } });
    expect((await report(id)).rings[1]).toEqual({
      ...others,
      state: 'skipped',
      reason: 'skipped_by_operator',
    });
    await manager.call('rollouts.resume', { params: { id } });
    const rest = await inWave(id, 1);
    expect((await report(id)).rings[0]).toEqual({ ...first, state: 'active', reason: 'wave_open' });
    for (const node of rest) await node.obey();
    await expect.poll(async () => (await report(id)).status, { timeout: 10_000 }).toBe('complete');
    expect((await report(id)).rings[0]).toEqual({
      ...first,
      state: 'done',
      reason: 'wave_passed',
      up_to_date_count: 2,
      versions: { '1.0.0': 1, '1.1.0': 2 },
    });
  }, 30_000);

  it('calls a ring unstarted of which only the canaries were skipped', async () => {
    const id = await setUp();
    await manager.call('rollouts.cancel', { params: { id } });
    const { body } = await manager.call('rollouts.create', {
      body: {
        product: 'edge',
        version: '1.1.0',
        scope: { group_id: east },
        strategy: 'scheduled',
        apply_after: new Date(manager.clock.now() + 3_600_000).toISOString(),
        rings: [{ name: 'first', ring: 'a', canary_count: 1 }],
      },
    });
    const params = { id: body.id };
    await manager.call('rollouts.pause', { params });
    await manager.call('rollouts.skip_wave', { params, body: { wave: 0 } });
    expect((await report(body.id)).rings).toMatchObject([
      { state: 'unstarted', started_at: null, initial_count: 3 },
    ]);
    await manager.call('rollouts.cancel', { params });
  }, 30_000);

  it('names the switch that holds, and counts who is here', async () => {
    const id = await setUp();
    const params = { id: east };
    await manager.call('groups.set_switch', { params, body: { mode: 'suspended' } });
    const [canary] = await inWave(id, 0);
    await canary?.link.close();
    await expect.poll(async () => (await report(id)).rings[0]?.present_count).toBe(2);
    expect((await report(id)).mode).toBe('suspended');
    await manager.call('rollouts.cancel', { params: { id } });
  }, 30_000);

  it('goes with an answer why each node is not there yet, outermost first', async () => {
    const id = await setUp();
    const [canary] = await inWave(id, 0);
    const [other] = await inWave(id, 1);
    const [late] = await inWave(id, 2);
    if (!canary || !other || !late) throw new Error('no nodes');
    expect(await why(id, canary.id)).toEqual([]);
    expect(await why(id, late.id)).toEqual([
      'wave_open: wave 1 comes first: 1 of 1 nodes to go',
      'previous_waves_not_done: wave 3 (others) is not open',
    ]);
    const command = await canary.stage();
    await manager.call('rollouts.pause', { params: { id } });
    expect(await why(id, canary.id)).toEqual(['paused_by_operator: the rollout is paused']);
    expect(await canary.ask(command)).toBe('rollout_not_running');
    await manager.call('rollouts.resume', { params: { id } });
    await canary.finish(command, 'upgrade_rolled_back');
    expect(await why(id, canary.id)).toEqual([
      'wave_failed: the rollout is paused',
      'upgrade_rolled_back: the target is rolled back (upgrade_unhealthy)',
    ]);
    await manager.call('rollouts.cancel', { params: { id } });
    expect(await why(id, other.id)).toContain('cancelled_by_operator: the rollout is cancelled');
  }, 30_000);
});
