import { spawn, type ChildProcess } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { rawPublicKey } from '../../../src/protocol/node/index.js';
import type { NodeSeed } from '../../../src/simulator/live/orders.js';
import { Nodes } from '../../../src/server/fleet/index.js';
import { openDatabase } from '../../../src/server/platform/index.js';
import type { CertificateFiles } from '../../support/certificates.js';
import { makePostgresDatabase, makeTempDir, silentLog } from '../../support/databases.js';
import { freePort } from '../../support/fleet.js';
import { aHost, callRoute, type TestManager } from '../../support/manager.js';
import { freshPrefix, redisUrl } from '../../support/redis.js';
import { shareData } from '../../support/several/managers.js';
import { ROOT } from '../../walls/tree.js';

const HERE = join(ROOT, 'test/bench/sockets');
/** As the manager is started in its image and by `npm start`; the baseline too, or its memory would be no measure. */
const FLAGS = ['--max-semi-space-size=16', '--expose-gc'];
const GROUP = 'grp_default';
/** Where the time of each process went, for those that end by themselves: to open in the tools of a browser. */
const PROFILES = process.env['BELLWETHER_BENCH_PROFILES'];
const PROFILING = PROFILES === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${PROFILES}`];

/** A server in a process of its own, and what it tells of itself. */
export interface Inside {
  readonly url: string;
  /** Bytes of its process, after everything that is not held was collected. */
  restBytes(): Promise<number>;
  cpuMicros(): Promise<number>;
  gapBegin(): Promise<void>;
  /** Longest delay of a timer of 10 ms since `gapBegin`, in ms. */
  gapEnd(): Promise<number>;
  /** Ends it as a power cut would. */
  kill(): Promise<void>;
  start(): Promise<void>;
  stop(): Promise<void>;
}
export interface BareServer extends Inside {
  /** Sends each socket a payload of its own. */
  push(version: string): Promise<number>;
}
export interface BenchManager extends Inside, Pick<TestManager, 'call' | 'admin'> {
  readonly seeds: readonly NodeSeed[];
}

/** One process that can be asked things over its channel, and be started again. */
class Asked {
  #child: ChildProcess | null = null;
  #next = 1;
  readonly #waiting = new Map<number, (value: unknown) => void>();
  readonly #words: readonly string[];
  readonly #env: Readonly<Record<string, string>>;

  constructor(words: readonly string[], env: Readonly<Record<string, string>> = {}) {
    this.#words = words;
    this.#env = env;
  }

  spawn(): ChildProcess {
    const inside = [...FLAGS, '--import', join(HERE, 'inside.mjs'), ...PROFILING];
    const child = spawn(process.execPath, [...inside, ...this.#words], {
      env: { PATH: process.env['PATH'], ...this.#env },
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    });
    child.on('message', ({ id, value }: { id: number; value: unknown }) => {
      this.#waiting.get(id)?.(value);
      this.#waiting.delete(id);
    });
    this.#child = child;
    return child;
  }

  /** For an answer that comes unasked. */
  told(id: number): Promise<unknown> {
    return new Promise((resolve) => this.#waiting.set(id, resolve));
  }

  async ask<T>(ask: string, more: object = {}): Promise<T> {
    const id = this.#next;
    this.#next += 1;
    const answer = this.told(id);
    this.#child?.send({ id, ask, ...more });
    return (await answer) as T;
  }

  async end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#child;
    if (child === null || child.exitCode !== null || child.signalCode !== null) return;
    const timer = setTimeout(() => child.kill('SIGKILL'), 30_000);
    child.kill(signal);
    await once(child, 'exit');
    clearTimeout(timer);
  }

  inside(url: string, start: () => Promise<void>, remove: () => void): Inside {
    return {
      url,
      start,
      restBytes: async () => (await this.ask<NodeJS.MemoryUsage>('rest')).rss,
      cpuMicros: () => this.ask<number>('cpu'),
      gapBegin: () => this.ask('gap_begin'),
      gapEnd: () => this.ask<number>('gap_end'),
      kill: () => this.end('SIGKILL'),
      stop: async () => {
        await this.end('SIGTERM');
        remove();
      },
    };
  }
}

export async function startBareServer(tls: CertificateFiles | null): Promise<BareServer> {
  const port = await freePort();
  const files = tls === null ? [] : [tls.certFile, tls.keyFile];
  const asked = new Asked([join(HERE, 'bare-server.mjs'), String(port), ...files]);
  const start = async (): Promise<void> => {
    const up = asked.told(0);
    asked.spawn().stderr?.pipe(process.stderr);
    await up;
  };
  await start();
  const url = `${tls === null ? 'http' : 'https'}://127.0.0.1:${port}`;
  return {
    ...asked.inside(url, start, () => undefined),
    push: (version) => asked.ask('push', { version }),
  };
}

/** So many identities, as the client plays them; a bare server believes them without looking. */
export const makeSeeds = (count: number): readonly (NodeSeed & { readonly publicKey: string })[] =>
  Array.from({ length: count }, (_, index) => {
    const { privateKey } = generateKeyPairSync('ed25519');
    return {
      id: `nod_${String(index).padStart(12, '0')}`,
      name: `edge-${index}`,
      key: privateKey.export({ type: 'pkcs8', format: 'der' }).subarray(-32).toString('base64url'),
      publicKey: rawPublicKey(privateKey),
      ...{ index, os: 'linux', arch: 'x64', labels: {}, faults: [] },
      services: [{ name: 'edge', product: 'edge', variant: 'default', version: '1.0.0' }],
    };
  });

type Enrolled = readonly (NodeSeed & { readonly publicKey: string })[];

/** Written as enrollment writes them, without its audit entries. */
async function enroll(
  at: { readonly url: string | null; readonly dataDir: string },
  nodes: Enrolled,
) {
  const database = await openDatabase({ ...at, log: silentLog });
  const store = new Nodes(database);
  await database.transaction(async (tx) => {
    for (const { id, name, publicKey } of nodes) {
      await store.create(tx, { id, name, groupId: GROUP, publicKey, host: aHost(name), now: 1 });
    }
  });
  await database.close();
}

/** One process of a manager; `start` resolves when it serves. */
function managerProcess(programs: string, env: Readonly<Record<string, string>>) {
  const asked = new Asked([join(programs, 'server/main.js')], {
    BELLWETHER_LOG_LEVEL: 'info',
    ...env,
  });
  const start = async (): Promise<void> => {
    const child = asked.spawn();
    let said = '';
    child.stderr?.on('data', (chunk: Buffer) => {
      if (said.length < 100_000) said += chunk.toString();
    });
    while (!said.includes('"msg":"manager started"')) {
      if (child.exitCode !== null) throw new Error(said);
      await sleep(5);
    }
  };
  return { asked, start };
}

async function setUp(dataDir: string, url: string): Promise<Pick<TestManager, 'call' | 'admin'>> {
  let admin = '';
  const call: TestManager['call'] = (name, given = {}, token = admin) =>
    callRoute(url, name, given, token);
  const setup_token = readFileSync(join(dataDir, 'setup-token'), 'utf8').trim();
  const body = { setup_token, name: 'bench' };
  admin = (await call('setup.finish', { body }, null)).body.secret;
  return { call, admin };
}

/** A manager on SQLite whose nodes are enrolled already. Over TLS nobody can call it: only nodes connect. */
export async function startBenchManager(
  programs: string,
  nodes: Enrolled,
  tls: CertificateFiles | null,
): Promise<BenchManager> {
  const dir = makeTempDir();
  await enroll({ url: null, dataDir: dir.path }, nodes);
  const port = await freePort();
  const url = `${tls === null ? 'http' : 'https'}://127.0.0.1:${port}`;
  const { asked, start } = managerProcess(programs, {
    BELLWETHER_DATA_DIR: dir.path,
    BELLWETHER_PORT: String(port),
    ...(tls === null
      ? {}
      : { BELLWETHER_TLS_CERT_FILE: tls.certFile, BELLWETHER_TLS_KEY_FILE: tls.keyFile }),
  });
  await start();
  const known =
    tls === null
      ? await setUp(dir.path, url)
      : { admin: '', call: () => Promise.reject(new Error('not over TLS')) };
  return { ...asked.inside(url, start, () => dir.remove()), ...known, seeds: nodes };
}

export interface BenchManagers extends Pick<TestManager, 'url' | 'call' | 'admin'> {
  readonly all: readonly Inside[];
  stop(): Promise<void>;
}

/** Managers on one PostgreSQL and one Redis. Nodes go by the address of the first one. */
export async function startBenchManagers(
  programs: string,
  nodes: Enrolled,
  count: number,
): Promise<BenchManagers> {
  const dir = makeTempDir();
  const postgres = await makePostgresDatabase();
  await enroll({ url: postgres.url, dataDir: dir.path }, nodes);
  const [all, prefix, first] = [[] as Inside[], freshPrefix(), join(dir.path, '0')];
  let known: Pick<TestManager, 'call' | 'admin'> | null = null;
  for (let index = 0; index < count; index += 1) {
    const dataDir = join(dir.path, String(index));
    if (index > 0) shareData(first, dataDir);
    const port = await freePort();
    const url = `http://127.0.0.1:${port}`;
    const { asked, start } = managerProcess(programs, {
      DATABASE_URL: postgres.url,
      REDIS_URL: redisUrl(),
      BELLWETHER_REDIS_PREFIX: prefix,
      BELLWETHER_DATA_DIR: dataDir,
      BELLWETHER_PORT: String(port),
      BELLWETHER_PUBLIC_URL: all[0]?.url ?? url,
    });
    await start();
    all.push(asked.inside(url, start, () => undefined));
    known ??= await setUp(dataDir, url);
  }
  if (known === null) throw new Error('at least one manager');
  return {
    ...{ ...known, url: all[0]?.url ?? '', all },
    stop: async () => {
      await Promise.all(all.map((one) => one.stop()));
      await postgres.drop();
      dir.remove();
    },
  };
}
