import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { aService } from '../../../test/support/node-link.js';
import {
  startRolloutManager,
  type ObedientNode,
  type RolloutManager,
} from '../../../test/support/obedient-node.js';
import type { CreateRollout } from '../../protocol/api/index.js';

/** Health reports are written once a second. */
const POLL = { timeout: 10_000 };

type Wanted = Partial<Parameters<RolloutManager['call']>[1]> & Partial<CreateRollout>;

/** Every table and how many rows it has. */
async function rowsOfAll({ database }: RolloutManager): Promise<Record<string, number>> {
  const tables = await database.read.all<{ name: string }>(
    database.kind === 'sqlite'
      ? `SELECT name FROM sqlite_master WHERE type = 'table'`
      : `SELECT table_name AS name FROM information_schema.tables WHERE table_schema = 'public'`,
  );
  const counts: Record<string, number> = {};
  for (const { name } of tables) {
    const row = await database.read.get<{ n: number }>(`SELECT COUNT(*) AS n FROM "${name}"`);
    counts[name] = row?.n ?? -1;
  }
  return counts;
}

describe.each(['sqlite', 'postgres'] as const)('a preview (%s)', (kind) => {
  let manager: RolloutManager;
  let east: string;
  let hall: string;
  const nodes: ObedientNode[] = [];

  beforeAll(async () => {
    manager = await startRolloutManager({ kind });
    east = await manager.group('east');
    hall = await manager.group('hall', east);
    for (const ring of ['a', 'a', 'b', 'b']) {
      nodes.push(await manager.join(east, `east-${nodes.length}`, { labels: { ring } }));
    }
    nodes.push(await manager.join(hall, 'hall', { labels: { ring: 'b' } }));
    nodes.push(await manager.join(hall, 'current', { version: '1.1.0' }));
    await manager.node(hall, 'never seen');
  }, 60_000);
  afterAll(() => manager.stop());

  const wanted = (over: Wanted = {}) => ({
    product: 'edge',
    version: '1.1.0',
    scope: { group_id: east },
    settle_seconds: 60,
    ...over,
  });
  const preview = (over: Wanted = {}) => manager.call('rollouts.preview', { body: wanted(over) });

  it('shows waves, nodes, gates, times, bytes and who is left out, and writes nothing', async () => {
    const before = await rowsOfAll(manager);
    const { status, body } = await preview({ wave_percents: [20, 100] });
    expect(status, JSON.stringify(body)).toBe(200);
    expect(body).toMatchObject({
      product: 'edge',
      version: '1.1.0',
      channel: 'stable',
      strategy: 'staged',
      waves: [
        {
          index: 0,
          name: '20 %',
          ring: '20 %',
          part: 'main',
          size: 1,
          opens_when: [],
          passes_when: [
            '1 min have passed quietly',
            'at most 0 failed, at most 0 away, at most 50 % silent',
          ],
        },
        { index: 1, name: '100 %', size: 4 },
      ],
    });
    const shown = body.waves.flatMap((wave) => wave.nodes);
    expect(shown.map((node) => node.id).sort()).toEqual(
      nodes
        .slice(0, 5)
        .map((node) => node.id)
        .sort(),
    );
    expect(shown.every((node) => node.from_version === '1.0.0')).toBe(true);
    expect(body.skipped.map(({ reason }) => reason).sort()).toEqual([
      'already_current',
      'no_such_service',
    ]);
    // Two waves, each as long as a node takes and a minute of settling.
    const [first, second] = body.waves.map((wave) => Date.parse(wave.opens_at ?? ''));
    const step = (second ?? 0) - (first ?? 0);
    expect(step).toBeGreaterThan(60_000);
    expect(body.duration_seconds).toBe((2 * step) / 1_000);
    expect(body.duration_from).toBe('estimate');
    const releases = await manager.call('releases.list', {});
    const size = releases.body.items.find((one) => one.version === '1.1.0')?.artifacts[0]?.size;
    expect(body.download_bytes).toBe(5 * (size ?? NaN));
    expect(await rowsOfAll(manager)).toEqual(before);
    expect(before['rollouts']).toBeGreaterThanOrEqual(0);
  });

  it.each([
    ['staged', {}],
    ['rolling', { step_percent: 50 }],
    ['canary', { canary_percent: 40 }],
    ['immediate', {}],
    [
      'scheduled',
      {
        rings: [
          { name: 'first', ring: 'a', canary_count: 1 },
          { name: 'others', rest: true, wait_hours: 1 },
        ],
      },
    ],
    [
      'custom',
      { waves: [{ name: 'hall', group_id: 'HALL', approvals: 1 }, { count: 2 }, { rest: true }] },
    ],
    ['immediate', { domain: { label: 'ring', max: 1 } }],
  ] as const)('of a %s rollout is what is then made (%j)', async (strategy, over) => {
    const text = JSON.stringify(over).replace('HALL', hall);
    const asked = { strategy, ...(JSON.parse(text) as Wanted) };
    const seen = await preview(asked);
    expect(seen.status, JSON.stringify(seen.body)).toBe(200);
    const made = await manager.call('rollouts.create', { body: wanted(asked) });
    expect(made.status, JSON.stringify(made.body)).toBe(202);
    const shape = (waves: readonly { name: string; ring: string; part: string; size: number }[]) =>
      waves.map(({ name, ring, part, size }) => ({ name, ring, part, size }));
    expect(shape(made.body.waves)).toEqual(shape(seen.body.waves));
    expect(made.body.skipped).toEqual(seen.body.skipped);
    await manager.call('rollouts.cancel', { params: { id: made.body.id } });
  });

  it('of waves that wait for people knows no time', async () => {
    const { body } = await preview({ strategy: 'canary' });
    expect(body.waves.map((wave) => [wave.opens_at === null, wave.opens_when])).toEqual([
      [false, []],
      [true, ['1 approval(s)']],
    ]);
    expect(body.duration_seconds).toBeNull();
  });

  it('is refused for the same reasons as the rollout', async () => {
    const group = await manager.group('empty');
    const refusals: [Wanted, number, string][] = [
      [{ version: '9.9.9' }, 404, 'not_found'],
      [{ scope: { group_id: group } as never }, 409, 'rollout_empty'],
      [{ wave_percents: [50, 10, 100] }, 400, 'rollout_plan_invalid'],
    ];
    for (const [over, status, code] of refusals) {
      const replies = [
        await preview(over),
        await manager.call('rollouts.create', { body: wanted(over) }),
      ];
      for (const reply of replies) expect([reply.status, reply.body.code]).toEqual([status, code]);
    }
  });

  it('goes by how long upgrades of the product took here, when enough are known', async () => {
    const own = await manager.group('history');
    const scope = { group_id: own };
    const upgraded: ObedientNode[] = [];
    for (let i = 0; i < 6; i += 1) upgraded.push(await manager.join(own, `known ${i}`));
    const made = await manager.call('rollouts.create', {
      body: { product: 'edge', version: '1.1.0', scope, strategy: 'immediate' },
    });
    const seen = async () => {
      const { body } = await preview({ wave_percents: [100], settle_seconds: 0 });
      return [body.duration_from, body.duration_seconds];
    };
    const [late, byHand, ...others] = upgraded;
    // One comes to the version by other hands: that says nothing of how long a command takes.
    byHand?.link.send({
      type: 'health',
      services: [aService({ version: '1.1.0' })],
      disk_free_bytes: 1,
      spool_backlog: 0,
    });
    const succeeded = async () => {
      const { body } = await manager.call('rollouts.show', { params: { id: made.body.id } });
      return body.waves[0]?.counts.succeeded;
    };
    await expect.poll(succeeded, POLL).toBe(1);
    manager.clock.advance(40_000);
    for (const node of others) await node.obey();
    expect(await seen()).toEqual(['estimate', 150]);
    manager.clock.advance(600_000);
    await late?.obey();
    const [from, seconds] = await seen();
    expect(from).toBe('history');
    expect(seconds).toBeGreaterThanOrEqual(40);
    expect(seconds).toBeLessThan(60);
  }, 30_000);

  it('of rings that are independent gives each its own time', async () => {
    const rings = [
      { name: 'first', ring: 'a', canary_count: 1 },
      { name: 'others', rest: true },
    ] as never;
    const opens = async (order: 'independent' | 'sequential') => {
      const { body } = await preview({ strategy: 'scheduled', rings, order });
      const times = body.waves.map((wave) => Date.parse(wave.opens_at ?? ''));
      return times.map((at) => at > (times[0] ?? 0));
    };
    expect(await opens('sequential')).toEqual([false, true, true]);
    expect(await opens('independent')).toEqual([false, true, false]);
  });
});
