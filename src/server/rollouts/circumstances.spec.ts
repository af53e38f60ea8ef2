import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { describeOnBothDatabases } from '../../../test/support/databases.js';
import {
  startRolloutManager,
  type ObedientNode,
  type RolloutManager,
} from '../../../test/support/obedient-node.js';
import { rolloutsOn } from '../../../test/support/rollouts.js';
import { instant } from '../../core/kernel/index.js';
import { FREEZES_MAX, type UpgradeMode } from './circumstances.js';

describeOnBothDatabases('what holds for a group', (openTestDatabase) => {
  const setUp = async () => {
    const manager = rolloutsOn(await openTestDatabase());
    const { book, database } = manager;
    const east = await manager.group('east');
    const hall = await manager.group('hall', east);
    const west = await manager.group('west');
    const now = instant(1_000_000);
    const set = (groupId: string, mode: UpgradeMode, note = '') =>
      database.transaction((tx) => book.set(tx, { groupId, mode, note, setBy: 'ann', setAt: now }));
    const freeze = (id: string, groupId: string, from: number, to: number) =>
      database.transaction((tx) =>
        book.freeze(tx, {
          id,
          groupId,
          name: id,
          from: instant(from),
          to: instant(to),
          createdBy: 'ann',
          createdAt: now,
        }),
      );
    const modes = async () => {
      const all = [];
      for (const id of ['grp_default', east, hall, west]) {
        all.push((await book.of(database.read, id, now)).mode);
      }
      return all;
    };
    return { ...manager, east, hall, west, now, set, freeze, modes };
  };

  it('is told by so many freezes and no more', async () => {
    const { east, west, freeze, book, database } = await setUp();
    for (let i = 0; i < FREEZES_MAX; i += 1) await freeze(`frz_${i}`, east, 1, 2);
    await expect(freeze('frz_more', east, 1, 2)).rejects.toMatchObject({ code: 'conflict' });
    await freeze('frz_west', west, 1, 2);
    await database.transaction((tx) => book.thaw(tx, 'frz_0'));
    await freeze('frz_more', east, 1, 2);
  });

  it('is the most restrictive switch of it and of those above, never of others', async () => {
    const { east, hall, set, modes, book, database, now } = await setUp();
    expect(await modes()).toEqual(['enabled', 'enabled', 'enabled', 'enabled']);
    await set(east, 'suspended', 'audit week');
    expect(await modes()).toEqual(['enabled', 'suspended', 'suspended', 'enabled']);
    await set(hall, 'enabled');
    expect(await modes()).toEqual(['enabled', 'suspended', 'suspended', 'enabled']);
    await set(hall, 'disabled');
    expect(await modes()).toEqual(['enabled', 'suspended', 'disabled', 'enabled']);
    await set('grp_default', 'disabled');
    expect(await modes()).toEqual(['disabled', 'disabled', 'disabled', 'disabled']);
    await set('grp_default', 'enabled');
    await set(east, 'enabled');
    expect(await modes()).toEqual(['enabled', 'enabled', 'disabled', 'enabled']);
    expect(await book.switchOf(database.read, east)).toEqual({
      groupId: east,
      mode: 'enabled',
      note: '',
      setBy: 'ann',
      setAt: now,
    });
  });

  it('is every freeze of it and of those above that is not over', async () => {
    const { east, hall, west, freeze, book, database, now } = await setUp();
    await freeze('frz_000001', east, now + 10, now + 20);
    await freeze('frz_000002', 'grp_default', now - 10, now + 5);
    await freeze('frz_000003', west, now - 10, now + 5);
    await freeze('frz_000004', hall, now - 10, now);
    const of = async (id: string, at = now) =>
      (await book.of(database.read, id, at)).freezes.map((one) => one.name);
    expect(await of(hall)).toEqual(['frz_000002', 'frz_000001']);
    expect(await of(hall, instant(now - 1))).toEqual(['frz_000002', 'frz_000004', 'frz_000001']);
    expect(await of(west)).toEqual(['frz_000002', 'frz_000003']);
    expect(await of('grp_default')).toEqual(['frz_000002']);
    expect(await of('grp_unknown0')).toEqual([]);
    await database.transaction((tx) => book.thaw(tx, 'frz_000002'));
    expect(await of(hall)).toEqual(['frz_000001']);
    expect((await book.freezesOn(database.read, hall)).map((one) => one.id)).toEqual([
      'frz_000004',
    ]);
  });
});

describe.each(['sqlite', 'postgres'] as const)('the switch of upgrades (%s)', (kind) => {
  let manager: RolloutManager;
  let east: string;
  let hall: string;
  let ofEast: ObedientNode;
  let ofHall: ObedientNode;
  let id: string;
  let count = 0;

  beforeAll(async () => {
    manager = await startRolloutManager({ kind });
  }, 60_000);
  afterAll(() => manager.stop());

  /** A rollout of east over one node of its own and one of the hall below, in one wave. */
  async function setUp(over: object = {}): Promise<void> {
    count += 1;
    east = await manager.group(`east ${count}`);
    hall = await manager.group('hall', east);
    ofEast = await manager.join(east, `east-${count}`);
    ofHall = await manager.join(hall, `hall-${count}`);
    const { status, body } = await create(over);
    expect(status, JSON.stringify(body)).toBe(202);
    id = body.id;
  }
  const create = (over: object = {}) =>
    manager.call('rollouts.create', {
      body: {
        product: 'edge',
        version: '1.1.0',
        scope: { group_id: east },
        wave_percents: [100],
        settle_seconds: 0,
        ...over,
      },
    });
  const set = (group: string, mode: UpgradeMode, note = '') =>
    manager.call('groups.set_switch', { params: { id: group }, body: { mode, note } });
  const freezeFor = async (group: string, fromMs: number, toMs: number) => {
    const at = (ms: number) => new Date(manager.clock.now() + ms).toISOString();
    const body = { name: 'fair', from: at(fromMs), to: at(toMs) };
    return (await manager.call('groups.freeze', { params: { id: group }, body })).body;
  };
  const show = async () => (await manager.call('rollouts.show', { params: { id } })).body;
  const why = async (node: string) => {
    const { body } = await manager.call('rollouts.why', { params: { id, node } });
    return body.because.map((one) => one.code);
  };
  const lastAudit = async () => {
    const { body } = await manager.call('audit.list', {
      query: { limit: 1, outcome: 'allowed' },
    });
    const [entry] = body.items;
    return [entry?.action, entry?.target_id, entry?.group_id, entry?.details];
  };

  afterEach(async () => {
    await set(east, 'enabled');
    await set(hall, 'enabled');
  });

  it('that is suspended holds permits and waves, and wakes them when it is enabled', async () => {
    await setUp({ wave_percents: [50, 100] });
    const { body: targets } = await manager.call('rollouts.targets', { params: { id } });
    const first = targets.items[0]?.node_id === ofEast.id ? ofEast : ofHall;
    const second = first === ofEast ? ofHall : ofEast;
    const command = await first.stage();
    const { body } = await set(east, 'suspended', 'audit week');
    expect(body).toMatchObject({
      group_id: east,
      mode: 'suspended',
      effective_mode: 'suspended',
      note: 'audit week',
      set_by: 'first admin',
    });
    expect(await lastAudit()).toEqual([
      'group.switch',
      east,
      east,
      { mode: 'suspended', note: 'audit week' },
    ]);
    expect(await first.ask(command)).toBe('upgrades_suspended');
    expect(await why(first.id)).toContain('upgrades_suspended');
    await set(east, 'enabled');
    const denied = await first.ask(command);
    expect(denied).toBeNull();
    await set(east, 'suspended');
    // Who swaps already goes on to its end; the next wave stays shut.
    await first.tell('upgrade_completed', command);
    await expect.poll(async () => (await show()).waves[0]?.status).toBe('passed');
    await expect
      .poll(async () => (await show()).waves[1])
      .toMatchObject({ status: 'pending', reason: 'upgrades_suspended' });
    expect(second.link.waiting('command')).toBe(0);
    await set(east, 'enabled');
    await second.obey();
    await expect.poll(async () => (await show()).status).toBe('complete');
  }, 30_000);

  it('that is disabled lets nobody begin a rollout, there and below, and shows who set it', async () => {
    await setUp();
    await manager.call('rollouts.cancel', { params: { id } });
    await set(east, 'disabled', 'do not touch');
    const tries = [
      await create(),
      await create({ scope: { group_id: hall } }),
      await manager.call('nodes.upgrade', {
        params: { id: ofHall.id },
        body: { version: '1.1.0' },
      }),
      await manager.call('groups.upgrade', {
        params: { id: hall },
        body: { version: '1.1.0', product: 'edge' },
      }),
    ];
    for (const reply of tries) {
      expect([reply.status, reply.body.code]).toEqual([409, 'upgrades_disabled']);
    }
    const { body } = await manager.call('groups.switch', { params: { id: hall } });
    expect(body).toMatchObject({
      group_id: hall,
      mode: 'enabled',
      effective_mode: 'disabled',
      set_by: null,
      set_at: null,
    });
    await set(east, 'suspended');
    const waits = await create();
    expect([waits.status, waits.body.status, waits.body.reason]).toEqual([
      202,
      'pending',
      'upgrades_suspended',
    ]);
    await manager.call('rollouts.cancel', { params: { id: waits.body.id } });
  }, 30_000);

  it('of a group below holds back the permits of its nodes only', async () => {
    await setUp();
    const [east1, hall1] = [await ofEast.stage(), await ofHall.stage()];
    await set(hall, 'suspended');
    expect(await ofHall.ask(hall1)).toBe('upgrades_suspended');
    expect(await why(ofHall.id)).toEqual(['upgrades_suspended']);
    expect(await why(ofEast.id)).toEqual([]);
    expect(await ofEast.ask(east1)).toBeNull();
    await set(hall, 'disabled');
    expect(await ofHall.ask(hall1)).toBe('upgrades_disabled');
    await set(hall, 'enabled');
    await ofHall.finish(hall1);
    await ofEast.tell('upgrade_completed', east1);
    await expect.poll(async () => (await show()).status).toBe('complete');
  }, 30_000);

  it('has freezes beside it, which hold in their time and say until when', async () => {
    await setUp();
    const command = await ofEast.stage();
    const freeze = await freezeFor(east, -1_000, 600_000);
    expect(freeze).toMatchObject({ group_id: east, name: 'fair', created_by: 'first admin' });
    expect(await lastAudit()).toEqual([
      'group.freeze',
      east,
      east,
      { freeze_id: freeze.id, name: 'fair', from: freeze.from, to: freeze.to },
    ]);
    expect(await ofEast.ask(command)).toBe('frozen');
    const params = { id, node: ofEast.id };
    const { body } = await manager.call('rollouts.why', { params });
    expect(body.because).toMatchObject([{ code: 'frozen', until: freeze.to }]);
    const list = await manager.call('groups.freezes', { params: { id: east } });
    expect(list.body.items).toEqual([freeze]);
    // A freeze has one place: it is not taken away by the way of another group.
    const thaw = (group: string) =>
      manager.call('groups.thaw', { params: { id: group, freeze: freeze.id } });
    expect((await thaw(hall)).status).toBe(404);
    expect((await thaw(east)).status).toBe(204);
    expect((await thaw(east)).status).toBe(404);
    expect(await lastAudit()).toEqual([
      'group.thaw',
      east,
      east,
      { freeze_id: freeze.id, name: 'fair' },
    ]);
    // One that is still to come holds nothing back.
    await freezeFor(east, 600_000, 700_000);
    expect(await ofEast.ask(command)).toBeNull();
    await ofEast.tell('upgrade_completed', command);
  }, 30_000);

  it('lets a rollout that waits for the end of a freeze begin then', async () => {
    await setUp();
    await ofHall.link.next('command');
    await manager.call('rollouts.cancel', { params: { id } });
    const freeze = await freezeFor(hall, -1_000, 3_000);
    const scope = { group_id: hall };
    const waits = await create({ scope });
    expect(waits.body).toMatchObject({
      status: 'pending',
      reason: 'frozen',
      waves: [{ status: 'pending', reason: 'frozen', until: freeze.to }],
    });
    id = waits.body.id;
    await ofHall.obey();
    await expect.poll(async () => (await show()).status).toBe('complete');
  }, 30_000);

  it.each([
    ['2026-01-01T00:00:00Z', '2026-01-01T00:00:00Z', 400],
    ['2026-01-01T00:00:00.500Z', '2026-01-01T00:00:00Z', 400],
    ['2026-01-01T00:00:00Z', '2026-01-01T00:00:00.500Z', 201],
    ['2026-01-02T00:00:00Z', '2026-01-01T00:00:00Z', 400],
    ['soon', '2026-01-01T00:00:00Z', 400],
  ])('takes no freeze that ends before it begins (%s to %s)', async (from, to, status) => {
    await setUp();
    const body = { name: 'fair', from, to };
    const reply = await manager.call('groups.freeze', { params: { id: east }, body });
    expect(reply.status).toBe(status);
  });
});
