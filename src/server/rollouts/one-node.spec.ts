import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { eventually } from '../../../test/support/fleet.js';
import { aService, connectNode } from '../../../test/support/node-link.js';
import {
  startRolloutManager,
  type ObedientNode,
  type RolloutManager,
} from '../../../test/support/obedient-node.js';
import type { UpgradeBinary } from '../../protocol/node/index.js';
import { Links } from '../gateway/index.js';

describe.each(['sqlite', 'postgres'] as const)('the upgrade of one node (%s)', (kind) => {
  let manager: RolloutManager;
  let east: string;
  let count = 0;

  beforeAll(async () => {
    manager = await startRolloutManager({ kind, env: { BELLWETHER_HEARTBEAT_MS: '600000' } });
    east = await manager.group('east');
  }, 60_000);
  afterAll(() => manager.stop());

  const join = (): Promise<ObedientNode> => manager.join(east, `edge-${(count += 1)}`);
  const upgrade = (id: string, over: object = {}) =>
    manager.call('nodes.upgrade', { params: { id }, body: { version: '1.1.0', ...over } });
  const target = async (id: string) =>
    (await manager.call('rollouts.targets', { params: { id } })).body.items[0];

  it('may say which version it expects there: whoever decided on older news is told', async () => {
    const node = await join();
    const late = await upgrade(node.id, { expected_version: '0.9.0' });
    expect([late.status, late.body.code]).toEqual([409, 'upgrade_version_changed']);
    expect(late.body.context).toEqual({ current_version: '1.0.0' });
    expect((await upgrade(node.id, { expected_version: '1.0.0' })).status).toBe(202);
    await node.obey();
    const again = await upgrade(node.id, { version: '1.0.0', expected_version: '1.0.0' });
    expect(again.body.context).toEqual({ current_version: '1.1.0' });
  });

  it('is asked for twice, at one moment or later, and made once', async () => {
    const node = await join();
    const both = await Promise.all([upgrade(node.id), upgrade(node.id)]);
    expect(both.map((reply) => reply.status).sort()).toEqual([202, 409]);
    const third = await upgrade(node.id);
    expect([third.status, third.body.code]).toEqual([409, 'upgrade_already_pending']);
    expect(third.body.context).toEqual({ node_ids: [node.id] });
    await node.obey();
    await eventually(async () => {
      expect((await upgrade(node.id, { version: '1.0.0' })).status).toBe(202);
    });
  });

  /** As another process would write it, which holds the link of the node. */
  const write = (id: string, status: 'online' | 'offline') =>
    manager.database.transaction((tx) =>
      tx.run('UPDATE nodes SET status = ?, last_seen_at = ? WHERE id = ?', [
        status,
        manager.clock.now(),
        id,
      ]),
    );
  const stored = async (id: string): Promise<string | undefined> => {
    const sql = 'SELECT status FROM nodes WHERE id = ?';
    return (await manager.database.read.get<{ status: string }>(sql, [id]))?.status;
  };

  it('waits for a node that is away, unless it must not', async () => {
    const known = await manager.node(east, 'away');
    const link = await connectNode(manager, known);
    await link.close();
    await expect.poll(() => stored(known.id)).toBe('offline');
    const only = await upgrade(known.id, { only_online: true });
    expect([only.status, only.body.code]).toEqual([409, 'node_offline']);
    const waits = await upgrade(known.id);
    expect(waits.status).toBe(202);
    const why = await manager.call('rollouts.why', {
      params: { id: waits.body.id, node: known.id },
    });
    expect(why.body.because.map((one) => one.code)).toEqual(['node_offline']);
    const online = await join();
    expect((await upgrade(online.id, { only_online: true })).status).toBe(202);
  });

  it('must not wait for a node that has just gone, though that is not yet written', async () => {
    const node = await join();
    const asked = await manager.database.transaction(async (tx) => {
      // Nobody else writes this row, and on SQLite none at all, until this has ended.
      await tx.run('UPDATE nodes SET name = name WHERE id = ?', [node.id]);
      await node.link.close();
      await expect.poll(() => manager.manager.app.get(Links).online(node.id)).toBe(false);
      expect(await stored(node.id)).toBe('online');
      const reply = upgrade(node.id, { only_online: true });
      // Decided meanwhile; on SQLite the answer waits until the refusal is audited.
      await Promise.race([reply, sleep(500)]);
      return { reply };
    });
    const only = await asked.reply;
    expect([only.status, only.body.code]).toEqual([409, 'node_offline']);
    await expect.poll(() => stored(node.id)).toBe('offline');
  });

  it('goes by the link that is here, whatever is written', async () => {
    const node = await join();
    await write(node.id, 'offline');
    expect((await upgrade(node.id, { only_online: true })).status).toBe(202);
  });

  it('is over when its time is: skipped as expired, the command called back', async () => {
    const node = await join();
    const { body } = await upgrade(node.id, { expires_after_seconds: 120 });
    const { command } = await node.link.next('command');
    const lateMs = Date.parse((command as UpgradeBinary).expires_at) - Date.parse(body.created_at);
    expect(Math.abs(lateMs - 120_000)).toBeLessThan(1_000);
    manager.clock.advance(121_000);
    // The sweep finds it, whatever became of the alarm.
    const withdrawal = await node.link.next('command');
    expect(withdrawal.command).toMatchObject({
      action: 'withdraw',
      withdraws: command.command_id,
    });
    expect(await target(body.id)).toMatchObject({ state: 'skipped', reason: 'expired' });
    const { body: rollout } = await manager.call('rollouts.show', { params: { id: body.id } });
    expect([rollout.status, rollout.reason]).toEqual(['complete', 'expired']);
    expect(rollout.waves[0]?.counts).toEqual({ skipped: 1 });
    // The node is free, and what it was told before is not good for a swap any more.
    expect(await node.ask(command as UpgradeBinary)).toBe('target_not_waiting');
    expect((await upgrade(node.id)).status).toBe(202);
  }, 30_000);

  it('does not begin before it may', async () => {
    const node = await join();
    const at = new Date(manager.clock.now() + 120_000).toISOString();
    const { body } = await upgrade(node.id, { apply_after: at });
    expect([body.status, body.reason]).toEqual(['pending', 'not_before']);
    expect(body.waves[0]).toMatchObject({ status: 'pending', until: at });
    expect(node.link.waiting('command')).toBe(0);
    const params = { id: body.id, node: node.id };
    const why = await manager.call('rollouts.why', { params });
    expect(why.body.because).toMatchObject([{ code: 'not_before', until: at }]);
    manager.clock.advance(121_000);
    await node.obey();
    expect(await target(body.id)).toMatchObject({ state: 'succeeded' });
  }, 30_000);

  it('goes by what another process wrote of a link, as long as a node that lives leaves it so', async () => {
    const ids = [await manager.node(east, 'there'), await manager.node(east, 'was there')];
    const [there = '', gone = ''] = ids.map(({ id }) => id);
    // It may have reported in time: a node that changes nothing is written once a minute.
    const quietMsMax = 3 * 600_000 + 60_000;
    const services = JSON.stringify([aService()]);
    for (const id of [there, gone]) {
      await write(id, 'online');
      await manager.database.transaction((tx) =>
        tx.run(`UPDATE nodes SET services = ?, capabilities = '["upgrade"]' WHERE id = ?`, [
          services,
          id,
        ]),
      );
    }
    manager.clock.advance(quietMsMax - 10_000);
    expect((await upgrade(there, { only_online: true })).status).toBe(202);
    manager.clock.advance(20_000);
    const late = await upgrade(gone, { only_online: true });
    expect([late.status, late.body.code]).toEqual([409, 'node_offline']);
  });
});
