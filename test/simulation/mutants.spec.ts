import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  openWorldDatabase,
  runWorld,
  type Violation,
  type WorldDatabase,
} from '../../src/simulator/world/index.js';
import { PLANTED_BUGS } from './mutants.js';

/** Within so many runs a planted bug is found, or the simulator is not worth its time. */
const RUNS_MAX = 500;

let database: WorldDatabase;
beforeAll(async () => {
  database = await openWorldDatabase();
});
afterAll(() => database.close());

describe('a planted bug is found', () => {
  for (const { mutant, foundBy } of PLANTED_BUGS) {
    it(mutant.name, { timeout: 120_000 }, async () => {
      let found: Violation | null = null;
      for (let run = 0; run < RUNS_MAX && found === null; run += 1) {
        found = (await runWorld({ seed: `mutants/${run}`, database, mutant })).violation;
      }
      expect(foundBy, found?.message ?? 'never found').toContain(found?.rule);
    });
  }
});
