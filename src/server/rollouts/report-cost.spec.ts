import { afterEach, expect, it } from 'vitest';
import { describeOnBothDatabases } from '../../../test/support/databases.js';
import { lookAt, rolloutsOn, type TestRollouts } from '../../../test/support/rollouts.js';
import { aHello, aService } from '../../../test/support/node-link.js';
import { JointCommits, type Database, type Sql, type Tx } from '../platform/database/index.js';

const running: TestRollouts[] = [];
afterEach(async () => {
  for (const rollouts of running.splice(0)) await rollouts.stop();
});

interface Count {
  statements: number;
  rows: number;
  /** Of the statements, those that write. */
  writes: number;
}

/** The same database, with every statement and every row that comes back counted. */
function counting(database: Database): { database: Database; take(): Count } {
  let count: Count = { statements: 0, rows: 0, writes: 0 };
  const wrap = <T extends Sql>(sql: T): T => ({
    ...(['beforeCommit', 'afterCommit'] as const).reduce<Partial<Tx>>(
      (both, name) =>
        name in sql ? { ...both, [name]: (sql as unknown as Tx)[name].bind(sql) } : both,
      {},
    ),
    ...sql,
    all: async <Row>(...given: Parameters<Sql['all']>): Promise<Row[]> => {
      const rows = await sql.all<Row>(...given);
      count = { ...count, statements: count.statements + 1, rows: count.rows + rows.length };
      return rows;
    },
    get: async <Row>(...given: Parameters<Sql['get']>): Promise<Row | undefined> => {
      const row = await sql.get<Row>(...given);
      count = {
        ...count,
        statements: count.statements + 1,
        rows: count.rows + (row === undefined ? 0 : 1),
      };
      return row;
    },
    run: async (...given: Parameters<Sql['run']>): Promise<number> => {
      const changed = await sql.run(...given);
      count = {
        statements: count.statements + 1,
        rows: count.rows + changed,
        writes: count.writes + 1,
      };
      return changed;
    },
    insertRows: async (...given: Parameters<Tx['insertRows']>): Promise<void> => {
      await (sql as unknown as Tx).insertRows(...given);
      count = {
        statements: count.statements + 1,
        rows: count.rows + given[1].length,
        writes: count.writes + 1,
      };
    },
  });
  // One wrap a transaction: what works share is kept by it.
  const transaction = <T>(work: (tx: Tx) => Promise<T>) =>
    database.transaction((tx) => work(wrap(tx)));
  const joint = new JointCommits({ kind: database.kind, transaction });
  const counted = {
    kind: database.kind,
    read: wrap(database.read),
    transaction,
    together: joint.transaction.bind(joint),
    batched: database.batched.bind(database),
    close: () => database.close(),
  };
  return {
    database: counted as unknown as Database,
    take: () => {
      const taken = count;
      count = { statements: 0, rows: 0, writes: 0 };
      return taken;
    },
  };
}

describeOnBothDatabases('what one node says', (openTestDatabase) => {
  /** Statements and rows of each step of one node in a rollout over so many. */
  async function costs(size: number): Promise<Record<string, Count>> {
    const { database, take } = counting(await openTestDatabase());
    const manager = rolloutsOn(database);
    running.push(manager);
    // Nothing else runs meanwhile.
    await manager.wakeups.close();
    const nodes = await manager.enroll(size);
    const id = await manager.create({
      nodes,
      wavePercents: [100],
      terms: { maxUnavailable: { count: 3 } },
    });
    for (let offered = 0; offered < size; offered += 500) await manager.orchestrator.wake(id);
    const { targets } = await lookAt(database, id);
    expect(targets.every((target) => target.state === 'offered')).toBe(true);
    const middle = targets[Math.floor(size / 2)];
    if (middle === undefined) throw new Error('no target');
    const { nodeId, commandId } = middle;
    const node = manager.identity(nodeId);
    const steps: Record<string, () => Promise<unknown>> = {
      ack: () =>
        manager.nodeSide.acked(node, {
          type: 'ack',
          command_id: commandId ?? '',
          result: 'accepted',
        }),
      started: () => manager.tell(id, nodeId, 'upgrade_started'),
      staged: () => manager.tell(id, nodeId, 'upgrade_staged'),
      permit: () => manager.ask(id, nodeId),
      hello: () => manager.presence(nodeId, true, [aService({ version: '2.0.0' })]),
      completed: () => manager.tell(id, nodeId, 'upgrade_completed'),
      echo: () => manager.tell(id, nodeId, 'upgrade_completed'),
    };
    const cost: Record<string, Count> = {};
    for (const [name, step] of Object.entries(steps)) {
      take();
      await step();
      cost[name] = take();
    }
    expect((await lookAt(database, id)).state.waves[0]?.counts.succeeded).toBe(1);
    return cost;
  }

  it('costs the same statements and rows in a rollout of ten nodes and of two thousand', async () => {
    const [small, large] = [await costs(10), await costs(2_000)];
    expect(large).toEqual(small);
    expect(Object.values(small).every((count) => count.statements > 0)).toBe(true);
  }, 120_000);

  it('costs less a node, the more of them say it at the same time', async () => {
    const { database, take } = counting(await openTestDatabase());
    const manager = rolloutsOn(database);
    running.push(manager);
    await manager.wakeups.close();
    const nodes = await manager.enroll(40);
    const terms = { maxUnavailable: { count: 3 } };
    const id = await manager.create({ nodes, wavePercents: [100], terms });
    const { targets } = await lookAt(database, id);
    const perNode = async (step: (nodeId: string) => Promise<unknown>): Promise<number> => {
      take();
      await Promise.all(nodes.map((node) => step(node.id)));
      return take().statements / nodes.length;
    };
    const commandOf = new Map(targets.map(({ nodeId, commandId }) => [nodeId, commandId ?? '']));
    const acked = await perNode((nodeId) => {
      const ack = { type: 'ack', command_id: commandOf.get(nodeId) ?? '' } as const;
      return manager.nodeSide.acked(manager.identity(nodeId), { ...ack, result: 'accepted' });
    });
    const asked = await perNode((nodeId) => manager.ask(id, nodeId));
    const denied = await perNode((nodeId) => manager.ask(id, nodeId));
    // Alone each takes four and more. How many share depends on how fast the database is.
    expect(Math.max(acked, asked, denied)).toBeLessThan(3);
    const { state } = await lookAt(database, id);
    expect(state.waves[0]?.counts).toMatchObject({ swapping: 3, staged: 37 });
  });

  it('is not written when it is nothing new: a denial again, a hello again', async () => {
    const { database, take } = counting(await openTestDatabase());
    const manager = rolloutsOn(database);
    running.push(manager);
    await manager.wakeups.close();
    const nodes = await manager.enroll(2);
    const terms = { maxUnavailable: { count: 1 } };
    const id = await manager.create({ nodes, wavePercents: [100], terms });
    const [one, two] = nodes.map((node) => node.id);
    if (one === undefined || two === undefined) throw new Error('no nodes');
    await manager.ask(id, one);
    const writesOf = async (step: () => Promise<unknown>) => {
      take();
      await step();
      return take().writes;
    };
    const ask = () => manager.ask(id, two);
    const hello = () => manager.nodeSide.reported(manager.identity(two), aHello());
    // The first one says that it has staged and waits.
    expect(await writesOf(ask)).toBeGreaterThan(0);
    expect([await writesOf(ask), await writesOf(ask), await writesOf(hello)]).toEqual([0, 0, 0]);
  });
});
