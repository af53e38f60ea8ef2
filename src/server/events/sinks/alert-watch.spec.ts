import { expect, it } from 'vitest';
import { SILENT_AFTER_MS, SINK_BEHIND_MS, SINK_CAUGHT_UP_MS } from '../../../core/event/index.js';
import { describeOnBothDatabases } from '../../../../test/support/databases.js';
import { ann, startSinkBench, type SinkBench } from '../../../../test/support/sink-bench.js';
import { listAlerts } from './alerts.store.js';

describeOnBothDatabases('alerts', (openTestDatabase) => {
  const setUp = async () => {
    const database = await openTestDatabase();
    const bench = startSinkBench(database, { idle: true });
    const told = async (after = 0): Promise<string[]> => {
      const { items } = await bench.source.page(after, 1_000, 'all');
      return items
        .filter(({ category }) => category === 'alert')
        .map(({ type, details }) => `${type} ${String(details['rule'])}`);
    };
    const all = { groups: 'all', before: null, limit: 100 } as const;
    const alerts = () => listAlerts(database.read, all);
    return { ...bench, database, told, list: alerts, all };
  };
  const rolledBack = { category: 'upgrade', type: 'upgrade_rolled_back', service: 'edge' } as const;
  const lost = {
    category: 'connection',
    type: 'node_disconnected',
    details: { reason: 'heartbeat_lost' },
  } as const;

  it('are raised once and resolved once, as events among the others', async () => {
    const { add, alerts, told, list } = await setUp();
    await add(rolledBack, rolledBack, { ...rolledBack, nodeId: 'nod_two000' });
    await alerts.look();
    await add(rolledBack);
    await alerts.look();
    expect(await told()).toEqual(['alert_raised rolled_back', 'alert_raised rolled_back']);
    await add({ category: 'upgrade', type: 'upgrade_completed', service: 'edge' });
    await alerts.look();
    await alerts.look();
    expect((await told()).slice(2)).toEqual(['alert_resolved rolled_back']);
    expect((await list()).map(({ nodeId, state }) => [nodeId, state]).sort()).toEqual([
      ['nod_one000', 'resolved'],
      ['nod_two000', 'raised'],
    ]);
    // The same trouble again is another alert.
    await add(rolledBack);
    await alerts.look();
    expect((await told()).at(-1)).toBe('alert_raised rolled_back');
    expect(await list()).toHaveLength(3);
  });

  it('of a broken link are told only when it stays broken', async () => {
    const { add, alerts, told, clock } = await setUp();
    await add(lost, { ...lost, nodeId: 'nod_two000' });
    await alerts.look();
    await add({ category: 'connection', type: 'node_connected' });
    await alerts.look();
    clock.advance(SILENT_AFTER_MS - 5_000);
    await alerts.look();
    expect(await told()).toEqual([]);
    clock.advance(10_000);
    await alerts.look();
    await alerts.look();
    expect(await told()).toEqual(['alert_raised node_silent']);
    await add({ category: 'connection', type: 'node_connected', nodeId: 'nod_two000' });
    await alerts.look();
    expect(await told()).toEqual(['alert_raised node_silent', 'alert_resolved node_silent']);
  });

  it('of a node that is gone are told however its link ended, and not when it said so', async () => {
    const { add, alerts, list, clock } = await setUp();
    const ends = {
      heartbeat_lost: 'raised',
      connection_lost: 'raised',
      going_away: 'raised',
      goodbye_restart: 'raised',
      goodbye_shutdown: null,
      goodbye_decommission: null,
      revoked: null,
    } as const;
    const names = Object.keys(ends) as (keyof typeof ends)[];
    await add(
      ...names.map((reason, at) => ({ ...lost, nodeId: `nod_${at}00000`, details: { reason } })),
    );
    await alerts.look();
    clock.advance(SILENT_AFTER_MS + 5_000);
    await alerts.look();
    const states = new Map((await list()).map(({ nodeId, state }) => [nodeId, state]));
    const found = names.map((reason, at) => [reason, states.get(`nod_${at}00000`) ?? null]);
    expect(Object.fromEntries(found)).toEqual(ends);
  });

  it('are told once by several managers that look at the same time', async () => {
    const { database, add, alerts, told, dataDir } = await setUp();
    const other: SinkBench = startSinkBench(database, { idle: true, dataDir });
    for (let round = 0; round < 5; round += 1) {
      await add({ ...rolledBack, nodeId: `nod_${round}00000` });
      await Promise.all([alerts.look(), other.alerts.look()]);
    }
    await Promise.all([alerts.look(), other.alerts.look()]);
    expect(await told()).toEqual(Array.from({ length: 5 }, () => 'alert_raised rolled_back'));
  });

  it('are resolved by hand, once, and told as that', async () => {
    const { add, alerts, told, list } = await setUp();
    const refused = { category: 'audit', type: 'audit_checkpoint_refused' } as const;
    await add(refused, { ...refused, nodeId: 'nod_two000' });
    await alerts.look();
    const [alert] = await list();
    await alerts.resolve(alert!.id, ann);
    await alerts.resolve(alert!.id, ann);
    expect(await told()).toEqual(['alert_raised audit_mismatch', 'alert_resolved audit_mismatch']);
    await expect(alerts.resolve('alr_none0000', ann)).rejects.toMatchObject({ code: 'not_found' });
  });

  it('of a sink that is behind are raised once, and resolved when it has caught up', async () => {
    const { add, addMany, alerts, told, list, clock, create, database, log, sinks, stop } =
      await setUp();
    const { id } = await create({ config: { url: 'http://127.0.0.1:9/' } });
    const moveTo = (cursor: number) =>
      database.transaction((tx) =>
        tx.run('UPDATE sinks SET cursor_id = ? WHERE id = ?', [cursor, id]),
      );
    await addMany(3);
    clock.advance(SINK_BEHIND_MS - 60_000);
    await alerts.look();
    expect(await told()).toEqual([]);
    clock.advance(61_000);
    await alerts.look();
    clock.advance(60_000);
    await alerts.look();
    expect(await told()).toEqual(['alert_raised sink_behind']);
    expect((await list())[0]).toMatchObject({
      message: 'Sink a sink is behind: 3 events, the oldest waits for 10 min 1 s',
      groupId: 'grp_default',
      severity: 'critical',
    });
    // Nearly there is not there: it would be raised and resolved again and again.
    await add({});
    const { last } = await log.head(database.read);
    await moveTo(last - 1);
    clock.advance(SINK_CAUGHT_UP_MS + 1_000);
    await alerts.look();
    expect(await told()).toEqual(['alert_raised sink_behind']);
    await moveTo(last);
    await alerts.look();
    await alerts.look();
    expect(await told()).toEqual(['alert_raised sink_behind', 'alert_resolved sink_behind']);
    // Behind again; a person who pauses it knows, and one that is deleted is nobody's trouble.
    clock.advance(SINK_BEHIND_MS + 1_000);
    await alerts.look();
    await sinks.pause(id, ann);
    await alerts.look();
    await sinks.resume(id, ann);
    await alerts.look();
    await sinks.remove(id, ann);
    await alerts.look();
    await alerts.look();
    expect((await told()).slice(2)).toEqual(
      ['raised', 'resolved', 'raised', 'resolved'].map((what) => `alert_${what} sink_behind`),
    );
    await stop();
  });

  it('begin where the log stood, and go on over many events', async () => {
    const { add, addMany, alerts, told } = await setUp();
    await addMany(1_300);
    await add(rolledBack);
    await addMany(700);
    await alerts.look();
    expect(await told(2_000)).toEqual(['alert_raised rolled_back']);
  });
});
