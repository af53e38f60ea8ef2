import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { WebSocket } from 'ws';
import { connectNode } from '../../../test/support/node-link.js';
import { startRolloutManager, type RolloutManager } from '../../../test/support/obedient-node.js';
import { lint } from '../../../test/support/telemetry/prometheus-text.js';
import { grown, look, type Look } from '../../../test/support/telemetry/scraper.js';
import { LINK_PATH, SUBPROTOCOL } from '../../protocol/node/index.js';
import { METRICS } from '../platform/telemetry/index.js';

const SETTINGS = [
  { kind: 'sqlite', queue: 'timers' },
  { kind: 'postgres', queue: 'redis' },
] as const;

describe.each(SETTINGS)('metrics on $kind, with $queue', ({ kind, queue }) => {
  let manager: RolloutManager;
  let scraper: string;
  beforeAll(async () => {
    const redis = {
      REDIS_URL: inject('redisUrl'),
      BELLWETHER_REDIS_PREFIX: `metrics-${randomUUID().slice(0, 8)}`,
    };
    manager = await startRolloutManager({ kind, env: queue === 'redis' ? redis : {} });
    const made = await manager.call('tokens.create', {
      body: { name: 'prometheus', permissions: ['metrics.view'], group_id: null },
    });
    scraper = made.body.secret;
  }, 120_000);
  afterAll(() => manager.stop());

  const now = (): Promise<Look> => look(manager.url, scraper);
  /** The first look that shows what is wanted; counters of what has no answer come a little later. */
  const until = async (shows: (seen: Look) => boolean): Promise<Look> =>
    await expect
      .poll(
        async () => {
          const seen = await now();
          return shows(seen) ? seen : null;
        },
        { timeout: 30_000, interval: 200 },
      )
      .not.toBeNull()
      .then(now);

  it('can be read strictly in both formats, and a linter finds nothing', async () => {
    const plain = await now();
    const open = await look(manager.url, scraper, 'openmetrics');
    // One does not spoil the other, whoever asks first.
    const again = await now();
    expect(lint(plain.families)).toEqual([]);
    expect([...again.families.keys()]).toEqual([...plain.families.keys()]);
    const bare = [...plain.families.values()].map(({ name, type }) =>
      type === 'counter' ? name.replace(/_total$/, '') : name,
    );
    expect([...open.families.keys()]).toEqual(bare);
    expect([...plain.families.keys()].filter((name) => !(name in METRICS))).toEqual([]);
    expect(plain.of('bellwether_info', { database: kind, queue })).toBe(1);
    expect(plain.of('process_resident_memory_bytes')).toBeGreaterThan(10_000_000);
    expect(plain.of('process_start_time_seconds') * 1_000).toBeLessThan(Date.now());
  });

  it('follow a link from its refusal to its end', async () => {
    const before = await now();
    const refused = new WebSocket(manager.url.replace('http', 'ws') + LINK_PATH, SUBPROTOCOL, {
      headers: { authorization: 'Bearer nobody' },
    });
    await new Promise((resolve) => refused.once('error', resolve));
    const node = await manager.node('grp_default', 'edge-metered');
    const link = await connectNode(manager, node);
    const during = await now();
    link.send({ type: 'goodbye', reason: 'restart' });
    await link.close();
    const after = await until(
      (seen) =>
        grown([before, seen], 'bellwether_links_closed_total', { reason: 'goodbye_restart' }) > 0,
    );
    expect(grown([before, during], 'bellwether_links', { transport: 'socket' })).toBe(1);
    expect(grown([before, after], 'bellwether_links')).toBe(0);
    expect(grown([before, after], 'bellwether_links_opened_total', { transport: 'socket' })).toBe(
      1,
    );
    expect(grown([before, after], 'bellwether_link_refusals_total', { code: 'jwt_invalid' })).toBe(
      1,
    );
    for (const type of ['hello', 'goodbye']) {
      expect(grown([before, after], 'bellwether_link_messages_received_total', { type })).toBe(1);
    }
    expect(grown([before, after], 'bellwether_link_messages_sent_total', { type: 'welcome' })).toBe(
      1,
    );
  });

  it('follow a rollout from its commands to its end', async () => {
    const group = await manager.group('metered');
    const [first, second] = [
      await manager.join(group, 'edge-one'),
      await manager.join(group, 'edge-two'),
    ];
    const before = await now();
    const rollout = await manager.call('rollouts.create', {
      body: {
        product: 'edge',
        version: '1.1.0',
        scope: { group_id: group },
        strategy: 'immediate',
      },
    });
    expect(rollout.status).toBe(202);
    const [one, two] = [await first.stage(), await second.stage()];
    const during = await until(
      (seen) => seen.of('bellwether_rollout_targets', { state: 'staged' }) === 2,
    );
    expect(grown([before, during], 'bellwether_rollouts', { status: 'in_progress' })).toBe(1);
    expect(during.of('bellwether_rollout_waves_waiting', { reason: 'wave_open' })).toBe(1);
    expect(during.of('bellwether_wakeups_pending')).toBe(1);

    await manager.call('rollouts.pause', { params: { id: rollout.body.id } });
    expect(await first.ask(one)).toBe('rollout_not_running');
    await manager.call('rollouts.resume', { params: { id: rollout.body.id } });
    await first.finish(one);
    await second.finish(two);
    const after = await until(
      (seen) => seen.of('bellwether_rollouts') === before.of('bellwether_rollouts'),
    );
    const more = (name: string, labels: Readonly<Record<string, string>> = {}): number =>
      grown([before, after], name, labels);
    expect(more('bellwether_commands_total', { action: 'upgrade_binary', state: 'made' })).toBe(2);
    expect(more('bellwether_commands_total', { state: 'pushed' })).toBeGreaterThanOrEqual(2);
    expect(more('bellwether_commands_total', { state: 'accepted' })).toBe(2);
    expect(more('bellwether_permit_requests_total')).toBe(3);
    expect(more('bellwether_permits_granted_total')).toBe(2);
    expect(more('bellwether_permits_denied_total', { reason: 'rollout_not_running' })).toBe(1);
    expect(more('bellwether_rollout_events_total', { type: 'rollout_paused' })).toBe(1);
    expect(more('bellwether_rollout_events_total', { type: 'rollout_completed' })).toBe(1);
    expect(more('bellwether_ingest_batches_total', { result: 'stored' })).toBe(8);
    expect(more('bellwether_ingest_commit_batches_sum')).toBe(8);
    expect(more('bellwether_ingest_lag_seconds_count')).toBe(
      more('bellwether_ingest_commit_batches_count'),
    );
    expect(more('bellwether_events_appended_total')).toBeGreaterThanOrEqual(8);
    expect(more('bellwether_audit_entries_total', { outcome: 'allowed' })).toBeGreaterThanOrEqual(
      3,
    );
    expect(more('bellwether_db_transactions_total', { result: 'committed' })).toBeGreaterThan(8);
    expect(more('bellwether_sweep_failures_total')).toBe(0);
  });

  it('know a batch that comes twice, and one that leaves a gap', async () => {
    const node = await manager.node('grp_default', 'edge-echo');
    const link = await connectNode(manager, node);
    const before = await now();
    const event = (seq: number) => ({
      type: 'events' as const,
      spool_id: 'spl_000009',
      events: [
        {
          seq,
          at: new Date().toISOString(),
          type: 'service_healthy' as const,
          category: 'service' as const,
          severity: 'info' as const,
          service: 'edge',
          command_id: null,
          message: 'healthy',
          details: {},
        },
      ],
    });
    for (const seq of [1, 1, 7]) {
      link.send(event(seq));
      await link.next('events_ack');
    }
    const after = await now();
    await link.close();
    for (const result of ['stored', 'echo', 'gap']) {
      expect(grown([before, after], 'bellwether_ingest_batches_total', { result })).toBe(1);
    }
    const labels = { category: 'service', severity: 'info' };
    expect(grown([before, after], 'bellwether_events_appended_total', labels)).toBe(1);
  });

  it('tell the heads of both logs as the database has them, and what is not signed yet', async () => {
    const { database } = manager;
    const head = async (table: string): Promise<number> =>
      (await database.read.get<{ value: number }>(`SELECT value FROM ${table} WHERE id = 1`))
        ?.value ?? 0;
    const [events, entries] = [await head('event_head'), await head('audit_head')];
    expect(events).toBeGreaterThan(0);
    const before = await until((seen) => seen.of('bellwether_event_head') >= events);
    expect(before.of('bellwether_audit_head')).toBeGreaterThanOrEqual(entries);
    expect(before.of('bellwether_audit_unsigned_entries')).toBeGreaterThan(0);
    await manager.call('audit.checkpoint');
    const signedMs = Date.now();
    const after = await until(
      (seen) => seen.of('bellwether_audit_checkpoint_timestamp_seconds') > 0,
    );
    const madeMs = after.of('bellwether_audit_checkpoint_timestamp_seconds') * 1_000;
    expect(Math.abs(madeMs - signedMs)).toBeLessThan(60_000);
    expect(after.of('bellwether_audit_unsigned_entries')).toBeLessThan(
      before.of('bellwether_audit_unsigned_entries'),
    );
  });

  it('tell how far sinks are behind, and what became of what they sent', async () => {
    const before = await now();
    const file = { name: 'good', kind: 'file', config: { path: 'metrics-good' } } as const;
    const good = await manager.call('sinks.create', { body: { ...file, from: 'beginning' } });
    const hook = { url: 'http://127.0.0.1:9/' };
    const body = { name: 'lost', kind: 'webhook', config: hook, from: 'beginning' } as const;
    const { body: lost } = await manager.call('sinks.create', { body });
    const webhook = { kind: 'webhook' };
    const failed = { ...webhook, code: 'sink_address_forbidden' };
    const after = await until(
      (seen) =>
        seen.of('bellwether_sink_lag_events', webhook) > 0 &&
        seen.of('bellwether_sinks', { kind: 'file', state: 'closed' }) === 1 &&
        grown([before, seen], 'bellwether_sink_failures_total', failed) > 0 &&
        grown([before, seen], 'bellwether_sink_events_delivered_total', { kind: 'file' }) > 0,
    );
    expect(after.of('bellwether_sink_lag_seconds', webhook)).toBeGreaterThan(0);
    expect(after.of('bellwether_sink_dead_letters', webhook)).toBe(0);
    expect(after.of('bellwether_sink_delivery_seconds_count', { kind: 'file' })).toBeGreaterThan(0);
    await manager.call('sinks.pause', { params: { id: lost.id } });
    const paused = await until(
      (seen) => seen.of('bellwether_sinks', { ...webhook, state: 'paused' }) === 1,
    );
    expect(paused.of('bellwether_sink_lag_events', webhook)).toBe(0);
    for (const { id } of [good.body, lost]) await manager.call('sinks.remove', { params: { id } });
  });

  it('ring alarms, and say how late', async () => {
    const seen = await until(
      (one) => one.of('bellwether_wakeups_rung_total', { queue: 'rollouts', result: 'done' }) > 0,
    );
    expect(seen.of('bellwether_wakeup_delay_seconds_count', { queue: 'rollouts' })).toBeGreaterThan(
      0,
    );
    expect(seen.of('bellwether_sweep_seconds_count')).toBeGreaterThan(0);
  });

  it('tell requests by route and class, and why they were refused', async () => {
    const before = await now();
    await manager.call('nodes.list', {}, null);
    await manager.call('nodes.show', { params: { id: 'nod_0000000000' } });
    await fetch(`${manager.url}/no/such/place`);
    const after = await until(
      (seen) => grown([before, seen], 'bellwether_http_requests_total', { route: 'none' }) > 0,
    );
    const labels = { route: 'nodes.list', status: '4xx' };
    expect(grown([before, after], 'bellwether_http_requests_total', labels)).toBe(1);
    expect(
      grown([before, after], 'bellwether_http_request_seconds_count', { route: 'nodes.show' }),
    ).toBe(1);
    for (const [code, count] of [
      ['unauthenticated', 1],
      ['not_found', 2],
    ] as const) {
      expect(grown([before, after], 'bellwether_http_problems_total', { code })).toBe(count);
    }
  });

  it('are for a super admin, and for a token that may nothing else', async () => {
    const own = await manager.group('scoped');
    const scoped = await manager.call('tokens.create', {
      body: { name: 'of one group', permissions: ['metrics.view'], group_id: own },
    });
    const status = async (token: string | null): Promise<number> =>
      (
        await fetch(`${manager.url}/metrics`, {
          headers: token === null ? {} : { authorization: `Bearer ${token}` },
        })
      ).status;
    expect(await status(manager.admin)).toBe(200);
    expect(await status(scraper)).toBe(200);
    expect(await status(null)).toBe(401);
    expect(await status(scoped.body.secret)).toBe(403);
    expect(await status(await manager.token('admin', 'grp_default'))).toBe(403);
    expect(await status(await manager.token('release'))).toBe(403);
    expect((await manager.call('nodes.list', {}, scraper)).status).toBe(403);
    expect((await manager.call('tokens.list', {}, scraper)).status).toBe(403);
  });
});
