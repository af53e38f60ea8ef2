import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { createHash, randomInt } from 'node:crypto';
import { once } from 'node:events';
import { chmodSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { manifestBytes, signMinisign, type Manifest } from '../../src/core/release/index.js';
import { agentProgram } from './built.js';
import type { TestManager } from './manager.js';
import { makeSigningKey, type SigningKey } from './release-source.js';

export { makeSigningKey, type SigningKey };

/** A manager, however it runs. */
export type ManagerApi = Pick<TestManager, 'url' | 'admin' | 'call'>;

/** A real little service: answers on PORT, and is as healthy as its version says. */
export const SERVICE = `#!/usr/bin/env node
const http = require('node:http');
const { version, healthy } = require('../release.json');
http.createServer((request, response) => {
  response.statusCode = request.url === '/health' && !healthy ? 503 : 200;
  response.end(version);
}).listen(Number(process.env.PORT), '127.0.0.1');
`;

/**
 * A port that a program can come back to. Below those that Linux gives to whoever connects somewhere
 * (from 32768): in the moment in which a restarted program does not hold it, nobody else gets it.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(10_000, 32_000);
    const server = createServer().listen(port, '127.0.0.1');
    const isFree = await once(server, 'listening').then(
      () => true,
      () => false,
    );
    if (!isFree) continue;
    server.close();
    await once(server, 'close');
    return port;
  }
}

/** Packs, signs and publishes a version of the little service, as a pipeline would. */
export async function publish(
  manager: ManagerApi,
  release: {
    readonly folder: string;
    readonly version: string;
    readonly sequence: number;
    readonly healthy?: boolean;
    /** In place of the little service. */
    readonly program?: string;
    readonly key: SigningKey;
    readonly spoil?: (signature: string) => string;
  },
): Promise<void> {
  const { version, sequence, healthy = true, key } = release;
  const content = join(release.folder, `edge-${version}`);
  mkdirSync(join(content, 'bin'), { recursive: true });
  writeFileSync(join(content, 'bin', 'edge.cjs'), release.program ?? SERVICE);
  chmodSync(join(content, 'bin', 'edge.cjs'), 0o755);
  writeFileSync(join(content, 'release.json'), JSON.stringify({ version, healthy }));
  const archive = `${content}.tar.gz`;
  const packed = spawnSync('tar', ['-czf', archive, '-C', content, '.']);
  if (packed.status !== 0) throw new Error(String(packed.stderr));
  const bytes = readFileSync(archive);
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  const arch = process.arch === 'arm64' ? 'arm64' : 'x64';
  const manifest: Manifest = {
    schema: 'bellwether.manifest.v1',
    product: 'edge',
    version,
    channel: 'stable',
    released_at: '2026-11-20T08:00:00Z',
    sequence,
    artifacts: [
      {
        os: 'linux',
        arch,
        variant: 'default',
        format: 'tar.gz',
        file: `edge-${version}.tar.gz`,
        size: bytes.length,
        sha256,
      },
    ],
  };
  const text = manifestBytes(manifest);
  const signature = signMinisign(key.privateKey, text, `edge ${version}`);
  if (!signature.ok) throw new Error(signature.error.message);
  const uploaded = await fetch(`${manager.url}/api/v1/blobs/sha256/${sha256}`, {
    method: 'PUT',
    headers: {
      authorization: `Bearer ${manager.admin}`,
      'content-type': 'application/octet-stream',
    },
    body: bytes,
  });
  if (!uploaded.ok) throw new Error(await uploaded.text());
  const published = await manager.call('releases.publish', {
    body: {
      manifest: Buffer.from(text).toString('utf8'),
      signatures: [(release.spoil ?? ((same) => same))(signature.value)],
    },
  });
  if (published.status !== 201) throw new Error(JSON.stringify(published.body));
}

export interface TestAgent {
  readonly nodeId: string;
  readonly root: string;
  readonly port: number;
  /** What the service itself answers, or null when it does not. */
  version(): Promise<string | null>;
  /** Starts the agent process (again). */
  start(env?: Readonly<Record<string, string>>): void;
  /** Ends the agent alone, as a power cut would; the service goes on. */
  kill(): Promise<void>;
  /** Resolves when the agent process has ended by itself. */
  ended(): Promise<void>;
  /** Ends agent and service. */
  stop(): Promise<void>;
}

/** Enrolls a real agent process with one service under its own root, and starts it. */
export async function startAgent(options: {
  readonly manager: ManagerApi;
  readonly programs: string;
  readonly folder: string;
  readonly name: string;
  readonly publicKey: string;
  readonly groupId?: string;
  readonly windowSecs?: number;
  /** More options of `enroll`, and lines for the head of `agent.toml`. */
  readonly enrollOptions?: readonly string[];
  readonly settings?: readonly string[];
}): Promise<TestAgent> {
  const dir = join(options.folder, options.name);
  const root = join(dir, 'edge');
  const program = agentProgram(options.programs);
  const { body } = await options.manager.call('enrollment.create', {
    body: { group_id: options.groupId ?? 'grp_default' },
  });
  const enrolled = spawn(
    program.file,
    [...program.args, 'enroll', '--dir', dir, '--manager', options.manager.url].concat([
      '--token',
      body.secret,
      '--name',
      options.name,
      ...(options.enrollOptions ?? []),
    ]),
    { stdio: ['ignore', 'pipe', 'pipe'] },
  );
  let said = '';
  enrolled.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()));
  enrolled.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()));
  const [code] = (await once(enrolled, 'close')) as [number];
  if (code !== 0) throw new Error(said);
  const nodeId = (
    JSON.parse(readFileSync(join(dir, 'identity.json'), 'utf8')) as { node_id: string }
  ).node_id;
  const port = await freePort();
  writeFileSync(
    join(dir, 'agent.toml'),
    [
      `manager = "${options.manager.url}"`,
      ...(options.settings ?? []),
      '[[services]]',
      'name = "edge"',
      'product = "edge"',
      `root = "${root}"`,
      'exec = "bin/edge.cjs"',
      `env = { PORT = "${port}", PATH = "${process.env['PATH'] ?? ''}" }`,
      `health = { kind = "http", url = "http://127.0.0.1:${port}/health", interval_secs = 0.2 }`,
      'stop_timeout_secs = 2',
    ].join('\n'),
  );
  mkdirSync(root, { recursive: true });
  writeFileSync(
    join(root, 'policy.toml'),
    [
      'enabled = true',
      `boot_health_window_secs = ${options.windowSecs ?? 4}`,
      '[[signers]]',
      'name = "release pipeline"',
      `public_key = "${options.publicKey}"`,
    ].join('\n'),
    { mode: 0o640 },
  );
  let child: ChildProcess;
  const log = join(dir, 'agent.log');
  const start = (env: Readonly<Record<string, string>> = {}): void => {
    child = spawn(program.file, [...program.args, 'run', '--stop-services', '--dir', dir], {
      env: { ...process.env, ...env },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    child.stderr?.on('data', (chunk: Buffer) => {
      writeFileSync(log, chunk, { flag: 'a' });
    });
  };
  const ended = async (): Promise<void> => {
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  };
  start();
  return {
    nodeId,
    root,
    port,
    start,
    ended,
    version: () =>
      fetch(`http://127.0.0.1:${port}/`, { signal: AbortSignal.timeout(2_000) })
        .then((response) => response.text())
        .catch(() => null),
    kill: async () => {
      child.kill('SIGKILL');
      await ended();
    },
    stop: async () => {
      child.kill('SIGTERM');
      await ended();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

/** Waits until a check holds; throws its last complaint after a while. */
export async function eventually<T>(check: () => Promise<T>, withinMs = 30_000): Promise<T> {
  const deadline = performance.now() + withinMs;
  for (;;) {
    try {
      return await check();
    } catch (error) {
      if (performance.now() > deadline) throw error;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}
