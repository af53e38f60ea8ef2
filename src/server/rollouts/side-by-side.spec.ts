import { afterEach, describe, expect, it } from 'vitest';
import {
  makeMigratedPostgres,
  makeTempDir,
  queryOn,
  silentLog,
} from '../../../test/support/databases.js';
import { rolloutsOn, type TestRollouts } from '../../../test/support/rollouts.js';
import type { ServiceReport } from '../../protocol/node/index.js';
import { openDatabase } from '../platform/index.js';

const NODES = 60;
const cleanUps: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

/** Managers of one PostgreSQL, each with its own connections. */
async function twoManagers() {
  const made = await makeMigratedPostgres();
  cleanUps.push(() => made.drop());
  const managers: TestRollouts[] = [];
  for (let index = 0; index < 2; index += 1) {
    const dir = makeTempDir();
    cleanUps.push(() => dir.remove());
    managers.push(
      rolloutsOn(await openDatabase({ url: made.url, dataDir: dir.path, log: silentLog })),
    );
  }
  const stop = async (): Promise<void> => {
    for (const manager of managers.splice(0)) {
      await manager.stop();
      await manager.database.close();
    }
  };
  cleanUps.push(stop);
  return { managers: [...managers] as [TestRollouts, TestRollouts], stop, url: made.url };
}

describe('managers on one PostgreSQL', () => {
  it('never wait for each other in a circle, whatever nodes say at once', async () => {
    const { managers, stop, url } = await twoManagers();
    const [one] = managers;
    const nodes = await one.enroll(NODES);
    await one.publish('2.0.0');
    const id = await one.create({ nodes, wavePercents: [100] });
    await one.sweeper.sweep();
    const services = (round: number): ServiceReport[] =>
      (nodes[0]?.services ?? []).map((service) => ({ ...service, version: `1.0.${round}` }));
    // Each node is with one of the two, and says all that it can say, in another order than the others.
    for (let round = 1; round <= 3; round += 1) {
      await Promise.all(
        nodes.flatMap(({ id: node }, index) => {
          const at = managers[index % 2] as TestRollouts;
          at.health.record(node, { type: 'health', services: services(round) } as never);
          return [
            at.tell(id, node, 'upgrade_started'),
            at.tell(id, node, 'upgrade_swapping'),
            at.presence(node, true, services(round)),
            at.ask(id, node),
            index % 10 < 2 ? at.health.flush() : Promise.resolve(),
          ];
        }),
      );
    }
    await stop();
    const [told] = (await queryOn(
      url,
      'SELECT deadlocks::int, xact_commit::int AS commits FROM pg_stat_database WHERE datname = current_database()',
    )) as { deadlocks: number; commits: number }[];
    expect(told?.commits).toBeGreaterThan(NODES);
    expect(told?.deadlocks).toBe(0);
  }, 120_000);
});
