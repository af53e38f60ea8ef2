// `npm run test:agent`: builds the agent twice, which must give the same bytes, and tests exactly what
// was built, on the kind of machine that this is (the other executable is assembled only). First the
// specs that start the agent as a process, with the executable; then the specs of its parts, on the
// runtime inside that same executable.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const out = join(root, 'dist', 'bellwether-agent');
const binary = join(out, `linux-${process.arch}`, 'bellwether-agent');
const vitest = join(root, 'node_modules', 'vitest', 'vitest.mjs');

const WITH_PROCESSES = [
  'main-line',
  'agent-crash',
  'manager-crash',
  'install',
  'agent-upgrade',
].map((name) => `test/e2e/${name}.spec.ts`);

const run = (command, args, env = {}) => {
  const options = { cwd: root, stdio: 'inherit', env: { ...process.env, ...env } };
  const { status } = spawnSync(command, args, options);
  if (status !== 0) process.exit(status ?? 1);
};
const build = (to) =>
  run(process.execPath, [join(root, 'scripts', 'build-agent.mjs'), '--out', to]);
const sums = (of) => readFileSync(join(of, 'SHA256SUMS'), 'utf8');

build(out);
const second = mkdtempSync(join(tmpdir(), 'bellwether-agent-'));
build(second);
const isSame = sums(out) === sums(second);
rmSync(second, { recursive: true });
if (!isSame) {
  console.error('test-agent: two builds of the same sources gave different bytes');
  process.exit(1);
}
run(process.execPath, [vitest, 'run', ...WITH_PROCESSES], { BELLWETHER_AGENT_BINARY: binary });
run(binary, [vitest, 'run', '--config', 'test/shipped/vitest.config.ts'], { BUN_BE_BUN: '1' });
