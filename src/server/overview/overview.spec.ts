import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { eventually } from '../../../test/support/fleet.js';
import {
  startRolloutManager,
  type ObedientNode,
  type RolloutManager,
} from '../../../test/support/obedient-node.js';
import { CELL_LETTERS } from '../../core/rollout/index.js';
import type { Answer } from '../../protocol/api/index.js';
import { FleetHistory } from '../fleet/index.js';
import { summaryOf } from './node-link.js';
import { whyNone } from './node-why.js';

type Cells = Answer<'rollouts.cells'>;

/** What a page keeps: cells by node, changes put over what it has. */
class Picture {
  readonly cells = new Map<string, string>();
  version: number | undefined;

  take({ version, whole, ids, waves, states }: Cells): void {
    if (whole) this.cells.clear();
    ids.forEach((id, i) => this.cells.set(id, `${waves[i]} ${states[i]}`));
    this.version = version;
  }
}

describe.each(['sqlite', 'postgres'] as const)('the overview (%s)', (kind) => {
  let manager: RolloutManager;
  let group: string;
  let viewer: string;
  let stranger: string;
  let rollout: string;
  const nodes: ObedientNode[] = [];

  const cells = async (since?: number): Promise<Cells> => {
    const query = since === undefined ? {} : { since };
    return (await manager.call('rollouts.cells', { params: { id: rollout }, query })).body;
  };
  const needs = async (token = manager.admin) =>
    (await manager.call('needs.list', { query: {} }, token)).body;

  beforeAll(async () => {
    manager = await startRolloutManager({ kind });
    group = await manager.group('edges');
    viewer = await manager.token('viewer', group);
    stranger = await manager.token('admin', await manager.group('others'));
    for (let i = 0; i < 4; i += 1) nodes.push(await manager.join(group, `edge-${i}`));
    const { status, body } = await manager.call('rollouts.create', {
      body: {
        product: 'edge',
        version: '1.1.0',
        scope: { group_id: group },
        wave_percents: [50, 100],
        settle_seconds: 0,
      },
    });
    expect(status, JSON.stringify(body)).toBe(202);
    rollout = body.id;
  }, 90_000);
  afterAll(() => manager.stop());

  it('draws each node as a letter, and what changed since is all that changed', async () => {
    const picture = new Picture();
    const look = async (): Promise<void> => {
      picture.take(await cells(picture.version));
      const { items } = (
        await manager.call('rollouts.targets', { params: { id: rollout }, query: { limit: 500 } })
      ).body;
      const letter = (state: string) =>
        Object.entries(CELL_LETTERS).find(([, name]) => name === state)?.[0];
      const whole = new Map(items.map((one) => [one.node_id, `${one.wave} ${letter(one.state)}`]));
      expect(new Map(picture.cells)).toEqual(whole);
    };
    await look();
    expect(picture.cells.size).toBe(4);
    const first = nodes.filter(({ link }) => link.waiting('command') > 0);
    expect(first.length).toBeGreaterThanOrEqual(1);
    const [one] = first;
    await one?.obey('upgrade_rolled_back');
    await eventually(async () => {
      const { body } = await manager.call('rollouts.show', { params: { id: rollout } });
      return body.status === 'paused';
    });
    await look();
    const same = await cells(picture.version);
    expect(same).toMatchObject({ whole: false, ids: [], states: '', version: picture.version });
    await manager.call('rollouts.resume', { params: { id: rollout } });
    await look();
    await manager.call('rollouts.pause', { params: { id: rollout } });
    await look();
    expect((await cells(10 ** 9)).whole).toBe(true);
    const hidden = await manager.call(
      'rollouts.cells',
      { params: { id: rollout }, query: {} },
      stranger,
    );
    expect(hidden.status).toBe(404);
  });

  it('lists what waits for a person, to whoever sees it', async () => {
    const { items, counts } = await needs();
    expect(counts).toMatchObject({ rollout_paused: 1, upgrade_failed: 1 });
    const paused = items.find((one) => one.kind === 'rollout_paused');
    expect(paused).toMatchObject({
      code: 'paused_by_operator',
      target: { kind: 'rollout', id: rollout, path: `/rollouts/${rollout}` },
      group_id: group,
    });
    const failed = items.find((one) => one.kind === 'upgrade_failed');
    expect(failed).toMatchObject({ code: 'upgrade_unhealthy', count: 1 });
    expect(failed?.fix).not.toBe('');
    expect((await needs(viewer)).counts).toEqual({ rollout_paused: 1, upgrade_failed: 1 });
    expect((await needs(stranger)).items).toEqual([]);
    const asked = await manager.call('needs.list', { query: { group_id: group } }, stranger);
    expect(asked.status).toBe(404);
  });

  it('lists tokens that end soon, sinks that fail and waves that wait, each with its place', async () => {
    const made = await manager.call('tokens.create', {
      body: { name: 'short', role: 'viewer', group_id: group, expires_in_days: 3 },
    });
    const sink = await manager.call('sinks.create', {
      body: { name: 's', kind: 'webhook', group_id: group, config: { url: 'http://127.0.0.1:9/' } },
    });
    await manager.call('sinks.pause', { params: { id: sink.body.id } });
    const other = await manager.group('canaries');
    await manager.join(other, 'canary-0');
    await manager.join(other, 'canary-1');
    const waits = await manager.call('rollouts.create', {
      body: {
        product: 'edge',
        version: '1.1.0',
        scope: { group_id: other },
        strategy: 'custom',
        waves: [{ rest: true, approvals: 1, settle_seconds: 0 }],
      },
    });
    expect(waits.status, JSON.stringify(waits.body)).toBe(202);
    const { items } = await needs();
    const places = items.map(({ kind: of, target }) => `${of} ${target.id}`);
    expect(places).toContain(`token_expiring ${made.body.id}`);
    expect(places).toContain(`sink_paused ${sink.body.id}`);
    expect(places).toContain(`approval_waiting ${waits.body.id}`);
    const admin = await manager.token('admin', group);
    const seen = (await needs(admin)).items.map(({ kind: of, target }) => `${of} ${target.id}`);
    expect(seen).toContain(`sink_paused ${sink.body.id}`);
    expect(seen).not.toContain(`token_expiring ${made.body.id}`);
    expect(seen.filter((place) => place.startsWith('approval_waiting'))).toEqual([]);
    const open = (await needs(viewer)).items.filter(({ kind: of }) => of === 'token_expiring');
    expect(open).toEqual([]);
  });

  it('tells the upgrades of a node step by step, and nothing to strangers', async () => {
    const [failed] = (
      await manager.call('nodes.list', { query: { upgrade: 'failed', group_id: group } })
    ).body.items;
    const params = { id: failed?.id ?? '' };
    expect(failed?.upgrade).toEqual({ state: 'failed', code: 'upgrade_unhealthy' });
    const { body } = await manager.call('nodes.history', { params }, viewer);
    expect(body.next_cursor).toBeNull();
    const [upgrade] = body.items;
    expect(upgrade).toMatchObject({ rollout_id: rollout, to_version: '1.1.0' });
    expect(upgrade?.steps.map(({ type }) => type)).toEqual([
      'upgrade_started',
      'upgrade_staged',
      'upgrade_probation',
      'upgrade_rolled_back',
    ]);
    expect(upgrade?.steps.at(-1)?.error_code).toBe('upgrade_unhealthy');
    for (const name of ['nodes.history', 'nodes.why', 'nodes.link'] as const) {
      expect((await manager.call(name, { params }, stranger)).status).toBe(404);
    }
  });

  it('says why a node is not newer, in a rollout and without one', async () => {
    const led = await manager.call('nodes.why', { params: { id: nodes[0]?.id ?? '' } });
    expect(led.body.services[0]).toMatchObject({ rollout_id: rollout, newest: '1.1.0' });
    expect(led.body.services[0]?.because.map(({ code }) => code)).toContain('paused_by_operator');
    const alone = await manager.join(await manager.group('alone'), 'alone');
    const free = await manager.call('nodes.why', { params: { id: alone.id } });
    expect(free.body.services[0]).toMatchObject({ rollout_id: null, state: null });
    expect(free.body.services[0]?.because.map(({ code }) => code)).toEqual(['no_rollout']);
    const link = await manager.call('nodes.link', { params: { id: alone.id } });
    expect(link.body).toMatchObject({ online: true, connects: 1, troubled: 0, quality: 'good' });
  });

  it('counts the fleet, filters it by what is behind, and keeps strangers out', async () => {
    const summary = (await manager.call('fleet.summary', { query: { group_id: group } })).body;
    expect(summary).toMatchObject({ nodes: 4, by_status: { online: 4 }, outdated: 4 });
    expect(summary.products[0]).toMatchObject({ product: 'edge', newest: '1.1.0' });
    expect(summary.products[0]?.versions[0]).toMatchObject({ version: '1.0.0', outdated: true });
    await manager.manager.app.get(FleetHistory).count();
    const past = (await manager.call('fleet.history', { query: { product: 'edge' } }, viewer)).body;
    expect(past.series[0]?.nodes.at(-1)).toBe(4);
    const page = (
      await manager.call('nodes.list', {
        query: { outdated: 'true', group_id: group, total: 'true', sort: 'name', limit: 3 },
      })
    ).body;
    expect(page.total).toBe(4);
    const rest = await manager.call('nodes.list', {
      query: { outdated: 'true', group_id: group, sort: 'name', cursor: page.next_cursor ?? '' },
    });
    expect([...page.items, ...rest.body.items].map(({ name }) => name)).toEqual([
      'edge-0',
      'edge-1',
      'edge-2',
      'edge-3',
    ]);
    const label = ['site=fra', 'rack=1'];
    const none = await manager.call('nodes.list', { query: { label, total: 'true' } });
    expect(none.body).toMatchObject({ items: [], total: 0 });
    const wrong = await manager.call('nodes.list', {
      query: { sort: 'status', cursor: page.next_cursor ?? '' },
    });
    expect([wrong.status, wrong.body.code]).toEqual([400, 'invalid_request']);
    const bare = await manager.call('nodes.list', { query: { sort: 'last_seen_at' } });
    expect([bare.status, bare.body.code]).toEqual([400, 'invalid_request']);
    const strange = (await manager.call('fleet.summary', { query: {} }, stranger)).body;
    expect(strange).toMatchObject({ nodes: 0, products: [] });
  });

  it('counts the nodes of each group that the caller may see, and tells what holds there', async () => {
    const below = await manager.group('below', group);
    await manager.node(below, 'edge-below');
    const body = { mode: 'suspended', note: 'inventory' } as const;
    const numbers = async (token: string) =>
      (await manager.call('fleet.groups', {}, token)).body.items;
    expect(await numbers(viewer)).toEqual([
      { group_id: group, nodes: 4, nodes_with_below: 5, upgrades: 'enabled' },
      { group_id: below, nodes: 1, nodes_with_below: 1, upgrades: 'enabled' },
    ]);
    await manager.call('groups.set_switch', { params: { id: below }, body });
    expect((await numbers(viewer)).map(({ upgrades }) => upgrades)).toEqual([
      'enabled',
      'suspended',
    ]);
    expect((await numbers(stranger)).map(({ nodes }) => nodes)).toEqual([0]);
    const all = await numbers(manager.admin);
    expect(all[0]).toMatchObject({ group_id: 'grp_default', nodes: 0 });
    expect(all[0]?.nodes_with_below).toBeGreaterThanOrEqual(5);
  });
});

describe('the quality of a link', () => {
  const end = (reason: string, severity: 'info' | 'warning') => ({
    type: 'node_disconnected',
    severity,
    details: JSON.stringify({ reason }),
  });

  it('is bad when it broke often, unsteady when it broke, unknown without a link', () => {
    const broken = end('heartbeat_lost', 'warning');
    const broke = Array.from({ length: 12 }, () => broken);
    expect(summaryOf(broke, true)).toMatchObject({
      quality: 'bad',
      troubled: 12,
      reasons: [{ reason: 'heartbeat_lost', count: 12 }],
    });
    expect(summaryOf([broken], true).quality).toBe('unsteady');
    expect(summaryOf([end('goodbye', 'info')], true).quality).toBe('good');
    expect(summaryOf([], false).quality).toBe('unknown');
  });
});

describe('a service that no rollout has', () => {
  it('names everything that would hold a rollout back', async () => {
    const service = {
      product: 'edge',
      version: '1.0.0',
      by_hand: { enabled: false, pin: '1.0.0' },
      outcome: null,
    };
    const node = { status: 'offline', upgrader: 'none' };
    const why = whyNone(node as never, service as never, { newest: '1.1.0', mode: 'suspended' });
    expect(why.map(({ code }) => code)).toEqual([
      'upgrades_suspended',
      'node_offline',
      'no_upgrader',
      'disabled_by_hand',
      'pinned_by_hand',
      'no_rollout',
    ]);
    expect(whyNone(node as never, service as never, { newest: '1.0.0', mode: 'enabled' })).toEqual(
      [],
    );
  });
});
