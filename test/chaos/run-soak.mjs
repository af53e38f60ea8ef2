// `npm run soak -- --minutes 60`: rollouts one after another, reconnects, streams and sinks, with samples of all that
// could grow; see README.md.
import { spawn } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const ROOT = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const fail = (message) => {
  console.error(
    `soak: ${message}\nusage: npm run soak -- [--minutes N] [--nodes N] [--store sqlite|postgres] [--out FOLDER]`,
  );
  process.exit(2);
};

let given;
try {
  given = parseArgs({
    options: {
      minutes: { type: 'string', default: '60' },
      nodes: { type: 'string', default: '40' },
      store: { type: 'string', default: 'sqlite' },
      out: { type: 'string' },
    },
  }).values;
} catch (error) {
  fail(error.message);
}
const isWhole = (text, most) => /^[1-9]\d{0,4}$/.test(text) && Number(text) <= most;
if (!isWhole(given.minutes, 1_440)) fail('--minutes takes 1 to 1440');
if (!isWhole(given.nodes, 2_000)) fail('--nodes takes 1 to 2000');
if (!['sqlite', 'postgres'].includes(given.store)) fail('--store takes sqlite or postgres');
const out = given.out ?? mkdtempSync(join(tmpdir(), 'bellwether-soak-'));

const child = spawn(
  process.execPath,
  [join(ROOT, 'node_modules/vitest/vitest.mjs'), 'run', '--config', 'test/chaos/vitest.config.ts'],
  {
    cwd: ROOT,
    stdio: 'inherit',
    // A group of its own: whoever interrupts this ends managers, stores and nodes, too.
    detached: true,
    env: {
      ...process.env,
      SOAK_MINUTES: given.minutes,
      SOAK_NODES: given.nodes,
      SOAK_STORE: given.store,
      SOAK_OUT: out,
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
  console.error(`soak: ${join(out, 'soak.md')}`);
  process.exit(code ?? 1);
});
