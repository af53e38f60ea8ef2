// `npm run chaos -- --runs N --seed S --only FAULT,… --nodes N --store sqlite|postgres|both`: rollouts over real sockets
// while processes, stores, networks, disks and clocks fail; see README.md.
import { spawn } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const ROOT = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

const USAGE =
  'usage: npm run chaos -- [--runs N] [--seed TEXT] [--only FAULT,…] [--nodes N] [--store sqlite|postgres|both]\n' +
  '                        [--strikes N] [--seconds N] [--out FOLDER]';
const fail = (message) => {
  console.error(`chaos: ${message}\n${USAGE}`);
  process.exit(2);
};

let given;
try {
  given = parseArgs({
    options: {
      runs: { type: 'string', default: '10' },
      seed: { type: 'string', default: String(Date.now()) },
      only: { type: 'string', default: '' },
      nodes: { type: 'string', default: '60' },
      store: { type: 'string', default: 'both' },
      strikes: { type: 'string', default: '3' },
      seconds: { type: 'string', default: '12' },
      out: { type: 'string' },
    },
  }).values;
} catch (error) {
  fail(error.message);
}
const whole = (name, least, most) => {
  const text = given[name];
  const isWhole = /^\d{1,6}$/.test(text) && Number(text) >= least && Number(text) <= most;
  if (!isWhole) fail(`--${name} takes ${least} to ${most}`);
  return text;
};
if (!['sqlite', 'postgres', 'both'].includes(given.store))
  fail('--store takes sqlite, postgres or both');
if (!/^[a-z,-]*$/.test(given.only)) fail('--only takes names of faults with commas between');
if (!/^[\w.-]{1,40}$/.test(given.seed)) fail('--seed takes letters, digits, dots and dashes');
const out = given.out ?? mkdtempSync(join(tmpdir(), 'bellwether-chaos-'));

const child = spawn(
  process.execPath,
  [
    join(ROOT, 'node_modules/vitest/vitest.mjs'),
    ...['run', 'test/chaos/chaos.spec.ts', '--reporter', 'dot'],
  ],
  {
    cwd: ROOT,
    stdio: 'inherit',
    // A group of its own: whoever interrupts this ends managers, stores and nodes, too.
    detached: true,
    env: {
      ...process.env,
      CHAOS_RUNS: whole('runs', 1, 10_000),
      CHAOS_SEED: given.seed,
      CHAOS_ONLY: given.only,
      CHAOS_NODES: whole('nodes', 6, 2_000),
      CHAOS_STORE: given.store,
      CHAOS_STRIKES: whole('strikes', 1, 20),
      CHAOS_SECONDS: whole('seconds', 1, 60),
      CHAOS_OUT: out,
    },
  },
);
const end = (signal) => {
  try {
    process.kill(-child.pid, signal);
  } catch (error) {
    if (error.code !== 'ESRCH') throw error;
  }
};
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => end('SIGKILL'));
child.on('exit', (code) => {
  end('SIGKILL');
  console.error(`chaos: seed ${given.seed}; ${join(out, 'summary.md')}`);
  process.exit(code ?? 1);
});
