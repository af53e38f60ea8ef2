import { expect, it } from 'vitest';
import { describeOnBothDatabases, silentLog } from '../../../test/support/databases.js';
import type { Events, NodeEvent } from '../../protocol/node/index.js';
import type { NodeIdentity } from '../gateway/index.js';
import type { Database } from '../platform/database/index.js';
import { EventLog, Ingest, type NodeEventObserver, type NodeNews } from './index.js';

const aNode = (nodeId = 'nod_one000', groupId = 'grp_east00'): NodeIdentity => ({
  nodeId,
  groupId,
  publicKey: 'k'.repeat(43),
  revoked: false,
});
const anEvent = (seq: number, over: Partial<NodeEvent> = {}): NodeEvent => ({
  seq,
  at: '2026-11-20T08:00:00.000Z',
  type: 'service_healthy',
  category: 'service',
  severity: 'info',
  service: 'edge',
  command_id: null,
  message: `event ${seq}`,
  details: {},
  ...over,
});
const aBatch = (from: number, to: number, spoolId = 'spl_000001'): Events => ({
  type: 'events',
  spool_id: spoolId,
  events: Array.from({ length: to - from + 1 }, (_, index) => anEvent(from + index)),
});
const NOW = Date.UTC(2026, 10, 21, 8);
const clock = { now: () => NOW };

/** Follows what is stored, and may refuse it. */
class Follower implements NodeEventObserver {
  readonly groups: (readonly NodeNews[])[] = [];
  check: (news: readonly NodeNews[]) => Promise<void> = () => Promise.resolve();
  async rolloutsOf(
    _tx: unknown,
    nodeOf: ReadonlyMap<string, string>,
  ): Promise<ReadonlyMap<string, string>> {
    return new Map([...nodeOf.keys()].map((id) => [id, id.replace('cmd', 'rol')]));
  }
  async observe(_tx: unknown, news: readonly NodeNews[]): Promise<void> {
    await this.check(news);
    this.groups.push(news);
  }
}

const newIngest = (
  database: Database,
  nodeEventsPerSecond = 100_000,
): { ingest: Ingest; follower: Follower } => {
  const ingest = new Ingest(database, new EventLog(), clock, silentLog, {
    nodeEventsPerSecond,
  });
  const follower = new Follower();
  ingest.addObserver(follower);
  return { ingest, follower };
};

async function stored(database: Database): Promise<string[]> {
  const filter = { after: 0, limit: 5_000, groups: 'all' as const };
  const { items } = await new EventLog().read(database.read, filter);
  expect(items.map(({ id }) => id)).toEqual(items.map((_, index) => index + 1));
  return items.map(({ node_id, message }) => `${node_id ?? ''} ${message}`);
}

describeOnBothDatabases('what nodes report', (openTestDatabase) => {
  const setUp = async () => {
    const database = await openTestDatabase();
    return { database, ...newIngest(database) };
  };

  it('is stored with its node, its group, its rollout and both times', async () => {
    const { database, ingest } = await setUp();
    const event = anEvent(1, {
      type: 'upgrade_stage_failed',
      category: 'upgrade',
      severity: 'critical',
      command_id: 'cmd_000001',
      details: { error_code: 'upgrade_disk_full' },
    });
    const batch = { ...aBatch(1, 1), events: [event] };
    expect(await ingest.ingest(aNode(), batch)).toEqual({ through: 1, error: null });
    const filter = { after: 0, limit: 10, groups: 'all' as const };
    expect((await new EventLog().read(database.read, filter)).items).toMatchObject([
      {
        id: 1,
        at: '2026-11-21T08:00:00.000Z',
        type: 'upgrade_stage_failed',
        severity: 'critical',
        node_id: 'nod_one000',
        group_id: 'grp_east00',
        command_id: 'cmd_000001',
        rollout_id: 'rol_000001',
        occurred_at: '2026-11-20T08:00:00.000Z',
        error_code: 'upgrade_disk_full',
        details: { error_code: 'upgrade_disk_full' },
      },
    ]);
  });

  it('is stored once, however often it comes', async () => {
    const { database, ingest, follower } = await setUp();
    const send = (from: number, to: number) => ingest.ingest(aNode(), aBatch(from, to));
    expect(await send(1, 3)).toEqual({ through: 3, error: null });
    expect(await send(1, 3)).toEqual({ through: 3, error: null });
    expect(await send(2, 5)).toEqual({ through: 5, error: null });
    expect(await Promise.all([send(6, 7), send(6, 7), send(6, 8)])).toEqual([
      { through: 7, error: null },
      { through: 7, error: null },
      { through: 8, error: null },
    ]);
    expect(await stored(database)).toEqual(
      [1, 2, 3, 4, 5, 6, 7, 8].map((seq) => `nod_one000 event ${seq}`),
    );
    const followed = follower.groups.flat().flatMap(({ events }) => events.map(({ seq }) => seq));
    expect(followed).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
  });

  it('is stored once also when two managers get it at the same moment', async () => {
    const { database, ingest } = await setUp();
    const other = newIngest(database).ingest;
    for (let start = 1; start < 100; start += 10) {
      const batch = aBatch(start, start + 9);
      const answers = await Promise.all(
        [ingest, other, ingest, other].map((one) => one.ingest(aNode(), batch)),
      );
      for (const answer of answers) expect(answer).toEqual({ through: start + 9, error: null });
    }
    expect(await stored(database)).toHaveLength(100);
  });

  it('with a gap is refused, with the number to go on after', async () => {
    const { database, ingest } = await setUp();
    const refused = (through: number) => ({ through, error: 'events_out_of_order' });
    expect(await ingest.ingest(aNode(), aBatch(2, 3))).toEqual(refused(0));
    await ingest.ingest(aNode(), aBatch(1, 2));
    expect(await ingest.ingest(aNode(), aBatch(4, 9))).toEqual(refused(2));
    const holed = { ...aBatch(3, 3), events: [anEvent(3), anEvent(5)] };
    expect(await ingest.ingest(aNode(), holed)).toEqual(refused(2));
    const backwards = { ...aBatch(3, 3), events: [anEvent(4), anEvent(3)] };
    expect(await ingest.ingest(aNode(), backwards)).toEqual(refused(2));
    expect(await stored(database)).toHaveLength(2);
    expect(await ingest.ingest(aNode(), aBatch(3, 4))).toEqual({ through: 4, error: null });
  });

  it('is counted for each node and each spool by itself', async () => {
    const { database, ingest } = await setUp();
    const results = await Promise.all([
      ingest.ingest(aNode('nod_one000'), aBatch(1, 2)),
      ingest.ingest(aNode('nod_two000'), aBatch(1, 1)),
      ingest.ingest(aNode('nod_one000'), aBatch(1, 1, 'spl_000002')),
      ingest.ingest(aNode('nod_two000'), aBatch(3, 3)),
      ingest.ingest(aNode('nod_one000'), aBatch(3, 3)),
    ]);
    expect(results.map(({ through, error }) => [through, error])).toEqual([
      [2, null],
      [1, null],
      [1, null],
      [1, 'events_out_of_order'],
      [3, null],
    ]);
    expect(await stored(database)).toHaveLength(5);
  });

  it('is answered after its commit, never before', async () => {
    const { database, ingest, follower } = await setUp();
    const gate = Promise.withResolvers<null>();
    const reached = Promise.withResolvers<null>();
    follower.check = async () => {
      reached.resolve(null);
      await gate.promise;
    };
    let isAnswered = false;
    const answer = ingest.ingest(aNode(), aBatch(1, 2)).then((result) => {
      isAnswered = true;
      return result;
    });
    await reached.promise;
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect([isAnswered, await stored(database)]).toEqual([false, []]);
    gate.resolve(null);
    expect((await answer).through).toBe(2);
    expect(await stored(database)).toHaveLength(2);
  });

  it('lets the event loop come round between the commits of a flood', async () => {
    const { ingest } = await setUp();
    const turns: number[] = [];
    let turn = 0;
    const count = (): void => {
      turn += 1;
      if (turns.length < 1_500) setImmediate(count);
    };
    setImmediate(count);
    const nodes = Array.from({ length: 1_500 }, (_, i) => aNode(`nod_${10_000 + i}`));
    await Promise.all(
      nodes.map(async (node) => {
        await ingest.ingest(node, aBatch(1, 1));
        turns.push(turn);
      }),
    );
    // Three commits of five hundred.
    expect(new Set(turns).size).toBeGreaterThanOrEqual(3);
  });

  it('shares commits when it arrives together, of a bounded size', async () => {
    const { database, ingest, follower } = await setUp();
    const nodes = Array.from({ length: 42 }, (_, index) => aNode(`nod_${index + 100_000}`));
    await Promise.all(nodes.map((node) => ingest.ingest(node, aBatch(1, 100))));
    // 4000 events close a commit.
    expect(follower.groups.map((group) => group.length)).toEqual([40, 2]);
    expect(await stored(database)).toHaveLength(4_200);
  });

  it('of one node cannot hold up the others, and is not lost by a failure', async () => {
    const { database, ingest, follower } = await setUp();
    follower.check = (news) =>
      news.some(({ node }) => node.nodeId === 'nod_bad000')
        ? Promise.reject(new Error('no'))
        : Promise.resolve();
    const ids = ['nod_one000', 'nod_bad000', 'nod_two000'];
    const answers = await Promise.allSettled(
      ids.map((id) => ingest.ingest(aNode(id), aBatch(1, 2))),
    );
    expect(answers.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
    expect((await stored(database)).sort()).toEqual([
      'nod_one000 event 1',
      'nod_one000 event 2',
      'nod_two000 event 1',
      'nod_two000 event 2',
    ]);
    follower.check = () => Promise.resolve();
    expect((await ingest.ingest(aNode('nod_bad000'), aBatch(1, 2))).through).toBe(2);
    expect(await stored(database)).toHaveLength(6);
  });
});

describeOnBothDatabases('a node that comes back', (openTestDatabase) => {
  const spool = (first_seq: number, id = 'spl_000001') => ({ id, first_seq, next_seq: 1_000 });

  it('is told how far its events are durable', async () => {
    const { ingest } = newIngest(await openTestDatabase());
    expect(await ingest.resume(aNode(), spool(1))).toBe(0);
    await ingest.ingest(aNode(), aBatch(1, 4));
    expect(await ingest.resume(aNode(), spool(1))).toBe(4);
    expect(await ingest.resume(aNode(), spool(5))).toBe(4);
    expect(await ingest.resume(aNode(), spool(1, 'spl_000002'))).toBe(0);
  });

  it('and had to drop events, has that recorded once, and goes on', async () => {
    const database = await openTestDatabase();
    const { ingest } = newIngest(database);
    await ingest.ingest(aNode(), aBatch(1, 2));
    expect(await ingest.resume(aNode(), spool(6))).toBe(5);
    expect(await ingest.resume(aNode(), spool(6))).toBe(5);
    const filter = { after: 2, limit: 10, groups: 'all' as const };
    expect((await new EventLog().read(database.read, filter)).items).toMatchObject([
      {
        type: 'events_lost',
        severity: 'critical',
        node_id: 'nod_one000',
        group_id: 'grp_east00',
        message: '3 events of this node were dropped before delivery',
        details: { error_code: 'events_lost', from_seq: 3, to_seq: 5 },
      },
    ]);
    expect(await ingest.ingest(aNode(), aBatch(6, 7))).toEqual({ through: 7, error: null });
  });

  it('never moves the mark back, whatever its older link still delivers', async () => {
    const database = await openTestDatabase();
    const { ingest } = newIngest(database);
    const other = newIngest(database).ingest;
    for (let round = 0; round < 20; round += 1) {
      const id = `spl_${100_000 + round}`;
      const [, through] = await Promise.all([
        ingest.ingest(aNode(), aBatch(1, 5, id)),
        other.resume(aNode(), spool(4, id)),
      ]);
      const mark = await ingest.resume(aNode(), spool(1, id));
      // Either the events came first and nothing was lost, or the loss came first.
      expect([3, 5]).toContain(through);
      expect(mark).toBe(5);
    }
  });
});

describeOnBothDatabases('events that are odd', (openTestDatabase) => {
  const log = new EventLog();
  const all = async (database: Database) =>
    (await log.read(database.read, { after: 0, limit: 100, groups: 'all' })).items;

  it('by their type are stored as unknown, with the word that came, and told to nobody', async () => {
    const database = await openTestDatabase();
    const { ingest, follower } = newIngest(database);
    const { spool_id, events } = aBatch(1, 2);
    const [first, second] = events;
    if (first === undefined || second === undefined) throw new Error('no events');
    const odd = { ...second, type: 'warp_drive_failed', category: 'warp' };
    const batch = { type: 'events' as const, spool_id, events: [first, odd] };
    expect(await ingest.ingest(aNode(), batch)).toEqual({ through: 2, error: null });
    expect((await all(database))[1]).toMatchObject({
      type: 'unknown',
      category: 'agent',
      message: second.message,
      details: { given_type: 'warp_drive_failed', given_category: 'warp' },
    });
    expect(follower.groups[0]?.[0]?.events.map(({ seq }) => seq)).toEqual([1]);
  });

  it('in their texts do not hold up what comes behind them', async () => {
    const database = await openTestDatabase();
    const { ingest } = newIngest(database);
    const { spool_id, events } = aBatch(1, 1);
    const text = 'a\u0000b\ud800c"\\\n';
    const odd = events.map((event) => ({
      ...event,
      message: text,
      details: { error_code: 'x\u0000y', text },
    }));
    const batch = { type: 'events' as const, spool_id, events: odd };
    expect((await ingest.ingest(aNode(), batch)).through).toBe(1);
    const [stored] = await all(database);
    expect(stored?.message).toBe('a\ufffdb\ufffdc"\\\n');
    expect(stored?.error_code).toBe('x\ufffdy');
    expect(stored?.details['text']).toBe(text);
  });

  it.each([
    ['ahead', '2099-01-01T00:00:00.000Z'],
    ['unset', '1970-01-01T00:00:07.000Z'],
    ['late', '2026-10-21T08:00:00.000Z'],
    ['ok', '2026-11-21T07:59:00.000Z'],
  ])('by their time are stored as given, and flagged as %s', async (clockFlag, at) => {
    const database = await openTestDatabase();
    const { ingest } = newIngest(database);
    const { spool_id, events } = aBatch(1, 1);
    const batch = {
      type: 'events' as const,
      spool_id,
      events: events.map((event) => ({ ...event, at })),
    };
    await ingest.ingest(aNode(), batch);
    expect((await all(database))[0]).toMatchObject({ occurred_at: at, clock: clockFlag });
  });

  it('in their number make their node wait, and nobody else', async () => {
    const database = await openTestDatabase();
    const start = clock.now();
    let now = start;
    const paced = new Ingest(database, log, { now: () => now }, silentLog, {
      nodeEventsPerSecond: 50,
    });
    const order: string[] = [];
    const send = (node: string, from: number, to: number) =>
      paced.ingest(aNode(node), aBatch(from, to)).then((result) => {
        order.push(`${node} ${result.through} ${result.error ?? ''}`.trim());
        return result;
      });
    // The first empties the bucket of 200 events and more.
    const loud = [1, 101, 201, 301].map((from) => send('nod_loud00', from, from + 99));
    const quiet = [1, 2].map((from) => send('nod_quiet0', from, from));
    await Promise.all([...quiet, ...loud.slice(0, 2)]);
    expect(order.slice(0, 2)).toEqual(['nod_loud00 100', 'nod_quiet0 1']);
    expect(order).toHaveLength(4);
    now = start + 2_000;
    expect((await loud[2])?.through).toBe(300);
    now = start + 20_000;
    expect((await loud[3])?.through).toBe(400);
    expect(await all(database)).toHaveLength(100);
  });

  it('in too many batches at once are refused in their turn, and taken when they come again', async () => {
    const { ingest } = newIngest(await openTestDatabase());
    const firsts = Array.from({ length: 12 }, (_, index) => 1 + index * 10);
    const results = await Promise.all(
      firsts.map((first) => ingest.ingest(aNode(), aBatch(first, first + 9))),
    );
    expect(results.filter(({ error }) => error === null)).toHaveLength(8);
    expect(results.slice(8)).toEqual(
      Array.from({ length: 4 }, () => ({ through: 80, error: 'events_too_fast' })),
    );
    expect(await ingest.ingest(aNode(), aBatch(81, 120))).toEqual({ through: 120, error: null });
  });
});
