import { readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import Sqlite from 'better-sqlite3';
import pg from 'pg';
import { Version } from '../../src/core/release/index.js';
import { enrollAll } from '../../src/simulator/live/enroll.js';
import type { NodeSeed } from '../../src/simulator/live/orders.js';
import { publishNothing } from '../../src/simulator/live/release.js';
import { readSse } from '../support/event-stream.js';
import { House, type Room } from './house.js';
import { NodeCrew } from './node-crew.js';
import { judgeSoak, soakMarkdown, type Line, type Sample } from './soak-report.js';

const PRODUCT = 'edge';
const FROM = Version.parse('1.0.0');
const SAMPLE_MS = 5_000;
const CUT_MS = 10_000;
/** Each node every few minutes: who is cut off again soon waits ever longer, as it should. */
const CUT_SHARE = 0.05;
const STREAM_MS = 20_000;
const ROLLOUT_MS_MAX = 300_000;
const HOST = { os: 'linux', arch: 'x64', labels: {} } as const;

export interface SoakPlan {
  readonly programs: string;
  readonly store: 'sqlite' | 'postgres';
  readonly managers: number;
  readonly nodes: number;
  readonly minutes: number;
  readonly folder: string;
  readonly say: (line: string) => void;
}

export interface SoakOutcome {
  readonly lines: readonly Line[];
  readonly findings: readonly string[];
  readonly violations: readonly string[];
}

/** Rollouts one after the other, while links break and readers come and go; samples of all that could grow. */
export async function soak(plan: SoakPlan): Promise<SoakOutcome> {
  const sinkDir = join(plan.folder, 'sink');
  const house = await House.build({
    ...{ programs: plan.programs, store: plan.store, managers: plan.managers, hasSmallDisk: false },
    logs: join(plan.folder, 'logs'),
    env: { BELLWETHER_SINK_FILES_DIR: sinkDir, BELLWETHER_LOG_LEVEL: 'warn' },
  });
  const run = new Soak(plan, house);
  try {
    return await run.play();
  } finally {
    await run.stop();
    await house.stop();
  }
}

class Soak {
  readonly #samples: Sample[] = [];
  #startedAt = 0;
  readonly #violations: string[] = [];
  #nodes: NodeCrew | null = null;
  #rollouts = 0;
  #streamed = 0;
  #streams = 0;
  #isOver = false;

  constructor(
    private readonly plan: SoakPlan,
    private readonly house: House,
  ) {}

  async play(): Promise<SoakOutcome> {
    await this.#begin();
    const untilMs = performance.now() + this.plan.minutes * 60_000;
    const isTime = (): boolean => performance.now() < untilMs && !this.#isOver;
    const failed = (error: unknown): void => {
      this.#isOver = true;
      this.#violations.push(error instanceof Error ? (error.stack ?? '') : String(error));
    };
    await Promise.all(
      [
        this.#again(isTime, SAMPLE_MS, () => this.#sample()),
        this.#again(isTime, CUT_MS, () => {
          this.#nodes?.disconnect(CUT_SHARE);
        }),
        this.#again(isTime, 0, () => this.#rollOut()),
        this.#again(isTime, 1_000, () => this.#stream()),
      ].map((going) => going.catch(failed)),
    );
    return this.#end();
  }

  async stop(): Promise<void> {
    await this.#nodes?.stop();
  }

  async #again(isTime: () => boolean, everyMs: number, what: () => Promise<void> | void) {
    while (isTime()) {
      await sleep(everyMs);
      await what();
    }
  }

  async #begin(): Promise<void> {
    const { house, plan } = this;
    const client = house.client();
    const body = { name: 'soak', kind: 'file', config: { path: 'events' }, from: 'beginning' };
    await client.call('sinks.create', { body: body as never });
    const newcomers = Array.from({ length: plan.nodes }, (_, at) => ({
      ...{ name: `soak-${String(at + 1).padStart(4, '0')}`, groupId: 'grp_default', host: HOST },
    }));
    const made = await enrollAll(client, house.origin, newcomers, () => undefined);
    const services = [{ name: PRODUCT, product: PRODUCT, variant: 'default', version: FROM }];
    const seeds = made.map((identity, index): NodeSeed => ({
      ...identity,
      index,
      ...HOST,
      services,
      faults: [],
    }));
    const begin = {
      ...{ urls: [house.origin], origin: house.origin, caPem: null, seed: 'soak' },
      work: { fetch_ms: 100, stage_ms: 50, swap_ms: 50, health_window_ms: 200 },
      agentVersion: '0.1.0',
    };
    this.#nodes = new NodeCrew(plan.programs, begin, seeds, 1);
    await this.#nodes.start(0);
    await this.#nodes.allConnected();
    this.#startedAt = performance.now();
  }

  async #rollOut(): Promise<void> {
    const { house } = this;
    const version = Version.parse(`2.${this.#rollouts}.0`);
    const client = house.client(this.#rollouts);
    await publishNothing(client, house.admin, {
      ...{ product: PRODUCT, version, channel: 'stable' },
      platforms: [{ os: 'linux', arch: 'x64', variant: 'default' }],
    });
    const made = await client.call('rollouts.create', {
      body: {
        ...{ product: PRODUCT, version, scope: { group_id: 'grp_default' } },
        ...{ wave_percents: [30, 100], settle_seconds: 0, max_unavailable: '50%' },
        tolerate: { failures: null, offline: null, silent: null },
      },
    });
    const untilMs = performance.now() + ROLLOUT_MS_MAX;
    for (;;) {
      await sleep(300);
      const { status, reason } = await client.call('rollouts.show', { params: { id: made.id } });
      if (status === 'complete') break;
      if (performance.now() < untilMs && status === 'in_progress') continue;
      throw new Error(`rollout ${version} is ${status} (${reason})`);
    }
    this.#rollouts += 1;
  }

  /** A reader that comes, reads for a while what there is from the beginning of its visit, and goes. */
  async #stream(): Promise<void> {
    const { house } = this;
    const url = house.rooms[this.#streams % house.rooms.length]?.url ?? '';
    this.#streams += 1;
    const reader = await readSse(url, { token: house.admin });
    const timer = setTimeout(() => {
      reader.close();
    }, STREAM_MS);
    try {
      while ((await reader.next()) !== null) this.#streamed += 1;
    } catch {
      // It was we who closed it.
    }
    clearTimeout(timer);
  }

  async #sample(): Promise<void> {
    const { house } = this;
    const values: Record<string, number> = {};
    for (const room of house.rooms) {
      for (const [name, value] of Object.entries(await held(room))) {
        values[house.rooms.length > 1 ? `${room.name} ${name}` : name] = value;
      }
    }
    const { items } = await house.client().call('sinks.list', {});
    const { newest } = await house.client().call('events.segments', { query: {} });
    const cursor = Math.min(...items.map((sink) => (sink as { cursor: number }).cursor));
    values['sink lag'] = newest - cursor;
    values['waiting at nodes'] = this.#nodes?.report().backlog ?? 0;
    Object.assign(values, await rowsOf(house));
    const at = Math.round((performance.now() - this.#startedAt) / 100) / 10;
    this.#samples.push({ at, rollouts: this.#rollouts, values });
    if (this.#samples.length % 12 === 0) {
      this.plan.say(`${Math.round(at)} s, ${this.#rollouts} rollouts, ${this.#streamed} streamed`);
    }
  }

  #end(): SoakOutcome {
    const { nodes, minutes, folder } = this.plan;
    const report = this.#nodes?.report();
    const { numbers, backlog } = report ?? { numbers: null, backlog: 0 };
    const failed = (numbers?.failed ?? 0) + (numbers?.rolled_back ?? 0);
    const codes = JSON.stringify(report?.errors ?? {});
    const missing = (numbers?.events_made ?? 0) - (numbers?.events_acked ?? 0) - backlog;
    const lines = judgeSoak(this.#samples, nodes);
    const findings = [
      `${numbers?.welcomed ?? 0} times a node was welcomed, ${numbers?.lost ?? 0} links were lost`,
      `${numbers?.swaps ?? 0} swaps, ${numbers?.swaps_twice ?? 0} of them twice for one command`,
      `${numbers?.events_made ?? 0} events made by nodes, ${numbers?.events_acked ?? 0} durable`,
      `${this.#streamed} events read by ${this.#streams} readers one after the other`,
    ];
    const violations = [
      ...this.#violations,
      ...((numbers?.swaps_twice ?? 0) > 0 ? ['swaps were done twice'] : []),
      ...(failed > 0 ? [`${failed} upgrades failed, though nothing was wrong: ${codes}`] : []),
      ...(missing > 0 ? [`${missing} events were neither taken nor kept`] : []),
      ...(this.#rollouts === 0 ? ['no rollout ended'] : []),
      ...lines.filter(({ isOk }) => !isOk).map(({ name }) => `${name} rises`),
    ];
    const head = { minutes, nodes, rollouts: this.#rollouts, samples: this.#samples.length };
    const text = soakMarkdown(lines, head, [
      ...findings,
      ...violations.map((one) => `VIOLATION ${one}`),
    ]);
    writeFileSync(join(folder, 'soak.md'), text);
    writeFileSync(
      join(folder, 'soak.json'),
      JSON.stringify({ head, lines, samples: this.#samples }),
    );
    return { lines, findings, violations };
  }
}

/** What a manager holds after it collected its garbage. */
async function held(room: Room): Promise<Record<string, number>> {
  rmSync(room.probeFile, { force: true });
  process.kill(room.pid(), 'SIGUSR2');
  for (let tries = 0; tries < 100; tries += 1) {
    await sleep(50);
    if (statSync(room.probeFile, { throwIfNoEntry: false }) === undefined) continue;
    return JSON.parse(readFileSync(room.probeFile, 'utf8')) as Record<string, number>;
  }
  throw new Error(`${room.name} does not say what it holds`);
}

/** The rows of every table. */
async function rowsOf(house: House): Promise<Record<string, number>> {
  if (house.databaseUrl !== null) return rowsOfPostgres(house.databaseUrl);
  const path = join(house.rooms[0]?.dataDir ?? '', 'bellwether.db');
  const db = new Sqlite(path, { readonly: true });
  try {
    const names = db
      .prepare("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
      .all() as { readonly name: string }[];
    const count = (name: string): number => {
      const row = db.prepare(`SELECT count(*) AS n FROM "${name}"`).get();
      return (row as { readonly n: number }).n;
    };
    return Object.fromEntries(names.map(({ name }) => [`rows ${name}`, count(name)]));
  } finally {
    db.close();
  }
}

async function rowsOfPostgres(url: string): Promise<Record<string, number>> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    const sql = "SELECT tablename AS name FROM pg_tables WHERE schemaname = 'public'";
    const { rows } = await client.query<{ name: string }>(sql);
    const counts: Record<string, number> = {};
    for (const { name } of rows) {
      const counted = await client.query<{ n: string }>(`SELECT count(*) AS n FROM "${name}"`);
      counts[`rows ${name}`] = Number(counted.rows[0]?.n ?? 0);
    }
    return counts;
  } finally {
    await client.end();
  }
}
