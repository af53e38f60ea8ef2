// `npm run test:faults -- --runs 200 --seed S`: random orders, kills at random points and times. What
// happens in a run follows from the seed, the number of runs and the number of agents beside each other.
import { spawn } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const ROOT = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const RUNS_MAX = 10_000;
const LANES_MAX = 16;

const fail = (message) => {
  console.error(
    `test:faults: ${message}\nusage: npm run test:faults -- [--runs N] [--seed TEXT] [--lanes N]`,
  );
  process.exit(2);
};

let options;
try {
  options = parseArgs({
    options: {
      runs: { type: 'string', default: '200' },
      seed: { type: 'string', default: '1' },
      lanes: { type: 'string', default: '4' },
    },
  }).values;
} catch (error) {
  fail(error.message);
}
const { runs, seed, lanes } = options;
const isCount = (text, most) => /^[1-9]\d{0,4}$/.test(text) && Number(text) <= most;
if (!isCount(runs, RUNS_MAX)) fail(`--runs takes 1 to ${RUNS_MAX}`);
if (!isCount(lanes, LANES_MAX)) fail(`--lanes takes 1 to ${LANES_MAX}`);

const child = spawn(
  process.execPath,
  [join(ROOT, 'node_modules/vitest/vitest.mjs'), 'run', 'test/faults'],
  {
    cwd: ROOT,
    stdio: 'inherit',
    env: { ...process.env, FAULT_RUNS: runs, FAULT_SEED: seed, FAULT_LANES: lanes },
  },
);
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal));
child.on('exit', (code) => process.exit(code ?? 1));
