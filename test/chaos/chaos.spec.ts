import { mkdirSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { seededRandom } from '../../src/core/kernel/index.js';
import { buildPrograms } from '../support/built.js';
import { makeTempDir } from '../support/databases.js';
import { oneRun, type Outcome } from './one-run.js';
import { detailsOf, lineOf, summaryOf } from './report.js';

/** `npm run chaos` sets these; see run.mjs. */
const { env } = process;
const IS_LONG = env['CHAOS_RUNS'] !== undefined;
const RUNS = Number(env['CHAOS_RUNS'] ?? 1);
const SEED = env['CHAOS_SEED'] ?? '1';
const ONLY = (env['CHAOS_ONLY'] ?? (IS_LONG ? '' : 'manager-killed')).split(',').filter(Boolean);
const NODES = Number(env['CHAOS_NODES'] ?? 24);
const STORE = env['CHAOS_STORE'] ?? 'sqlite';
const LASTS_MS_MAX = Number(env['CHAOS_SECONDS'] ?? 3) * 1_000;
const STRIKES = Number(env['CHAOS_STRIKES'] ?? 2);
/** What a run takes in the worst case: three minutes until it is given up, and its beginning. */
const RUN_MS_MAX = 420_000;

const storeOf = (index: number): 'sqlite' | 'postgres' => {
  if (STORE === 'both') return index % 3 === 0 ? 'sqlite' : 'postgres';
  return STORE === 'postgres' ? 'postgres' : 'sqlite';
};

describe('whatever breaks', () => {
  let programs: ReturnType<typeof buildPrograms>;
  const outcomes: Outcome[] = [];
  const ownDir = env['CHAOS_OUT'] === undefined ? makeTempDir() : null;
  const out = env['CHAOS_OUT'] ?? ownDir?.path ?? '';

  beforeAll(() => {
    programs = buildPrograms();
    mkdirSync(out, { recursive: true });
  });
  afterAll(() => {
    programs.remove();
    if (IS_LONG && outcomes.length > 0) {
      writeFileSync(join(out, 'summary.md'), summaryOf(outcomes));
      writeFileSync(join(out, 'outcomes.json'), `${JSON.stringify(outcomes, null, 2)}\n`);
    }
    // What failed is kept, to be looked at.
    if (outcomes.every(({ violations }) => violations.length === 0)) ownDir?.remove();
  });

  it.each(Array.from({ length: RUNS }, (_, index) => index))(
    'rollouts end right, within their limits, with nothing lost and nothing twice (%i)',
    async (index) => {
      const seed = RUNS === 1 && index === 0 ? SEED : `${SEED}.${index}`;
      const store = storeOf(index);
      const outcome = await oneRun({
        ...{ programs: programs.path, seed, nodes: NODES, store },
        managers: store === 'sqlite' ? 1 : 2 + seededRandom(`${seed}/managers`).below(2),
        ...{ only: ONLY, strikes: STRIKES, lastsMsMax: LASTS_MS_MAX },
        folder: join(out, `run-${index}`),
      });
      outcomes.push(outcome);
      if (IS_LONG) writeSync(2, `${lineOf(outcome)}\n`);
      if (outcome.violations.length > 0) {
        expect.fail(`${lineOf(outcome)}\n${detailsOf(outcome)}`);
      }
      // Diaries and logs of what went well are of no use.
      for (const name of ['nodes', 'logs', 'events.ndjson', 'audit.ndjson', 'audit.checkpoint']) {
        rmSync(join(outcome.folder, name), { recursive: true, force: true });
      }
    },
    RUN_MS_MAX,
  );
});
