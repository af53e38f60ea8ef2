import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  openWorldDatabase,
  runWorld,
  type WorldDatabase,
  type WorldResult,
} from '../../src/simulator/world/index.js';

/** About as many seconds; `npm run sim` does thousands. */
const ROLLOUTS = 75;

let database: WorldDatabase;
beforeAll(async () => {
  database = await openWorldDatabase();
});
afterAll(() => database.close());

async function explore(seed: string): Promise<string[]> {
  const wrong: string[] = [];
  let rollouts = 0;
  for (let run = 0; rollouts < ROLLOUTS; run += 1) {
    const result = await runWorld({ seed: `${seed}/${run}`, database });
    rollouts += result.rollouts;
    if (result.violation === null) continue;
    wrong.push(`${result.violation.message}\n  npm run sim -- --seed ${seed} --only ${run}`);
  }
  return wrong;
}

const factsOf = ({ violation, faults, deeds, ...rest }: WorldResult): object => ({
  ...rest,
  faults: [...faults],
  deeds: [...deeds],
  violation: violation?.message,
});

describe('the simulator', () => {
  it('finds nothing wrong in known worlds', { timeout: 120_000 }, async () => {
    expect(await explore('known')).toEqual([]);
  });

  it(
    'finds nothing wrong in more worlds, or in those of BELLWETHER_TEST_SEED',
    { timeout: 120_000 },
    async () => {
      expect(await explore(process.env['BELLWETHER_TEST_SEED'] ?? 'more')).toEqual([]);
    },
  );

  it('repeats a run exactly, whatever ran before it', { timeout: 60_000 }, async () => {
    const options = { seed: 'again/3', database, hasHistory: true };
    const first = await runWorld(options);
    await runWorld({ seed: 'between', database });
    expect(factsOf(await runWorld(options))).toEqual(factsOf(first));
    expect(first.history.length).toBeGreaterThan(10);
  });
});
