import { spawn } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { writeSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { seededRandom } from '../../src/core/kernel/index.js';
import { makeNodeToken } from '../../src/protocol/node/index.js';
import { buildPrograms } from '../support/built.js';
import { EventLog } from '../../src/server/events/index.js';
import { openDatabase } from '../../src/server/platform/database/index.js';
import { makePostgresDatabase, makeTempDir, silentLog } from '../support/databases.js';
import { startManagerCrew, strike, type ManagerCrew } from '../support/manager-crew.js';
import { enrollBody, type TestNode } from '../support/manager.js';
import { ROOT } from '../walls/tree.js';
import { CreditedFile, TailingFile, type Consumer } from './consumers.js';
import { PumpingNode } from './pumping-node.js';

/** Few with all other tests; `npm run test:stream` takes more. */
const KILLS = Number(process.env['STREAM_KILLS'] ?? 5);
const EVENTS = Number(process.env['STREAM_EVENTS'] ?? 3_000);
const SEED = process.env['STREAM_SEED'] ?? '1';
const IS_POSTGRES = process.env['STREAM_DATABASE'] === 'postgres';
const IS_LONG = process.env['STREAM_KILLS'] !== undefined;
const NODES = 5;
/** On one PostgreSQL several managers write, and nodes and consumers come to any of them. */
const MANAGERS = IS_POSTGRES ? 3 : 1;
/** All of it may take so long for each kill, and the whole a while besides. */
const MS_PER_KILL = 20_000;
const TIMEOUT_MS = 300_000 + KILLS * MS_PER_KILL;

let programs: ReturnType<typeof buildPrograms>;
let manager: ManagerCrew;
let consumers: readonly Consumer[] = [];
const nodes: PumpingNode[] = [];
const dir = makeTempDir();

let comings = 0;
/** Whoever comes, and comes back, takes the next manager. */
const nextUrl = (): string => manager.urls[(comings += 1) % manager.urls.length] ?? '';

beforeAll(async () => {
  programs = buildPrograms();
  manager = await startManagerCrew({
    programs: programs.path,
    database: IS_POSTGRES ? 'postgres' : 'sqlite',
    count: MANAGERS,
  });
  const reach = { admin: manager.admin, nextUrl };
  consumers = [
    new TailingFile(programs.path, reach, dir.path),
    new CreditedFile(ROOT, reach, dir.path),
  ];
}, 240_000);
afterAll(async () => {
  for (const node of nodes) await node.stop();
  for (const consumer of consumers) await consumer.kill();
  await manager.stop();
  programs.remove();
  dir.remove();
}, 60_000);

async function enroll(index: number): Promise<TestNode> {
  const made = await manager.call('enrollment.create', { body: { group_id: 'grp_default' } });
  const { privateKey: key } = generateKeyPairSync('ed25519');
  const origin = manager.url;
  const body = enrollBody({ token: made.body.secret, origin, key, name: `pump-${index}` });
  const { node_id: id } = (await manager.call('enrollment.enroll', { body }, null)).body;
  let count = 0;
  const token = (): string =>
    makeNodeToken({
      nodeId: id,
      origin,
      key,
      nowMs: Date.now(),
      jti: `jti_${index}x${(count += 1)}x${Date.now()}`,
    });
  return { id, key, token };
}

/** Every id and node event that the manager has, in pages. */
async function stored(): Promise<{ ids: number[]; told: Map<string, string[]> }> {
  const ids: number[] = [];
  const told = new Map<string, string[]>();
  for (let after = 0; ;) {
    const { body } = await manager.call('events.list', { query: { after, limit: 1000 } });
    for (const event of body.items) {
      ids.push(event.id);
      if (event.type !== 'service_healthy') continue;
      const known = told.get(event.node_id ?? '') ?? [];
      known.push(event.message);
      told.set(event.node_id ?? '', known);
    }
    if (body.next_after === after) return { ids, told };
    after = body.next_after;
  }
}

it(
  `what is stored is what came, and what consumers have is what is stored, after ${KILLS} kills`,
  async () => {
    const each = Math.ceil(EVENTS / NODES);
    let done = 0;
    // So slow that there is something to kill in the middle of, all the way.
    const allowed = (): number => Math.ceil((each * (done + 1)) / KILLS);
    for (const consumer of consumers) await consumer.start();
    for (let index = 0; index < NODES; index += 1) {
      nodes.push(new PumpingNode(nextUrl, await enroll(index), each, allowed));
    }
    const startedMs = performance.now();
    const { managers } = manager;
    const killed = await strike({
      // Managers as often as all consumers together, or more often.
      victims:
        MANAGERS === 1 ? [...managers, ...managers, ...consumers] : [...managers, ...consumers],
      kills: KILLS,
      hands: 3,
      random: seededRandom(SEED),
      pauseMsMax: 1_200,
      onKill: (kills) => {
        done = kills;
        if (!IS_LONG || kills % 20 !== 0) return;
        const through = nodes.reduce((sum, node) => sum + node.through, 0);
        const seconds = Math.round((performance.now() - startedMs) / 1_000);
        writeSync(2, `${kills}/${KILLS} kills, ${through}/${each * NODES} events, ${seconds} s\n`);
      },
    });
    for (const node of nodes) while (!node.isDone) await sleep(100);
    // The last links go, which is told too; then it is quiet.
    for (const node of nodes) await node.stop();
    let { ids, told } = await stored();
    for (let before = -1; before !== ids.length; { ids, told } = await stored()) {
      before = ids.length;
      await sleep(1_000);
    }
    expect(ids).toEqual(ids.map((_, index) => index + 1));
    for (const node of nodes) {
      const numbers = Array.from({ length: each }, (_, index) => `number ${index + 1}`);
      expect(told.get(node.id)).toEqual(numbers);
    }
    for (const consumer of consumers) {
      await consumer.start();
      while ((consumer.ids().at(-1) ?? 0) < ids.length) await sleep(500);
      await consumer.kill();
      const found = consumer.ids();
      expect([consumer.name, consumer.mayRepeat ? [...new Set(found)] : found]).toEqual([
        consumer.name,
        ids,
      ]);
    }
    if (!IS_LONG) return;
    const count = (victims: readonly object[]): number =>
      [...killed].reduce((sum, [victim, n]) => sum + (victims.includes(victim) ? n : 0), 0);
    console.info(
      `${ids.length} events stored, each with every consumer once and in order; killed: ` +
        `managers ${count(managers)}, consumers ${count(consumers)}`,
    );
  },
  TIMEOUT_MS,
);

const WRITERS = 3;
const ROUNDS = 60;

it(`${WRITERS} processes write one gapless sequence on PostgreSQL, and no reader sees a number after a larger one`, async () => {
  const shared = await makePostgresDatabase();
  const own = await openDatabase({ url: shared.url, dataDir: dir.path, log: silentLog });
  const log = new EventLog();
  const script = join(ROOT, 'test/stream/appender.mjs');
  let running = WRITERS;
  const writers = Array.from({ length: WRITERS }, async (_, index) => {
    const words = [script, programs.path, shared.url, `writer-${index}`, String(ROUNDS)];
    const child = spawn(process.execPath, words, { stdio: ['ignore', 'pipe', 'inherit'] });
    let output = '';
    child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
    const [code] = (await once(child, 'close')) as [number];
    running -= 1;
    if (code !== 0) throw new Error(`writer ${index} ended with ${code}`);
    return Number(output);
  });
  const seen: string[] = [];
  const ids: number[] = [];
  for (let after = 0, isLast = false; ;) {
    // Asked before the reading: what was written until then is in it.
    isLast = running === 0;
    const page = await log.read(own.read, { after, limit: 7, groups: 'all' });
    ids.push(...page.items.map(({ id }) => id));
    seen.push(...page.items.map(({ message }) => message));
    if (isLast && page.items.length === 0) break;
    after = page.nextAfter;
  }
  const counts = await Promise.all(writers);
  await own.close();
  await shared.drop();
  expect(ids).toEqual(ids.map((_, index) => index + 1));
  for (const [index, count] of counts.entries()) {
    const mine = seen.filter((message) => message.startsWith(`writer-${index} `));
    expect(mine).toEqual(Array.from({ length: count }, (_, at) => `writer-${index} ${at + 1}`));
  }
}, 300_000);
