// `npm run test:stream -- --kills 1000 --events 200000 --seed S`: manager and consumers are killed at random
// moments while events flow; what the consumers have is then held against what is stored.
import { spawn } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const ROOT = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const KILLS_MAX = 100_000;
const EVENTS_MAX = 10_000_000;

const fail = (message) => {
  console.error(
    `test:stream: ${message}\nusage: npm run test:stream -- [--kills N] [--events N] [--seed TEXT] [--postgres]`,
  );
  process.exit(2);
};

let options;
try {
  options = parseArgs({
    options: {
      kills: { type: 'string', default: '1000' },
      events: { type: 'string', default: '200000' },
      seed: { type: 'string', default: '1' },
      postgres: { type: 'boolean', default: false },
    },
  }).values;
} catch (error) {
  fail(error.message);
}
const { kills, events, seed, postgres } = options;
const isCount = (text, most) => /^[1-9]\d{0,7}$/.test(text) && Number(text) <= most;
if (!isCount(kills, KILLS_MAX)) fail(`--kills takes 1 to ${KILLS_MAX}`);
if (!isCount(events, EVENTS_MAX)) fail(`--events takes 1 to ${EVENTS_MAX}`);

const child = spawn(
  process.execPath,
  [join(ROOT, 'node_modules/vitest/vitest.mjs'), 'run', 'test/stream'],
  {
    cwd: ROOT,
    stdio: 'inherit',
    env: {
      ...process.env,
      STREAM_KILLS: kills,
      STREAM_EVENTS: events,
      STREAM_SEED: seed,
      STREAM_DATABASE: postgres ? 'postgres' : 'sqlite',
    },
  },
);
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal));
child.on('exit', (code) => process.exit(code ?? 1));
