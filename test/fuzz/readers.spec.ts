import { describe, expect, it } from 'vitest';
import { explore } from './explore.js';
import { TARGETS } from './targets.js';

/** A short look with every test run; `npm run fuzz` gives these. */
const RUNS = Number(process.env['FUZZ_RUNS'] ?? 400);
const SEED = process.env['FUZZ_SEED'] ?? '1';
const IS_LONG = process.env['FUZZ_RUNS'] !== undefined;

describe('whatever bytes come', () => {
  it.each(TARGETS)(
    '$name is taken or refused, and nothing else happens',
    { timeout: 3_600_000 },
    async (target) => {
      // What the mutants are made of is good: otherwise they were all refused at the first look.
      expect(['taken', 'whole']).toContain(target.judge(target.seeds[0] ?? Buffer.alloc(0)));
      const { runs, corpus, verdicts } = await explore(target, {
        runs: RUNS,
        seed: SEED,
        isGuided: IS_LONG,
      });
      const told = [...verdicts].map(([verdict, count]) => `${verdict} ${count}`).join(', ');
      if (IS_LONG) console.info(`${target.name}: ${runs} inputs, ${corpus} kept; ${told}`);
      expect(verdicts.size, told).toBeGreaterThan(1);
    },
  );
});
