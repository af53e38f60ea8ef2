import { expect, it } from 'vitest';
import { describeOnBothDatabases, silentLog } from '../../../test/support/databases.js';
import { aHost, makeClock, comes } from '../../../test/support/manager.js';
import { MINUTE_MS } from '../../core/kernel/index.js';
import {
  GENERATION_MAX,
  type Health,
  type Hello,
  type ServiceReport,
} from '../../protocol/node/index.js';
import type { Database } from '../platform/database/index.js';
import { writeArrivals } from './arrivals.store.js';
import { HealthBook } from './health-book.js';
import { Nodes } from './index.js';
import { endLinks } from './links.store.js';
import { labelKeyOf } from './node-facts.js';

const aService = (version: string): ServiceReport => ({
  name: 'edge',
  product: 'edge',
  variant: 'default',
  version,
  previous_version: null,
  phase: 'idle',
  command_id: null,
  healthy: true,
  restarts: 0,
  outcome: null,
});
const aHello = (more: Partial<Hello> = {}): Hello => ({
  type: 'hello',
  protocol: 1,
  agent_version: '0.1.0',
  boot_id: 'boot-1',
  last_session: null,
  spool: { id: 'spl_000000', first_seq: 1, next_seq: 1 },
  host: { ...aHost('edge-07'), labels: { site: 'muc' } },
  services: [aService('1.0.0')],
  capabilities: ['upgrade'],
  policy_digest: 'abc',
  ...more,
});
const aHealth = (version: string): Health => ({
  type: 'health',
  services: [aService(version)],
  disk_free_bytes: 1,
  spool_backlog: 0,
});

async function withNodes(
  database: Database,
  ids: readonly string[],
): Promise<{ nodes: Nodes; database: Database }> {
  const nodes = new Nodes(database);
  await database.transaction(async (tx) => {
    for (const [index, id] of ids.entries()) {
      await nodes.create(tx, {
        id,
        name: id,
        groupId: 'grp_default',
        publicKey: 'k'.repeat(43),
        host: aHost(),
        now: 1_000 + index,
      });
    }
  });
  return { nodes, database };
}

describeOnBothDatabases('the table of nodes', (openTestDatabase) => {
  it('of a cluster lets nobody say that it is of another one, in labels and in searches', async () => {
    const { nodes, database } = await withNodes(await openTestDatabase(), [
      'nod_one000',
      'nod_two',
    ]);
    await database.transaction((tx) =>
      tx.run(
        'INSERT INTO cluster_nodes (node_id, group_id, cluster, name, token_id) VALUES (?, ?, ?, ?, ?)',
        ['nod_one000', 'grp_default', 'prod-1', 'nod_one000', 'clt_1'],
      ),
    );
    const saying = async (id: string, labels: Record<string, string>) => {
      const hello = aHello();
      const told = { ...hello, host: { ...hello.host, labels } };
      await database.transaction((tx) => comes(tx, database, id, { hello: told, now: 5_000 }));
      const row = await database.read.get<{ label_key: string }>(
        'SELECT label_key FROM nodes WHERE id = ?',
        [id],
      );
      const node = await nodes.find(id);
      expect(node?.host.labels).toEqual(node?.labels);
      return { labels: node?.labels, key: row?.label_key ?? '' };
    };
    const lies: readonly Record<string, string>[] = [
      { cluster: 'prod-2' },
      {},
      { cluster: 'prod-1' },
    ];
    for (const lie of lies) {
      const { labels, key } = await saying('nod_one000', { ...lie, zone: 'a' });
      expect(labels).toEqual({ cluster: 'prod-1', zone: 'a' });
      expect(key).toBe(labelKeyOf({ cluster: 'prod-1', zone: 'a' }));
    }
    const many = Object.fromEntries(Array.from({ length: 32 }, (_, i) => [`key${i}`, 'x']));
    const { labels } = await saying('nod_one000', many);
    expect(Object.keys(labels ?? {})).toHaveLength(32);
    expect(labels).toMatchObject({ cluster: 'prod-1' });
    // Outside clusters it is a label as any other.
    expect(await saying('nod_two', { cluster: 'rack' })).toMatchObject({
      labels: { cluster: 'rack' },
    });
  });

  it('keeps what a node was enrolled with, and then what it says of itself', async () => {
    const { nodes, database } = await withNodes(await openTestDatabase(), ['nod_one000']);
    expect(await nodes.find('nod_one000')).toMatchObject({
      status: 'offline',
      agentVersion: null,
      policyDigest: '',
      services: [],
      labels: { site: 'fra' },
      lastSeenAt: null,
      revokedAt: null,
    });
    await database.transaction((tx) =>
      comes(tx, database, 'nod_one000', { hello: aHello(), now: 5_000 }),
    );
    expect(await nodes.find('nod_one000')).toMatchObject({
      agentVersion: '0.1.0',
      policyDigest: 'abc',
      host: { hostname: 'edge-07' },
      labels: { site: 'muc' },
      capabilities: ['upgrade'],
      services: [{ version: '1.0.0' }],
      lastSeenAt: 5_000,
    });
    expect(await nodes.find('nod_two000')).toBeNull();
  });

  it('tells arrivals and departures once', async () => {
    const { nodes, database } = await withNodes(await openTestDatabase(), ['nod_one000']);
    const [nodeId, hello] = ['nod_one000', aHello()];
    const come = (sessionId: string): Promise<boolean> =>
      database.transaction(async (tx) => {
        const link = { managerId: 'mgr_one', sessionId, pollId: null };
        const coming = [{ nodeId, hello, transport: 'socket' as const, link }];
        const was = await writeArrivals(tx, database.kind, coming, 6_000);
        return was.get(nodeId)?.isOnline === false;
      });
    const leave = (sessionId: string): Promise<boolean> =>
      database.transaction(async (tx) => {
        const left = await endLinks(tx, database.kind, [{ nodeId, sessionId }], 6_000);
        return left.has(nodeId);
      });
    expect([await come('ses_1'), await come('ses_2')]).toEqual([true, false]);
    // The end of an older link says nothing of the newest one.
    expect([await leave('ses_1'), await leave('ses_2'), await leave('ses_2')]).toEqual([
      ...[false, true, false],
    ]);
    await come('ses_3');
    await database.transaction((tx) => nodes.everyoneOffline(tx));
    expect((await nodes.find('nod_one000'))?.status).toBe('offline');
  });

  it('writes many that come together, each as it said, and tells how each was', async () => {
    const ids = Array.from({ length: 70 }, (_, i) => `nod_${String(i).padStart(6, '0')}`);
    const { nodes, database } = await withNodes(await openTestDatabase(), ids);
    await database.transaction((tx) => nodes.revoke(tx, ids[3] ?? '', 1));
    const coming = [...ids, 'nod_nobody'].map((nodeId, i) => ({
      nodeId,
      hello: aHello({ services: [aService(`1.0.${i % 3}`)], policy_digest: `p${i}` }),
      transport: i % 7 === 0 ? ('poll' as const) : ('socket' as const),
      link: {
        managerId: 'mgr_one',
        sessionId: `ses_${i}`,
        pollId: i % 7 === 0 ? `poll_${i}` : null,
      },
    }));
    const come = (managerId: string) =>
      database.transaction((tx) =>
        writeArrivals(
          tx,
          database.kind,
          coming.map((one) => ({ ...one, link: { ...one.link, managerId } })),
          6_000,
        ),
      );
    const first = await come('mgr_one');
    expect([first.size, first.has(ids[3] ?? ''), first.has('nod_nobody')]).toEqual([
      69,
      false,
      false,
    ]);
    expect([...first.values()]).toEqual(
      [...first].map(() => ({ isOnline: false, heldBy: null, behind: 0 })),
    );
    const second = await come('mgr_two');
    expect([...second.values()]).toEqual(
      [...second].map(() => ({ isOnline: true, heldBy: 'mgr_one', behind: 0 })),
    );
    for (const i of [0, 1, 2, 7, 69]) {
      expect(await nodes.find(ids[i] ?? '')).toMatchObject({
        status: 'online',
        policyDigest: `p${i}`,
        services: [{ version: `1.0.${i % 3}` }],
        upgrader: i % 7 === 0 ? 'poll' : 'agent',
        heldBy: 'mgr_two',
      });
    }
    expect(await nodes.find(ids[3] ?? '')).toMatchObject({ status: 'revoked', policyDigest: '' });
  });

  it('revokes once, and a revoked node says nothing more', async () => {
    const { nodes, database } = await withNodes(await openTestDatabase(), ['nod_one000']);
    const revoke = (): Promise<boolean> =>
      database.transaction((tx) => nodes.revoke(tx, 'nod_one000', 7_000));
    expect([await revoke(), await revoke()]).toEqual([true, false]);
    await database.transaction(async (tx) => {
      const said = { hello: aHello(), now: 8_000 };
      expect(await comes(tx, database, 'nod_one000', said)).toBe(false);
    });
    expect(await nodes.find('nod_one000')).toMatchObject({
      status: 'revoked',
      revokedAt: 7_000,
      agentVersion: null,
    });
  });

  it('counts commands for each node, without gaps or doubles, also in a crowd', async () => {
    const ids = Array.from(
      { length: 1_200 },
      (_, index) => `nod_${String(index).padStart(8, '0')}`,
    );
    const { nodes, database } = await withNodes(await openTestDatabase(), ids);
    const shuffled = [...ids].reverse();
    const rounds = await Promise.all(
      [ids, shuffled, ids].map((wanted) =>
        database.transaction((tx) => nodes.nextGenerations(tx, [...wanted, 'nod_unknown0'])),
      ),
    );
    for (const id of ids) {
      expect(rounds.map((round) => round.get(id)?.generation).sort()).toEqual([1, 2, 3]);
    }
    expect(rounds[0]?.size).toBe(1_200);
  });

  it('gives every node of a group, in order of id', async () => {
    const ids = ['nod_c00000', 'nod_a00000', 'nod_b00000'];
    const { nodes } = await withNodes(await openTestDatabase(), ids);
    expect((await nodes.listInGroups(['grp_default'])).map((node) => node.id)).toEqual(
      [...ids].sort(),
    );
    expect(await nodes.listInGroups([])).toEqual([]);
  });
});

describeOnBothDatabases('the book of health', (openTestDatabase) => {
  const setUp = async () => {
    const { nodes, database } = await withNodes(await openTestDatabase(), ['nod_one000']);
    const clock = makeClock();
    const book = new HealthBook(database, nodes, clock, silentLog);
    const stored = async () => {
      await book.flush();
      const node = await nodes.find('nod_one000');
      return { version: node?.services[0]?.version, seenAt: node?.lastSeenAt ?? 0 };
    };
    return { book, clock, stored, nodes, database };
  };

  it('leaves a node alone that another manager has by now, and one that was revoked', async () => {
    const { book, clock, stored, nodes, database } = await setUp();
    const heldBy = (managerId: string) =>
      database.transaction((tx) =>
        tx.run('UPDATE nodes SET link_manager = ? WHERE id = ?', [managerId, 'nod_one000']),
      );
    book.writesAs(() => 'mgr_one');
    await heldBy('mgr_one');
    book.record('nod_one000', aHealth('1.0.0'));
    const { seenAt } = await stored();
    const aMinuteLater = async (version: string) => {
      clock.advance(MINUTE_MS);
      book.record('nod_one000', aHealth(version));
      return await stored();
    };
    await heldBy('mgr_two');
    expect(await aMinuteLater('1.0.0')).toEqual({ version: '1.0.0', seenAt });
    expect(await aMinuteLater('2.0.0')).toEqual({ version: '1.0.0', seenAt });
    await heldBy('mgr_one');
    const again = await aMinuteLater('2.0.0');
    expect(again.seenAt).toBeGreaterThan(seenAt);
    await database.transaction((tx) => nodes.revoke(tx, 'nod_one000', clock.now()));
    expect(await aMinuteLater('2.0.0')).toEqual(again);
  });

  it('writes a change with the next batch, and the same again once a minute only', async () => {
    const { book, clock, stored } = await setUp();
    book.record('nod_one000', aHealth('1.0.0'));
    const first = await stored();
    expect(first.version).toBe('1.0.0');
    clock.advance(MINUTE_MS / 4);
    book.record('nod_one000', aHealth('1.0.0'));
    expect(await stored()).toEqual(first);
    expect(book.seenAt('nod_one000')).toBeGreaterThan(first.seenAt);
    book.record('nod_one000', aHealth('1.1.0'));
    const second = await stored();
    expect(second.version).toBe('1.1.0');
    clock.advance(MINUTE_MS);
    book.record('nod_one000', aHealth('1.1.0'));
    expect((await stored()).seenAt).toBeGreaterThanOrEqual(second.seenAt + MINUTE_MS);
  });

  it('does not write again what a hello told a moment ago', async () => {
    const { book, clock, stored } = await setUp();
    const before = await stored();
    book.wrote('nod_one000', aHealth('1.0.0').services, clock.now());
    book.record('nod_one000', aHealth('1.0.0'));
    expect(await stored()).toEqual(before);
    book.record('nod_one000', aHealth('1.1.0'));
    expect((await stored()).version).toBe('1.1.0');
  });

  it('forgets what waits when newer facts came another way', async () => {
    const { book, stored } = await setUp();
    book.record('nod_one000', aHealth('1.0.0'));
    book.forget('nod_one000');
    expect((await stored()).version).toBeUndefined();
    expect(book.seenAt('nod_one000')).toBeNull();
  });
});

describeOnBothDatabases('command numbers', (open) => {
  it('go on behind what a node has seen, and never back', async () => {
    const { nodes, database } = await withNodes(await open(), ['nod_aaaaaa', 'nod_bbbbbb']);
    const catchUp = (generation: number, nodeId = 'nod_aaaaaa') =>
      database.transaction(async (tx) => {
        const hello = aHello({ generation });
        const coming = [{ nodeId, hello, transport: 'socket' as const, link: null }];
        return (await writeArrivals(tx, database.kind, coming, 6_000)).get(nodeId)?.behind;
      });
    const next = async () => {
      const ids = ['nod_aaaaaa', 'nod_bbbbbb'];
      const made = await database.transaction((tx) => nodes.nextGenerations(tx, ids));
      return Object.fromEntries([...made].map(([id, { generation }]) => [id, generation]));
    };
    expect(await next()).toEqual({ nod_aaaaaa: 1, nod_bbbbbb: 1 });
    expect(await catchUp(41)).toBe(40);
    expect(await catchUp(41)).toBe(0);
    expect(await catchUp(3)).toBe(0);
    expect(await next()).toEqual({ nod_aaaaaa: 42, nod_bbbbbb: 2 });
    expect(await catchUp(GENERATION_MAX)).toBe(GENERATION_MAX - 42);
    expect(await next()).toEqual({ nod_aaaaaa: GENERATION_MAX + 1, nod_bbbbbb: 3 });
    expect(await catchUp(5, 'nod_cccccc')).toBeUndefined();
  });
});
