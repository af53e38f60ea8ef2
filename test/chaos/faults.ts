import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import type { Random } from '../../src/core/kernel/index.js';
import type { House, Room } from './house.js';
import type { NodeCrew } from './node-crew.js';
import type { Wire, Way } from './wire.js';

export interface Scene {
  readonly house: House;
  readonly nodes: NodeCrew;
  readonly random: Random;
  /** The longest that a fault lasts. */
  readonly lastsMsMax: number;
}

export interface Fault {
  readonly name: string;
  /** What it needs: nothing, PostgreSQL and Redis, or Redis with sentinels. */
  readonly on: 'any' | 'sqlite' | 'postgres' | 'sentinels';
  /** Strikes, lasts, and is over when it resolves; says what it did. */
  strike(scene: Scene): Promise<string>;
}

const oneOf = <T>(random: Random, list: readonly T[]): T => list[random.below(list.length)] as T;

/** Between a tenth of the longest and the longest. */
const lasting = ({ random, lastsMsMax }: Scene): number =>
  Math.round(lastsMsMax / 10) + random.below(Math.round(0.9 * lastsMsMax));

/** What a fault has in hand already: a killed manager cannot be paused, a server that is down not ended again. */
const taken = new WeakSet<object>();

/** Strikes when no other fault has it in hand; says so where there is no such thing. */
async function alone<T extends object>(
  victim: T | null,
  strike: (victim: T) => Promise<string>,
): Promise<string> {
  if (victim === null) return 'there is no such thing here';
  while (taken.has(victim)) await sleep(50);
  taken.add(victim);
  try {
    return await strike(victim);
  } finally {
    taken.delete(victim);
  }
}

async function inRoom(scene: Scene, what: (room: Room) => Promise<string>): Promise<string> {
  const room = oneOf(scene.random, scene.house.rooms);
  return alone(room, async () => `${room.name}: ${await what(room)}`);
}

/** Something is wrong with a wire for a while. */
async function onWire(scene: Scene, wires: readonly Wire[], harm: (wire: Wire) => string) {
  const ms = lasting(scene);
  const said = wires.map(harm)[0] ?? 'nothing';
  await sleep(ms);
  for (const wire of wires) wire.mend();
  return `${said} for ${ms} ms`;
}

const WAYS: readonly (readonly Way[])[] = [['there'], ['back'], ['there', 'back']];

const held = (random: Random) => {
  const ways = oneOf(random, WAYS);
  return (wire: Wire): string => {
    wire.hold(...ways);
    return `nothing passes ${ways.join(' and ')}`;
  };
};

const cut = (wire: Wire): string => {
  wire.cut();
  return 'cut';
};

const slow = (random: Random, msMax: number) => {
  const ms = 20 + random.below(msMax);
  return (wire: Wire): string => {
    wire.delayMs = ms;
    return `${ms} ms slower each way`;
  };
};

const wiresOf = (room: Room, which: 'fromNodes' | 'toDatabase' | 'toRedis'): readonly Wire[] =>
  room[which] === null ? [] : [room[which]];

const ANY: readonly Fault[] = [
  {
    name: 'manager-killed',
    on: 'any',
    strike: (scene) =>
      inRoom(scene, async (room) => {
        await room.process.kill();
        const ms = scene.random.below(3_000);
        await sleep(ms);
        await room.process.start();
        return `killed, started ${ms} ms later`;
      }),
  },
  {
    name: 'manager-stopped',
    on: 'any',
    strike: (scene) =>
      inRoom(scene, async (room) => {
        await room.process.stop();
        await room.process.start();
        return 'stopped as an operator does, and started';
      }),
  },
  {
    name: 'manager-paused',
    on: 'any',
    strike: (scene) =>
      inRoom(scene, async (room) => {
        const ms = lasting(scene);
        room.process.pause();
        await sleep(ms);
        room.process.resume();
        return `stood still for ${ms} ms`;
      }),
  },
  {
    name: 'manager-clock',
    on: 'any',
    strike: (scene) =>
      inRoom(scene, async (room) => {
        // As NTP corrects it after a start, and as somebody sets it by hand.
        const off = oneOf(scene.random, [-2_000, 2_000, -20_000, 20_000, 3_600_000, -3_600_000]);
        const ms = lasting(scene);
        room.setClock(off);
        await sleep(ms);
        room.setClock(0);
        return `clock off by ${off} ms for ${ms} ms`;
      }),
  },
  {
    name: 'nodes-cut',
    on: 'any',
    strike: (scene) =>
      inRoom(scene, (room) => onWire(scene, [room.fromNodes], cut).then((so) => `nodes ${so}`)),
  },
  {
    name: 'nodes-held',
    on: 'any',
    strike: (scene) =>
      inRoom(scene, (room) =>
        onWire(scene, [room.fromNodes], held(scene.random)).then((so) => `nodes: ${so}`),
      ),
  },
  {
    name: 'nodes-slow',
    on: 'any',
    strike: (scene) =>
      inRoom(scene, (room) =>
        onWire(scene, [room.fromNodes], slow(scene.random, 600)).then((so) => `nodes ${so}`),
      ),
  },
  {
    name: 'links-dropped',
    on: 'any',
    strike: ({ nodes, random }) => {
      const share = oneOf(random, [0.3, 1]);
      nodes.disconnect(share);
      return Promise.resolve(`${share * 100} % of the links are gone at once`);
    },
  },
  {
    name: 'nodes-killed',
    on: 'any',
    strike: (scene) =>
      alone(scene.nodes, async (nodes) => {
        const index = scene.random.below(nodes.workers);
        await nodes.kill(index);
        const ms = scene.random.below(3_000);
        await sleep(ms);
        await nodes.start(index);
        return `process ${index + 1} of the nodes killed, started ${ms} ms later`;
      }),
  },
];

const SQLITE: readonly Fault[] = [
  {
    name: 'disk-full',
    on: 'sqlite',
    strike: (scene) =>
      inRoom(scene, async ({ disk }) => {
        if (disk === null) return 'disk not full: it cannot be mounted here';
        const ms = lasting(scene);
        const left = oneOf(scene.random, [0, 0, 20_000]);
        disk.fill(left);
        await sleep(ms);
        disk.free();
        return `disk full (${left} bytes left) for ${ms} ms`;
      }),
  },
];

const POSTGRES: readonly Fault[] = [
  {
    name: 'database-held',
    on: 'postgres',
    strike: (scene) =>
      inRoom(scene, (room) =>
        onWire(scene, wiresOf(room, 'toDatabase'), held(scene.random)).then(
          (so) => `database: ${so}`,
        ),
      ),
  },
  {
    name: 'database-slow',
    on: 'postgres',
    strike: (scene) => {
      const wires = scene.house.rooms.flatMap((room) => wiresOf(room, 'toDatabase'));
      return onWire(scene, wires, slow(scene.random, 100)).then((so) => `database, all: ${so}`);
    },
  },
  {
    name: 'database-cut',
    on: 'postgres',
    strike: (scene) =>
      inRoom(scene, (room) =>
        onWire(scene, wiresOf(room, 'toDatabase'), cut).then((so) => `database ${so}`),
      ),
  },
  {
    name: 'database-sessions-ended',
    on: 'postgres',
    strike: ({ house }) =>
      alone(house.postgres, async () => {
        const client = new pg.Client({ connectionString: house.databaseUrl ?? '' });
        client.on('error', () => undefined);
        await client.connect();
        const sql =
          'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname IS NOT NULL';
        const { rowCount } = await client.query(sql);
        await client.end();
        return `${rowCount ?? 0} sessions of the database ended`;
      }),
  },
  ...(['SIGINT', 'SIGQUIT', 'SIGKILL'] as const).map((signal): Fault => ({
    name: signal === 'SIGINT' ? 'database-restarted' : `database-${signal.toLowerCase()}`,
    on: 'postgres',
    strike: ({ house, random }) =>
      alone(house.postgres, async (postgres) => {
        await postgres.down(signal);
        const ms = random.below(3_000);
        await sleep(ms);
        await postgres.up();
        return `PostgreSQL ended by ${signal}, started ${ms} ms later`;
      }),
  })),
  {
    name: 'redis-stopped',
    on: 'postgres',
    strike: (scene) =>
      alone(scene.house.redis, async (redis) => {
        const ms = lasting(scene);
        await redis.stop();
        await sleep(ms);
        await redis.start();
        return `Redis killed, and empty ${ms} ms later`;
      }),
  },
  {
    name: 'redis-flushed',
    on: 'postgres',
    strike: ({ house }) =>
      alone(house.redis, async (redis) => {
        await redis.command('FLUSHALL');
        return 'Redis emptied';
      }),
  },
  {
    name: 'redis-frozen',
    on: 'postgres',
    strike: (scene) =>
      alone(scene.house.redis, async (redis) => {
        const ms = lasting(scene);
        redis.freeze();
        await sleep(ms);
        redis.resume();
        return `Redis stood still for ${ms} ms`;
      }),
  },
  {
    name: 'redis-slow',
    on: 'postgres',
    strike: (scene) => {
      const wires = scene.house.rooms.flatMap((room) => wiresOf(room, 'toRedis'));
      return onWire(scene, wires, slow(scene.random, 500)).then((so) => `Redis, all: ${so}`);
    },
  },
  {
    name: 'managers-apart',
    on: 'postgres',
    strike: (scene) =>
      inRoom(scene, (room) =>
        onWire(
          scene,
          wiresOf(room, 'toRedis'),
          scene.random.below(2) ? cut : held(scene.random),
        ).then((so) => `to the other managers: ${so}`),
      ),
  },
];

const SENTINELS: readonly Fault[] = [
  {
    name: 'redis-failover',
    on: 'sentinels',
    strike: async ({ house }) => {
      const { watched } = house;
      const before = await watched?.master();
      await watched?.killMaster();
      for (let tries = 0; tries < 300 && (await watched?.master()) === before; tries += 1) {
        await sleep(100);
      }
      return `the master of Redis killed; sentinels chose ${await watched?.master()}`;
    },
  },
];

export const FAULTS: readonly Fault[] = [...ANY, ...SQLITE, ...POSTGRES, ...SENTINELS];
