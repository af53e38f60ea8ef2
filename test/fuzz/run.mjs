// `npm run fuzz -- --runs 20000 --http 300 --links 2000 --seed S`: much more of what `npm test` does a little
// of. Mutants that reach new code are kept and mutated further.
import { spawn } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const ROOT = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const MOST = 10_000_000;

const fail = (message) => {
  console.error(
    `fuzz: ${message}\nusage: npm run fuzz -- [--runs N] [--http N] [--links N] [--seed TEXT] [--only TEXT]`,
  );
  process.exit(2);
};

let options;
try {
  options = parseArgs({
    options: {
      runs: { type: 'string', default: '20000' },
      http: { type: 'string', default: '300' },
      links: { type: 'string', default: '2000' },
      seed: { type: 'string', default: '1' },
      only: { type: 'string', default: '' },
    },
  }).values;
} catch (error) {
  fail(error.message);
}
for (const name of ['runs', 'http', 'links']) {
  const isCount = /^[1-9]\d{0,7}$/.test(options[name]) && Number(options[name]) <= MOST;
  if (!isCount) fail(`--${name} takes 1 to ${MOST}`);
}

const child = spawn(
  process.execPath,
  [
    ...[join(ROOT, 'node_modules/vitest/vitest.mjs'), 'run', 'test/fuzz'],
    ...(options.only === '' ? [] : ['-t', options.only]),
  ],
  {
    cwd: ROOT,
    stdio: 'inherit',
    env: {
      ...process.env,
      FUZZ_RUNS: options.runs,
      FUZZ_HTTP_RUNS: options.http,
      FUZZ_LINKS: options.links,
      FUZZ_SEED: options.seed,
    },
  },
);
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal));
child.on('exit', (code) => process.exit(code ?? 1));
