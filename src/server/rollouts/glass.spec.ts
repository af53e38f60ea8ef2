import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  startRolloutManager,
  type ObedientNode,
  type RolloutManager,
} from '../../../test/support/obedient-node.js';
import { join, type Browser } from '../../../test/support/people/browser.js';
import { withSecondFactor } from '../../../test/support/people/second-factor.js';
import { DAY_MS, HOUR_MS, MINUTE_MS } from '../../core/kernel/index.js';

const REASON = 'CVE-2026-1234 is being exploited';

describe.each(['sqlite', 'postgres'] as const)('breaking the glass (%s)', (kind) => {
  let manager: RolloutManager;
  let count = 0;
  let group: string;
  let admin: Browser & { readonly id: string };
  let node: ObedientNode;
  beforeAll(async () => {
    manager = await startRolloutManager({ kind, env: { BELLWETHER_TWO_PERSON_ABOVE_NODES: '1' } });
  }, 60_000);
  afterAll(() => manager.stop());

  async function setUp(nodes = 1): Promise<void> {
    count += 1;
    group = await manager.group(`group ${count}`);
    admin = await join(manager, `admin-of-${count}`, { group_id: group, role: 'admin' });
    for (let i = 0; i < nodes; i += 1) node = await manager.join(group, `edge-${count}-${i}`);
  }
  const create = async (over: object = {}): Promise<string> => {
    const { status, body } = await manager.call('rollouts.create', {
      body: {
        product: 'edge',
        version: '1.1.0',
        scope: { group_id: group },
        wave_percents: [100],
        settle_seconds: 0,
        ...over,
      },
    });
    expect(status, JSON.stringify(body)).toBe(202);
    return body.id;
  };
  const freeze = async (hours: number) => {
    const at = (ms: number) => new Date(manager.clock.now() + ms).toISOString();
    const body = { name: 'fair', from: at(-HOUR_MS), to: at(hours * HOUR_MS) };
    await manager.call('groups.freeze', { params: { id: group }, body });
  };
  const breakGlass = (by: Browser, id: string, over: object = {}) =>
    by.call('rollouts.break_glass', { params: { id }, body: { reason: REASON, ...over } });
  const show = async (id: string) => (await manager.call('rollouts.show', { params: { id } })).body;
  const end = (id: string) => manager.call('rollouts.cancel', { params: { id } });

  it('lets a rollout past a freeze for a time, and everybody of the group reads of it', async () => {
    await setUp();
    await freeze(48);
    const id = await create();
    expect(await show(id)).toMatchObject({ reason: 'frozen', break_glass: null });
    const done = await breakGlass(admin, id, { minutes: 30 });
    expect([done.status, done.body['status']]).toEqual([200, 'in_progress']);
    const command = await node.stage();
    expect(await node.ask(command)).toBeNull();

    const { break_glass: glass } = await show(id);
    expect(glass).toMatchObject({ by: admin.id, by_name: `admin-of-${count}`, reason: REASON });
    expect(Date.parse(glass?.until ?? '') - Date.parse(glass?.at ?? '')).toBe(30 * MINUTE_MS);
    const viewer = await join(manager, `viewer-of-${count}`, { group_id: group, role: 'viewer' });
    const read = await viewer.call('events.list', { query: { limit: 1000 } });
    const lines = (read.body['items'] as { type: string }[]).filter(
      ({ type }) => type === 'rollout_glass_broken',
    );
    expect(lines).toMatchObject([
      { severity: 'critical', group_id: group, rollout_id: id, details: { reason: REASON } },
    ]);
    const { body } = await manager.call('audit.list', {
      query: { action: 'rollout.break_glass', target_id: id },
    });
    expect(body.items).toMatchObject([
      { actor_id: admin.id, outcome: 'allowed', group_id: group, details: { reason: REASON } },
    ]);
    await end(id);
  });

  it('holds no longer than it was said to', async () => {
    await setUp();
    await freeze(48);
    const id = await create();
    await breakGlass(admin, id, { minutes: 5 });
    const command = await node.stage();
    manager.clock.advance(5 * MINUTE_MS);
    expect(await node.ask(command)).toBe('frozen');
    const told = await manager.call('rollouts.why', { params: { id, node: node.id } });
    expect(told.body.because.map(({ code }) => code)).toContain('frozen');
    // Again is another decision, with an entry of its own.
    expect((await breakGlass(admin, id, { minutes: 5 })).status).toBe(200);
    expect(await node.ask(command)).toBeNull();
    await end(id);
  });

  it('stands for the second person and for the window, and not for the switch', async () => {
    await setUp(2);
    const id = await create();
    expect((await show(id)).reason).toBe('waiting_for_approval');
    expect((await breakGlass(admin, id)).body['status']).toBe('in_progress');
    await end(id);

    await setUp(2);
    const far = new Date(manager.clock.now() + 3 * DAY_MS);
    const day = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'][far.getUTCDay()];
    const window = { time_zone: 'UTC', days: [day], start: '00:00', duration_minutes: 60 };
    const rings = [{ name: 'all', rest: true, windows: [window] }];
    const ringed = await create({ strategy: 'scheduled', rings });
    await manager.call('rollouts.approve', { params: { id: ringed }, body: { wave: 0 } });
    expect((await breakGlass(admin, ringed)).body['status']).toBe('in_progress');
    const command = await node.stage();
    expect(await node.ask(command)).toBeNull();
    await end(ringed);

    await setUp();
    const switched = await create();
    const params = { id: group };
    await manager.call('groups.set_switch', { params, body: { mode: 'suspended' } });
    const staged = await node.stage();
    await breakGlass(admin, switched);
    expect(await node.ask(staged)).toBe('upgrades_suspended');
    await end(switched);
    const over = await breakGlass(admin, switched);
    expect([over.status, over.body.code]).toEqual([409, 'rollout_wrong_state']);
  });

  it('takes an admin of the group, as a person, with a reason and a fresh second factor', async () => {
    await setUp();
    await freeze(48);
    const id = await create();
    const operator = await join(manager, `op-${count}`, { group_id: group, role: 'operator' });
    const elsewhere = await manager.group(`elsewhere ${count}`);
    const foreign = await join(manager, `far-${count}`, { group_id: elsewhere, role: 'admin' });
    const refusals = [
      await breakGlass(operator, id),
      await breakGlass(foreign, id),
      await breakGlass(admin, id, { reason: 'short' }),
      await breakGlass(admin, id, { reason: `${REASON}\nand more` }),
      await breakGlass(admin, id, { minutes: 241 }),
    ].map(({ body }) => body.code);
    expect(refusals).toEqual([
      'insufficient_role',
      'not_found',
      ...['invalid_request', 'invalid_request', 'invalid_request'],
    ]);
    for (const token of [manager.admin, await manager.token('admin', group)]) {
      const given = { params: { id }, body: { reason: REASON } };
      const byToken = await manager.call('rollouts.break_glass', given, token);
      expect(byToken.body.code).toBe('person_required');
    }
    const factor = await withSecondFactor(manager, admin);
    expect((await breakGlass(admin, id)).body.code).toBe('second_factor_required');
    expect((await breakGlass(admin, id, { code: '000000' })).body.code).toBe('second_factor_wrong');
    expect((await show(id)).break_glass).toBeNull();
    const code = factor.nextCode();
    expect((await breakGlass(admin, id, { code })).status).toBe(200);
    expect((await breakGlass(admin, id, { code })).body.code).toBe('second_factor_wrong');
    await end(id);
    const { body } = await manager.call('audit.list', {
      query: { action: 'rollout.break_glass', target_id: id, outcome: 'refused', limit: 50 },
    });
    const told = body.items.map(({ group_id: of, details }) => [of, details['error_code']]);
    expect(told).toHaveLength(7);
    expect(told.filter(([of]) => of !== group)).toEqual([]);
    expect(JSON.stringify(body)).not.toContain(code);
  });
});
