// `npm run test:sinks -- --kills 1000 --events 200000 --seed S`: managers and receivers are killed at random while
// events flow, on SQLite with one manager and on PostgreSQL with three.
import { spawn } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const ROOT = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const KILLS_MAX = 10_000;
const EVENTS_MAX = 1_000_000;

const fail = (message) => {
  console.error(
    `test:sinks: ${message}\nusage: npm run test:sinks -- [--kills N] [--events N] [--seed TEXT]`,
  );
  process.exit(2);
};

let options;
try {
  options = parseArgs({
    options: {
      kills: { type: 'string', default: '100' },
      events: { type: 'string', default: '20000' },
      seed: { type: 'string', default: '1' },
    },
  }).values;
} catch (error) {
  fail(error.message);
}
const { kills, events, seed } = options;
const isCount = (text, most) => /^[1-9]\d{0,6}$/.test(text) && Number(text) <= most;
if (!isCount(kills, KILLS_MAX)) fail(`--kills takes 1 to ${KILLS_MAX}`);
if (!isCount(events, EVENTS_MAX)) fail(`--events takes 1 to ${EVENTS_MAX}`);

const child = spawn(
  process.execPath,
  [join(ROOT, 'node_modules/vitest/vitest.mjs'), 'run', 'test/sinks'],
  {
    cwd: ROOT,
    stdio: 'inherit',
    env: { ...process.env, SINK_KILLS: kills, SINK_EVENTS: events, SINK_SEED: seed },
  },
);
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal));
child.on('exit', (code) => process.exit(code ?? 1));
