// What the builds of one-file programs have in common: the bundle, its third-party code, the runtime, the
// executable and the sums. Each program has a script of its own that says what it is made of.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { build } from 'esbuild';
import { unpackedArchive } from './npm-archive.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));

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
 * started in, unless it is told not to. The agent runs as root, and the
 * command line holds tokens: nothing that lies about may steer them.
 */
const READS_NOTHING_ELSE = ['dotenv', 'bunfig', 'tsconfig', 'package-json'].map(
  (what) => `--no-compile-autoload-${what}`,
);

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
  console.error(`${basename(process.argv[1] ?? 'build', '.mjs')}: ${message}`);
  process.exit(1);
};

const runOrFail = (command, args, options = {}) => {
  const done = spawnSync(command, args, { encoding: 'utf8', ...options });
  if (done.status === 0) return done.stdout;
  fail(`${command} ${args[0]} failed: ${done.error?.message ?? `${done.stdout}${done.stderr}`}`);
};

/** One file with everything in it. Names are kept, so that a stack trace can be read. */
async function bundle({ entry, outfile }) {
  const made = await build({
    absWorkingDir: root,
    entryPoints: [entry],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node24',
    minifySyntax: true,
    minifyWhitespace: true,
    legalComments: 'none',
    preserveSymlinks: true,
    // Native code for masking WebSocket frames: the manager gains by it, a program with one link does not.
    define: { 'process.env.WS_NO_BUFFER_UTIL': '"1"' },
    metafile: true,
    plugins: [ONLY_WHAT_IS_USED_OF_ZOD],
    logLevel: 'warning',
    // Packages of the older kind ask for the modules of Node by `require`.
    banner: {
      js: "import{createRequire as requireFrom}from'node:module';const require=requireFrom(import.meta.url);",
    },
  });
  chmodSync(outfile, 0o755);
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

/** The path of the runtime, fetched once and compared with its digest before it is unpacked. */
function runtimeFor(runtime) {
  try {
    return join(unpackedArchive(runtime, 'bellwether-agent'), 'package', 'bin', 'bun');
  } catch (error) {
    return fail(error.message);
  }
}

/** An executable: the runtime with the bundle behind it. Made in a folder of its own, with no environment. */
function compile(js, { arch, to, compiler, flags = [] }) {
  const name = basename(js, '.mjs');
  const work = mkdtempSync(join(tmpdir(), `${name}-`));
  try {
    cpSync(js, join(work, `${name}.mjs`));
    runOrFail(
      compiler,
      [
        ...[
          'build',
          '--compile',
          '--bytecode',
          '--format=esm',
          ...flags,
          `--target=${RUNTIMES[arch].target}`,
          ...READS_NOTHING_ELSE,
        ],
        `--compile-executable-path=${runtimeFor(RUNTIMES[arch])}`,
        ...[`--outfile=${name}`, `${name}.mjs`],
      ],
      { cwd: work, env: { PATH: process.env.PATH, HOME: work, TZ: 'UTC' } },
    );
    cpSync(join(work, name), to);
    chmodSync(to, 0o755);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
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

/**
 * Builds a program into `--out`, or `dist/<name>`: `<name>.mjs`, an executable for each processor with
 * its licences (`furnish` puts more beside it), `packages.json` and `SHA256SUMS`. `--js-only` leaves the
 * executables out. The same commit gives the same bytes.
 */
export async function buildProgram({
  name,
  entry,
  flags = [],
  furnish = () => undefined,
  hasExecutables = true,
}) {
  const { values } = parseArgs({
    options: { out: { type: 'string' }, 'js-only': { type: 'boolean', default: false } },
  });
  const out = resolve(values.out ?? join(root, 'dist', name));
  rmSync(out, { recursive: true, force: true });
  mkdirSync(out, { recursive: true });
  const js = join(out, `${name}.mjs`);
  const packages = await bundle({ entry, outfile: js });
  const listed = packages.map(({ name, version, license }) => ({ name, version, license }));
  writeFileSync(join(out, 'packages.json'), `${JSON.stringify(listed, null, 2)}\n`);
  if (!hasExecutables || values['js-only']) {
    writeFileSync(join(out, 'THIRD-PARTY.txt'), notices(packages));
  } else {
    const compiler = runtimeFor(RUNTIMES[process.arch] ?? fail(`no runtime for ${process.arch}`));
    for (const arch of Object.keys(RUNTIMES)) {
      const folder = join(out, `linux-${arch}`);
      mkdirSync(folder);
      compile(js, { arch, to: join(folder, name), compiler, flags });
      cpSync(join(root, 'LICENSE'), join(folder, 'LICENSE'));
      writeFileSync(join(folder, 'THIRD-PARTY.txt'), notices(packages));
      furnish(folder, join(root, 'deploy'));
    }
  }
  writeFileSync(join(out, 'SHA256SUMS'), sums(out));
  console.log(out);
}
