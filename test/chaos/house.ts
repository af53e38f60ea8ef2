import { spawn } from 'node:child_process';
import { mkdirSync, openSync, closeSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ROUTES } from '../../src/protocol/api/index.js';
import { addressesOf, makeClient, type Client } from '../../src/simulator/live/parts.js';
import { makeTempDir } from '../support/databases.js';
import { freePort } from '../support/fleet.js';
import { Mortal } from '../support/manager-crew.js';
import { startPostgres, type PostgresServer } from '../support/postgres.js';
import { startRedis, type RedisServer } from '../support/redis.js';
import {
  MASTER_NAME,
  PASSWORD,
  SENTINEL_PASSWORD,
  startWatchedRedis,
  type WatchedRedis,
} from '../support/redis/sentinels.js';
import { startBalancer, type Balancer } from '../support/several/balancer.js';
import { shareData } from '../support/several/managers.js';
import { mountSmallDisk, type SmallDisk } from '../support/small-disk.js';
import { Wire } from './wire.js';

const CLOCK = new URL('clock.mjs', import.meta.url).href;
const PROBE = new URL('probe.mjs', import.meta.url).href;
/** An enrollment that was answered too late cannot be asked for again: its token is used. */
const ANSWER_MS_MAX = 60_000;
/** Room for a database of some hundred nodes, and little more. */
const SMALL_DISK = '96m';

export interface HousePlan {
  readonly programs: string;
  readonly store: 'sqlite' | 'postgres';
  readonly managers: number;
  /** Redis with a replica and sentinels, in place of one behind a wire. */
  readonly isWatched?: boolean;
  /** The managers' log, one file each. */
  readonly logs: string;
  readonly env?: Readonly<Record<string, string>>;
  /** The data of a manager on SQLite lie on a disk that can be filled; left out: they do. */
  readonly hasSmallDisk?: boolean;
}

/** One manager as chaos sees it: its process, its clock, and every cable that leads to and from it. */
export interface Room {
  readonly name: string;
  readonly url: string;
  readonly dataDir: string;
  readonly process: Mortal;
  /** From the nodes; from people it is reached past the wire. */
  readonly fromNodes: Wire;
  readonly toDatabase: Wire | null;
  readonly toRedis: Wire | null;
  readonly disk: SmallDisk | null;
  readonly pid: () => number;
  /** Where it writes what it holds, at SIGUSR2. */
  readonly probeFile: string;
  /** Its wall clock is off by so much from now on. */
  setClock(offMs: number): void;
}

/** Everything that runs but the nodes: managers, their stores, and what stands before them. */
export class House {
  readonly rooms: Room[] = [];
  balancer: Balancer | null = null;
  postgres: PostgresServer | null = null;
  redis: RedisServer | null = null;
  watched: WatchedRedis | null = null;
  admin = '';
  readonly #cleanUps: (() => Promise<void> | void)[] = [];

  private constructor(readonly plan: HousePlan) {}

  static async build(plan: HousePlan): Promise<House> {
    const house = new House(plan);
    try {
      await house.#build();
    } catch (error) {
      await house.stop();
      throw error;
    }
    return house;
  }

  get origin(): string {
    return this.balancer?.url ?? '';
  }
  get databaseUrl(): string | null {
    return this.postgres === null
      ? null
      : `postgres://bellwether@127.0.0.1:${this.postgres.port}/postgres`;
  }

  /** Of one room; each call anew, since any may be down. */
  client(room = 0, timeoutMs = ANSWER_MS_MAX): Client {
    return makeClient({
      manager: new URL(this.rooms[room % this.rooms.length]?.url ?? ''),
      routes: addressesOf(ROUTES),
      headers: () => ({ authorization: `Bearer ${this.admin}` }),
      timeoutMs,
    });
  }

  /** Asks one manager after the other until one answers. Only for what may be done twice. */
  async ask<T>(question: (client: Client) => Promise<T>, withinMs = 60_000): Promise<T> {
    const untilMs = performance.now() + withinMs;
    for (let turn = 0; ; turn += 1) {
      try {
        return await question(this.client(turn, 5_000));
      } catch (error) {
        if (performance.now() > untilMs) throw error;
        await sleep(200);
      }
    }
  }

  /** Ends what still runs, in the order in which it rests on each other. Idempotent. */
  async stop(): Promise<void> {
    for (const cleanUp of this.#cleanUps.splice(0).reverse()) await cleanUp();
  }

  async #build(): Promise<void> {
    const dir = makeTempDir();
    this.#cleanUps.push(() => dir.remove());
    const balancer = await startBalancer();
    this.balancer = balancer;
    this.#cleanUps.push(() => balancer.stop());
    if (this.plan.store === 'postgres') await this.#startStores();
    for (let index = 0; index < this.plan.managers; index += 1) {
      const room = await this.#addRoom(join(dir.path, String(index)), index);
      balancer.ports = [...balancer.ports, room.fromNodes.port];
    }
  }

  async #startStores(): Promise<void> {
    const postgres = await startPostgres();
    this.postgres = postgres;
    this.#cleanUps.push(() => postgres.stop());
    if (this.plan.isWatched === true) {
      const watched = await startWatchedRedis();
      this.watched = watched;
      this.#cleanUps.push(() => watched.stop());
      return;
    }
    const redis = await startRedis();
    this.redis = redis;
    this.#cleanUps.push(() => redis.stop());
  }

  async #addRoom(folder: string, index: number): Promise<Room> {
    const disk =
      this.plan.store === 'sqlite' && this.plan.hasSmallDisk !== false
        ? mountSmallDisk(SMALL_DISK, 2_000)
        : null;
    if (disk !== null) this.#cleanUps.push(() => disk.remove());
    const dataDir = disk === null ? folder : join(disk.path, 'data');
    if (index > 0) shareData(this.rooms[0]?.dataDir ?? '', dataDir);
    const port = await freePort();
    const url = `http://127.0.0.1:${port}`;
    const wireTo = async (far: number): Promise<Wire> => {
      const wire = await Wire.to(far);
      this.#cleanUps.push(() => wire.stop());
      return wire;
    };
    const fromNodes = await wireTo(port);
    const toDatabase = this.postgres === null ? null : await wireTo(this.postgres.port);
    const toRedis = this.redis === null ? null : await wireTo(Number(new URL(this.redis.url).port));
    const clockFile = `${folder}.clock`;
    const probeFile = `${folder}.probe`;
    const name = `manager-${index + 1}`;
    let pid = 0;
    const env = {
      ...process.env,
      BELLWETHER_PERMIT_LEASE_MS: '2000',
      BELLWETHER_DRAIN_MS: '500',
      BELLWETHER_REQUESTS_PER_MINUTE: '1000000',
      ...this.plan.env,
      ...this.#storeEnv(toDatabase, toRedis),
      BELLWETHER_DATA_DIR: dataDir,
      BELLWETHER_PORT: String(port),
      BELLWETHER_PUBLIC_URL: this.origin,
      CHAOS_CLOCK_FILE: clockFile,
      CHAOS_PROBE_FILE: probeFile,
    };
    const program = join(this.plan.programs, 'server', 'main.js');
    mkdirSync(this.plan.logs, { recursive: true });
    const manager = new Mortal(
      () => {
        const log = openSync(join(this.plan.logs, `${name}.log`), 'a');
        const args = ['--expose-gc', '--import', CLOCK, '--import', PROBE, program];
        const child = spawn(process.execPath, args, { env, stdio: ['ignore', log, log] });
        closeSync(log);
        pid = child.pid ?? 0;
        return child;
      },
      async () => (await fetch(`${url}/healthz`, { signal: AbortSignal.timeout(2_000) })).ok,
    );
    this.#cleanUps.push(() => manager.kill());
    await manager.start();
    if (index === 0) await this.#setUp(dataDir, url);
    const room: Room = {
      ...{ name, url, dataDir, process: manager, fromNodes, toDatabase, toRedis, disk, probeFile },
      pid: () => pid,
      setClock: (offMs) => writeFileSync(clockFile, String(offMs)),
    };
    this.rooms.push(room);
    return room;
  }

  #storeEnv(toDatabase: Wire | null, toRedis: Wire | null): Record<string, string> {
    if (toDatabase === null) return {};
    const database = `postgres://bellwether@127.0.0.1:${toDatabase.port}/postgres`;
    if (this.watched === null) {
      return { DATABASE_URL: database, REDIS_URL: `redis://127.0.0.1:${toRedis?.port ?? 0}` };
    }
    const passwordFile = `${this.plan.logs}-sentinel-password`;
    writeFileSync(passwordFile, SENTINEL_PASSWORD, { mode: 0o600 });
    return {
      DATABASE_URL: database,
      REDIS_URL: `redis://:${PASSWORD}@${MASTER_NAME}`,
      BELLWETHER_REDIS_SENTINELS: this.watched.sentinels.join(','),
      BELLWETHER_REDIS_SENTINEL_PASSWORD_FILE: passwordFile,
    };
  }

  async #setUp(dataDir: string, url: string): Promise<void> {
    let token = '';
    // It answers a moment before it has written that.
    for (let tries = 0; token === '' && tries < 200; tries += 1) {
      await sleep(50);
      try {
        token = readFileSync(join(dataDir, 'setup-token'), 'utf8').trim();
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
      }
    }
    const client = makeClient({ manager: new URL(url), routes: addressesOf(ROUTES) });
    const body = { setup_token: token, name: 'chaos' };
    this.admin = (await client.call('setup.finish', { body })).secret;
  }
}
