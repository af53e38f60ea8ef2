import { spawn, type ChildProcess } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { seededRandom, type Random } from '../../src/core/kernel/index.js';
import type { RouteName } from '../../src/protocol/api/index.js';
import { makeNodeToken } from '../../src/protocol/node/index.js';
import { newId } from '../../src/server/platform/index.js';
import { makePostgresDatabase, makeTempDir } from '../support/databases.js';
import { eventually, freePort } from '../support/fleet.js';
import { callRoute, enrollBody, type TestNode } from '../support/manager.js';
import { Feeder } from './feeder.js';

const RECEIVER = fileURLToPath(new URL('receiver.mjs', import.meta.url));
/** Keys that managers on one database share. */
const SHARED = /\.key$|sealed\.json$/;

export interface KillPlan {
  readonly database: 'sqlite' | 'postgres';
  readonly managers: number;
  readonly kills: number;
  readonly events: number;
  readonly seed: string;
  /** Where `tsc` put the programs. */
  readonly programs: string;
}

/** What one sink brought, and what was there to bring. */
export interface KillOutcome {
  readonly stored: readonly { readonly id: number; readonly message: string }[];
  readonly arrived: Readonly<
    Record<string, readonly { readonly id: number; readonly message: string }[]>
  >;
  readonly kills: number;
}

/** Something that runs, can be killed, and comes back. */
class Mortal {
  #child: ChildProcess | null = null;

  constructor(
    private readonly spawn: () => ChildProcess,
    private readonly isUp: () => Promise<boolean>,
  ) {}

  async start(): Promise<void> {
    const child = this.spawn();
    this.#child = child;
    for (let tries = 0; tries < 1_200; tries += 1) {
      if (child.exitCode !== null) throw new Error(`it ended with ${child.exitCode}`);
      if (await this.isUp().catch(() => false)) return;
      await sleep(25);
    }
    throw new Error('it does not come up');
  }

  async kill(): Promise<void> {
    const child = this.#child;
    this.#child = null;
    if (child === null || child.exitCode !== null) return;
    const exited = once(child, 'exit');
    child.kill('SIGKILL');
    await exited;
  }
}

/** Kills managers and receiver at random while events flow, and tells what came of it. */
export async function killAtRandom(plan: KillPlan): Promise<KillOutcome> {
  const bench = await KillBench.start(plan);
  try {
    return await bench.run();
  } finally {
    await bench.stop();
  }
}

class KillBench {
  readonly #cleanUps: (() => Promise<void> | void)[] = [];
  readonly #random: Random;
  readonly #managers: Mortal[] = [];
  readonly #urls: string[] = [];
  #receiver: Mortal | null = null;
  #admin = '';
  #files = '';
  #taken = '';

  private constructor(private readonly plan: KillPlan) {
    this.#random = seededRandom(plan.seed);
  }

  static async start(plan: KillPlan): Promise<KillBench> {
    const bench = new KillBench(plan);
    await bench.#start().catch(async (error: unknown) => {
      await bench.stop();
      throw error;
    });
    return bench;
  }

  async #start(): Promise<void> {
    const dir = makeTempDir();
    this.#cleanUps.push(() => dir.remove());
    this.#files = join(dir.path, 'files');
    this.#taken = join(dir.path, 'taken');
    mkdirSync(this.#taken);
    const env: Record<string, string> = {
      BELLWETHER_SINK_ALLOWED_NETWORKS: '127.0.0.1',
      BELLWETHER_SINK_FILES_DIR: this.#files,
      BELLWETHER_LOG_LEVEL: 'silent',
    };
    if (this.plan.database === 'postgres') {
      const made = await makePostgresDatabase();
      this.#cleanUps.push(() => made.drop());
      env['DATABASE_URL'] = made.url;
    }
    const dataDirs = Array.from({ length: this.plan.managers }, (_, index) =>
      join(dir.path, `${index}`),
    );
    for (const [index, dataDir] of dataDirs.entries()) {
      const first = dataDirs[0] ?? '';
      if (index > 0) shareKeys(first, dataDir);
      await this.#addManager(dataDir, env);
      if (index === 0) {
        // It answers a moment before it has written that.
        const token = await eventually(async () =>
          readFileSync(join(first, 'setup-token'), 'utf8').trim(),
        );
        const body = { setup_token: token, name: 'first admin' };
        this.#admin = (await this.#call('setup.finish', { body }, null))['secret'] as string;
      }
    }
    const port = await freePort();
    const taken = this.#taken;
    this.#receiver = new Mortal(
      () => spawn(process.execPath, [RECEIVER, `${port}`, taken], { stdio: 'ignore' }),
      async () => (await fetch(`http://127.0.0.1:${port}/up`, { method: 'POST', body: '[]' })).ok,
    );
    await this.#receiver.start();
    for (const [name, batch] of [
      ['wide', 100],
      ['narrow', 7],
    ] as const) {
      const config = { url: `http://127.0.0.1:${port}/${name}`, batch_max: batch };
      await this.#call('sinks.create', {
        body: { name, kind: 'webhook', config, from: 'beginning' },
      });
    }
    const config = { path: 'events', rotate_bytes: 1_000_000, rotate_files: 1_000 };
    await this.#call('sinks.create', {
      body: { name: 'file', kind: 'file', config, from: 'beginning' },
    });
  }

  async #addManager(dataDir: string, env: Readonly<Record<string, string>>): Promise<void> {
    const port = await freePort();
    const url = `http://127.0.0.1:${port}`;
    this.#urls.push(url);
    const program = join(this.plan.programs, 'server', 'main.js');
    const manager = new Mortal(
      () =>
        spawn(process.execPath, [program], {
          env: {
            ...process.env,
            ...env,
            BELLWETHER_DATA_DIR: dataDir,
            BELLWETHER_PORT: `${port}`,
            BELLWETHER_PUBLIC_URL: this.#urls[0] ?? url,
          },
          stdio: 'ignore',
        }),
      async () => (await fetch(`${url}/healthz`)).ok,
    );
    await manager.start();
    this.#managers.push(manager);
  }

  async run(): Promise<KillOutcome> {
    const { kills, events } = this.plan;
    let done = 0;
    const node = await this.#enroll();
    const allowed = (): number => Math.ceil((events * (done + 1)) / kills);
    const feeder = new Feeder(node, this.#urls, events, allowed);
    const feeding = feeder.run();
    while (done < kills) {
      await sleep(50 + this.#random.below(400));
      const victim = this.#victim();
      await victim.kill();
      await sleep(this.#random.below(200));
      await victim.start();
      done += 1;
    }
    await feeding;
    const stored = await this.#stored();
    const head = stored.at(-1)?.id ?? 0;
    await eventually(async () => {
      const { items } = (await this.#call('sinks.list', {})) as unknown as {
        items: { cursor: number; dead_letters: number; missed: number; health: string }[];
      };
      for (const { cursor, dead_letters: dead, missed, health } of items) {
        if (dead + missed > 0 || cursor < head) throw new Error(health);
      }
    }, 300_000);
    const upToHead = (lines: readonly { id: number; message: string }[]) =>
      lines.filter(({ id }) => id <= head);
    return {
      stored,
      kills: done,
      arrived: {
        wide: upToHead(linesOf(join(this.#taken, 'wide'))),
        narrow: upToHead(linesOf(join(this.#taken, 'narrow'))),
        file: upToHead(eventsIn(this.#files)),
      },
    };
  }

  async stop(): Promise<void> {
    await this.#receiver?.kill();
    for (const manager of this.#managers) await manager.kill();
    for (const cleanUp of this.#cleanUps.splice(0).reverse()) await cleanUp();
  }

  #victim(): Mortal {
    const all = [...this.#managers, this.#receiver as Mortal];
    return all[this.#random.below(all.length)] as Mortal;
  }

  async #enroll(): Promise<TestNode> {
    const origin = this.#urls[0] ?? '';
    const made = await this.#call('enrollment.create', { body: {} });
    const { privateKey: key } = generateKeyPairSync('ed25519');
    const body = enrollBody({ token: made['secret'] as string, origin, key });
    const id = (await this.#call('enrollment.enroll', { body }, null))['node_id'] as string;
    const token = (): string =>
      makeNodeToken({ nodeId: id, origin, key, nowMs: Date.now(), jti: newId('jti') });
    return { id, key, token };
  }

  async #stored(): Promise<{ id: number; message: string }[]> {
    const stored: { id: number; message: string }[] = [];
    for (let after = 0; ;) {
      const page = await this.#call('events.list', { query: { after, limit: 1_000 } });
      stored.push(...(page['items'] as { id: number; message: string }[]));
      if (page['next_after'] === after) return stored;
      after = page['next_after'] as number;
    }
  }

  async #call(
    name: RouteName,
    given: { body?: unknown; query?: unknown },
    token: string | null = this.#admin,
  ): Promise<Record<string, unknown>> {
    const { status, body } = await callRoute(this.#urls[0] ?? '', name, given, token);
    if (status >= 300) throw new Error(`${name}: ${status} ${JSON.stringify(body)}`);
    return body;
  }
}

function shareKeys(from: string, to: string): void {
  mkdirSync(to, { mode: 0o700 });
  for (const name of readdirSync(from).filter((file) => SHARED.test(file))) {
    cpSync(join(from, name), join(to, name));
  }
}

const linesOf = (path: string): { id: number; message: string }[] =>
  (existsSync(path) ? readFileSync(path, 'utf8') : '')
    .split('\n')
    .slice(0, -1)
    .map((line) => {
      const [id = '', message = ''] = line.split('\t');
      return { id: Number(id), message };
    });

const eventsIn = (dir: string): { id: number; message: string }[] =>
  readdirSync(dir)
    .sort((a, b) => Number(b.split('.')[1] ?? 0) - Number(a.split('.')[1] ?? 0))
    .flatMap((name) => readFileSync(join(dir, name), 'utf8').split('\n').slice(0, -1))
    .map((line) => JSON.parse(line) as { id: number; message: string });
