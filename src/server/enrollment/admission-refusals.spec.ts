import { generateKeyPairSync } from 'node:crypto';
import { afterEach, describe, expect, it } from 'vitest';
import { makeMigratedPostgres } from '../../../test/support/databases.js';
import { enrollBody, startTestManager, type TestManager } from '../../../test/support/manager.js';
import { DAY_MS, HOUR_MS } from '../../core/kernel/index.js';
import type { NodeEvent } from '../../protocol/node/index.js';
import { Ingest } from '../events/index.js';
import { KINDS_MAX } from './admission-refusals.js';

const NAME = 'prod-1/shop/deployment/edge';

describe.each(['sqlite', 'postgres'])('refusals at the door of a cluster (%s)', (kind) => {
  const cleanUps: (() => Promise<void>)[] = [];
  afterEach(async () => {
    for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
  });

  const start = async () => {
    const own: Record<string, string> = {};
    if (kind === 'postgres') {
      const { url, drop } = await makeMigratedPostgres();
      cleanUps.push(drop);
      own['DATABASE_URL'] = url;
    }
    const manager = await startTestManager(own);
    cleanUps.push(() => manager.stop());
    const made = await manager.call('enrollment.create_cluster', { body: { cluster: 'prod-1' } });
    const join = async (name: string) => {
      const key = generateKeyPairSync('ed25519').privateKey;
      const body = enrollBody({ token: made.body.secret, origin: manager.url, key, name });
      const given = { body: { ...body, cluster: 'prod-1' } };
      const { body: node } = await manager.call('enrollment.enroll', given, null);
      return {
        nodeId: node.node_id,
        groupId: node.group_id,
        publicKey: 'k'.repeat(43),
        revoked: false,
      };
    };
    return { manager, join, node: await join(NAME) };
  };
  const seqs = new Map<string, number>();
  const tell = async (
    manager: TestManager,
    node: Awaited<ReturnType<Awaited<ReturnType<typeof start>>['join']>>,
    details: readonly Readonly<Record<string, string | number>>[],
    spool = 'spl_000001',
  ): Promise<void> => {
    const from = seqs.get(node.nodeId + spool) ?? 1;
    seqs.set(node.nodeId + spool, from + details.length);
    const events = details.map((more, index): NodeEvent => ({
      seq: from + index,
      at: '2026-11-20T08:00:00.000Z',
      type: 'admission_refused',
      category: 'agent',
      severity: 'critical',
      service: 'edge',
      command_id: null,
      message: 'it is named by its tag',
      details: {
        error_code: 'upgrade_image_mutable',
        workload: 'shop/deployment/edge',
        pod: 'edge-1',
        container: 'main',
        image: 'registry.example/edge:1',
        mode: 'refuse',
        count: 1,
        first_at: '2026-11-20T08:00:00.000Z',
        ...more,
      },
    }));
    const batch = { type: 'events' as const, spool_id: spool, events };
    const { error } = await manager.manager.app.get(Ingest).ingest(node, batch);
    expect(error).toBeNull();
  };
  const audited = async (manager: TestManager) =>
    (
      await manager.call('audit.list', {
        query: { action: 'admission.refused', limit: 100 },
      })
    ).body.items;

  it('are audited as deeds of the node that tells them, with what was refused', async () => {
    const { manager, node } = await start();
    await tell(manager, node, [{}]);
    expect(await audited(manager)).toMatchObject([
      {
        actor_kind: 'node',
        actor_id: node.nodeId,
        actor_name: NAME,
        target_kind: 'node',
        target_id: node.nodeId,
        group_id: node.groupId,
        outcome: 'refused',
        details: {
          name: NAME,
          cluster: 'prod-1',
          error_code: 'upgrade_image_mutable',
          workload: 'shop/deployment/edge',
          image: 'registry.example/edge:1',
          count: 1,
        },
      },
    ]);
  });

  it('are one entry a day for an image and a reason, however often a pod is tried', async () => {
    const { manager, join, node } = await start();
    const tries = Array.from({ length: 50 }, (_, index) => ({ count: index + 1 }));
    await tell(manager, node, tries);
    await tell(manager, node, [{ count: 51 }]);
    expect(await audited(manager)).toHaveLength(1);
    // Every one of them is an event.
    const { body } = await manager.call('events.list', {
      query: { type: 'admission_refused', limit: 100 },
    });
    expect(body.items).toHaveLength(51);

    await tell(manager, node, [{ error_code: 'release_yanked' }, { image: 'other@x' }]);
    expect(await audited(manager)).toHaveLength(3);
    const other = await join('prod-1/shop/deployment/gate');
    await tell(manager, other, [{}]);
    expect(await audited(manager)).toHaveLength(4);
    manager.clock.advance(DAY_MS - HOUR_MS);
    await tell(manager, node, [{}]);
    expect(await audited(manager)).toHaveLength(4);
    manager.clock.advance(2 * HOUR_MS);
    await tell(manager, node, [{}, {}]);
    expect(await audited(manager)).toHaveLength(5);
  });

  it('cannot flood the log, whatever images somebody makes up', async () => {
    const { manager, node } = await start();
    const made = Array.from({ length: 3 * KINDS_MAX }, (_, index) => ({
      image: `made-up:${index}`,
    }));
    await tell(manager, node, made);
    expect(await audited(manager)).toHaveLength(KINDS_MAX);
    manager.clock.advance(DAY_MS);
    await tell(manager, node, [{}]);
    expect(await audited(manager)).toHaveLength(KINDS_MAX + 1);
  });

  it('are told once when they come by two ways at the same time', async () => {
    const { manager, node } = await start();
    const ways = ['spl_000001', 'spl_000002', 'spl_000003'];
    await Promise.all(ways.map((spool) => tell(manager, node, [{}], spool)));
    expect(await audited(manager)).toHaveLength(1);
  });

  it('are no refusals where the webhook only warns', async () => {
    const { manager, node } = await start();
    await tell(manager, node, [{ mode: 'warn' }]);
    expect(await audited(manager)).toMatchObject([
      { outcome: 'allowed', details: { mode: 'warn' } },
    ]);
    await tell(manager, node, [{}]);
    expect((await audited(manager)).map(({ outcome }) => outcome)).toEqual(['refused', 'allowed']);
  });
});
