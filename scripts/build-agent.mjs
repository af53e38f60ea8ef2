// Builds what is shipped of the agent, from its sources, into one folder:
//
//   bellwether-agent.mjs     one plain JavaScript file, for a Node 24 that is there already
//   linux-x64/, linux-arm64/ what a node gets: the executable, units, installer, policy to start from
//   packages.json            the third-party code in it: name and version
//   SHA256SUMS               of all of that
//
//   node scripts/build-agent.mjs [--out DIR] [--js-only]
//
// The same commit gives the same bytes, in any folder and at any time. The runtime is not among the
// packages of this project, because only this script needs it: it is fetched by npm as one archive
// whose digest is written here, and nothing in it is run before that is compared. deploy/README.md
// says why it is this runtime.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { build } from 'esbuild';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const cache = join(root, 'node_modules', '.cache', 'bellwether-agent');

/** `baseline` runs on every x64 processor; the other build needs AVX2 and dies without a word. */
const RUNTIMES = {
  x64: {
    spec: '@oven/bun-linux-x64-baseline@1.4.4',
    target: 'bun-linux-x64-baseline',
    integrity:
      'sha512-FBU6T21NT+i+rESbi0Z8A8G5xN51c+WZ0v6pIjI6szSzOlqVNv64nf7FPnwNIyxKD1M7Wg5cEobLC/QbzCeLtA==',
  },
  arm64: {
    spec: '@oven/bun-linux-aarch64@1.4.4',
    target: 'bun-linux-arm64',
    integrity:
      'sha512-ZTVtpf9zmHSBVPX1sBwe5agGb/rN34yPGg/Hby8e2Ax2uCUA2URZKlZH7qLntK7qaFJCMXh9v0GWNYN2zINz1w==',
  },
};

/**
 * An executable of this runtime reads settings, and even code to load, from the folder that it is
 * started in, unless it is told not to. The agent runs as root: nothing that lies about may steer it.
 */
const READS_NOTHING_ELSE = ['dotenv', 'bunfig', 'tsconfig', 'package-json'].map(
  (what) => `--no-compile-autoload-${what}`,
);

/**
 * Most of the agent's code runs once: it is compiled to machine code ten times later than usual. That
 * saves about 4 MB of memory; digests and decompression are the runtime's own machine code anyway.
 */
const COMPILE_LATE = '--compile-jit-policy=10';

/**
 * zod gives all of itself, in fifty languages, to whoever imports its `z`; of a namespace a bundler
 * takes what is used. 450 kB less.
 */
const ONLY_WHAT_IS_USED_OF_ZOD = {
  name: 'only-what-is-used-of-zod',
  setup({ onLoad }) {
    onLoad({ filter: /[\\/]src[\\/].*\.ts$/ }, ({ path }) => {
      const text = readFileSync(path, 'utf8');
      const contents = text.replace(/^import \{ z \} from 'zod';$/m, "import * as z from 'zod';");
      return { loader: 'ts', contents };
    });
  },
};

const fail = (message) => {
  console.error(`build-agent: ${message}`);
  process.exit(1);
};

const runOrFail = (command, args, options = {}) => {
  const done = spawnSync(command, args, { encoding: 'utf8', ...options });
  if (done.status === 0) return done.stdout;
  fail(`${command} ${args[0]} failed: ${done.error?.message ?? `${done.stdout}${done.stderr}`}`);
};

/** One file with everything in it. Names are kept, so that a stack trace can be read. */
async function bundle(out) {
  const made = await build({
    absWorkingDir: root,
    entryPoints: ['src/agent/main.ts'],
    outfile: join(out, 'bellwether-agent.mjs'),
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node24',
    minifySyntax: true,
    minifyWhitespace: true,
    legalComments: 'none',
    preserveSymlinks: true,
    metafile: true,
    plugins: [ONLY_WHAT_IS_USED_OF_ZOD],
    logLevel: 'warning',
    // Packages of the older kind ask for the modules of Node by `require`.
    banner: {
      js: "import{createRequire as requireFrom}from'node:module';const require=requireFrom(import.meta.url);",
    },
  });
  chmodSync(join(out, 'bellwether-agent.mjs'), 0o755);
  return packagesIn(made.metafile);
}

/** Each package of which at least one byte is in the bundle, with where it lies. */
function packagesIn({ outputs }) {
  const folders = new Set();
  for (const { inputs } of Object.values(outputs)) {
    for (const [file, { bytesInOutput }] of Object.entries(inputs)) {
      const folder = /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(file)?.[0];
      if (folder !== undefined && bytesInOutput > 0) folders.add(folder);
    }
  }
  return [...folders].sort().map((folder) => {
    const { name, version, license } = JSON.parse(
      readFileSync(join(root, folder, 'package.json'), 'utf8'),
    );
    return { name, version, license, folder };
  });
}

/** What the licences ask for: their texts go where the code goes. */
function notices(packages) {
  const texts = packages.map(({ name, version, license, folder }) => {
    const file = readdirSync(join(root, folder)).find((one) => /^licen[cs]e/i.test(one));
    const text = file === undefined ? '' : readFileSync(join(root, folder, file), 'utf8');
    return `${name} ${version} (${license})\n\n${text.trim()}\n`;
  });
  return texts.join(`\n${'-'.repeat(72)}\n\n`);
}

/** The path of the runtime, fetched once and compared with its digest each time it is unpacked. */
function runtimeFor({ spec, integrity }) {
  const folder = join(cache, createHash('sha256').update(`${spec} ${integrity}`).digest('hex'));
  const program = join(folder, 'package', 'bin', 'bun');
  if (existsSync(program)) return program;
  mkdirSync(cache, { recursive: true });
  const draft = mkdtempSync(join(cache, 'draft-'));
  const args = ['pack', spec, '--silent', '--pack-destination', draft];
  const file = join(draft, runOrFail('npm', args, { cwd: draft }).trim().split('\n').at(-1));
  const found = `sha512-${createHash('sha512').update(readFileSync(file)).digest('base64')}`;
  if (found !== integrity) fail(`${spec} has the digest ${found}, not ${integrity}`);
  runOrFail('tar', ['-xzf', file, '-C', draft]);
  rmSync(file);
  // Another build may have been faster: its copy is as good.
  if (existsSync(folder)) rmSync(draft, { recursive: true });
  else renameSync(draft, folder);
  return program;
}

/** An executable: the runtime with the bundle behind it. Made in a folder of its own, with no environment. */
function compile(js, { arch, to, compiler }) {
  const work = mkdtempSync(join(tmpdir(), 'bellwether-agent-'));
  try {
    cpSync(js, join(work, 'bellwether-agent.mjs'));
    runOrFail(
      compiler,
      [
        ...[
          'build',
          '--compile',
          '--bytecode',
          '--format=esm',
          COMPILE_LATE,
          `--target=${RUNTIMES[arch].target}`,
          ...READS_NOTHING_ELSE,
        ],
        `--compile-executable-path=${runtimeFor(RUNTIMES[arch])}`,
        ...['--outfile=bellwether-agent', 'bellwether-agent.mjs'],
      ],
      { cwd: work, env: { PATH: process.env.PATH, HOME: work, TZ: 'UTC' } },
    );
    cpSync(join(work, 'bellwether-agent'), to);
    chmodSync(to, 0o755);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** Beside the executable: what the installer puts onto the node. */
function furnish(folder, packages) {
  for (const name of ['install.sh', 'policy.toml', 'systemd']) {
    const from = join(root, 'deploy', name);
    if (existsSync(from)) cpSync(from, join(folder, name), { recursive: true });
  }
  cpSync(join(root, 'LICENSE'), join(folder, 'LICENSE'));
  writeFileSync(join(folder, 'THIRD-PARTY.txt'), notices(packages));
}

function sums(out) {
  const files = readdirSync(out, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name !== 'SHA256SUMS')
    .map((entry) => relative(out, join(entry.parentPath, entry.name)))
    .sort();
  const digest = (file) =>
    createHash('sha256')
      .update(readFileSync(join(out, file)))
      .digest('hex');
  return files.map((file) => `${digest(file)}  ${file}\n`).join('');
}

const { values } = parseArgs({
  options: { out: { type: 'string' }, 'js-only': { type: 'boolean', default: false } },
});
const out = resolve(values.out ?? join(root, 'dist', 'bellwether-agent'));
rmSync(out, { recursive: true, force: true });
mkdirSync(out, { recursive: true });
const packages = await bundle(out);
const listed = packages.map(({ name, version, license }) => ({ name, version, license }));
writeFileSync(join(out, 'packages.json'), `${JSON.stringify(listed, null, 2)}\n`);
if (!values['js-only']) {
  const compiler = runtimeFor(RUNTIMES[process.arch] ?? fail(`no runtime for ${process.arch}`));
  for (const arch of Object.keys(RUNTIMES)) {
    const folder = join(out, `linux-${arch}`);
    mkdirSync(folder);
    compile(join(out, 'bellwether-agent.mjs'), {
      arch,
      to: join(folder, 'bellwether-agent'),
      compiler,
    });
    furnish(folder, packages);
  }
}
writeFileSync(join(out, 'SHA256SUMS'), sums(out));
console.log(out);
