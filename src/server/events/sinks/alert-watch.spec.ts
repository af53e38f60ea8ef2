import { expect, it } from 'vitest';
import { SILENT_AFTER_MS } from '../../../core/event/index.js';
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

  it('begin where the log stood, and go on over many events', async () => {
    const { add, addMany, alerts, told } = await setUp();
    await addMany(1_300);
    await add(rolledBack);
    await addMany(700);
    await alerts.look();
    expect(await told(2_000)).toEqual(['alert_raised rolled_back']);
  });
});
