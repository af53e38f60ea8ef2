import { spawn } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { seededRandom, type Random } from '../../src/core/kernel/index.js';
import type { RouteName } from '../../src/protocol/api/index.js';
import { makeNodeToken } from '../../src/protocol/node/index.js';
import { newId } from '../../src/server/platform/index.js';
import { makeTempDir } from '../support/databases.js';
import { eventually, freePort } from '../support/fleet.js';
import { Mortal, startManagerCrew, strike, type ManagerCrew } from '../support/manager-crew.js';
import { callRoute, enrollBody, type TestNode } from '../support/manager.js';
import { Feeder } from './feeder.js';

const RECEIVER = fileURLToPath(new URL('receiver.mjs', import.meta.url));

export interface KillPlan {
  readonly database: 'sqlite' | 'postgres';
  readonly managers: number;
  readonly kills: number;
  readonly events: number;
  readonly seed: string;
  /** Where `tsc` put the programs. */
  readonly programs: string;
  readonly onProgress?: (line: string) => void;
}

/** What one sink brought, and what was there to bring. */
export interface KillOutcome {
  readonly stored: readonly { readonly id: number; readonly message: string }[];
  readonly arrived: Readonly<
    Record<string, readonly { readonly id: number; readonly message: string }[]>
  >;
  readonly kills: number;
  readonly killedManagers: number;
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
  #crew: ManagerCrew | null = null;
  #receiver: Mortal | null = null;
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
    this.#crew = await startManagerCrew({
      programs: this.plan.programs,
      database: this.plan.database,
      count: this.plan.managers,
      env: {
        BELLWETHER_SINK_ALLOWED_NETWORKS: '127.0.0.1',
        BELLWETHER_SINK_FILES_DIR: this.#files,
      },
    });
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

  async run(): Promise<KillOutcome> {
    const { kills, events } = this.plan;
    let done = 0;
    const node = await this.#enroll();
    const allowed = (): number => Math.ceil((events * (done + 1)) / kills);
    const crew = this.#started();
    const feeder = new Feeder(node, crew.urls, events, allowed);
    const feeding = feeder.run();
    const startedMs = performance.now();
    const killed = await strike({
      victims: [...crew.managers, this.#receiver as Mortal],
      kills,
      hands: Math.min(3, crew.managers.length + 1),
      random: this.#random,
      pauseMsMax: 900,
      onKill: (count) => {
        done = count;
        if (count % 20 > 0 && count < kills) return;
        const seconds = Math.round((performance.now() - startedMs) / 1_000);
        this.plan.onProgress?.(
          `${count}/${kills} kills, ${feeder.through}/${events} events, ${seconds} s`,
        );
      },
    });
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
      killedManagers: crew.managers.reduce((sum, one) => sum + (killed.get(one) ?? 0), 0),
      arrived: {
        wide: upToHead(linesOf(join(this.#taken, 'wide'))),
        narrow: upToHead(linesOf(join(this.#taken, 'narrow'))),
        file: upToHead(eventsIn(this.#files)),
      },
    };
  }

  async stop(): Promise<void> {
    await this.#receiver?.kill();
    await this.#crew?.stop();
    for (const cleanUp of this.#cleanUps.splice(0).reverse()) await cleanUp();
  }

  #started(): ManagerCrew {
    if (this.#crew === null) throw new Error('no managers');
    return this.#crew;
  }

  async #enroll(): Promise<TestNode> {
    const origin = this.#started().url;
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
    token: string | null = this.#started().admin,
  ): Promise<Record<string, unknown>> {
    const { status, body } = await callRoute(this.#started().url, name, given, token);
    if (status >= 300) throw new Error(`${name}: ${status} ${JSON.stringify(body)}`);
    return body;
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
