import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { seededRandom, type Random } from '../../src/core/kernel/index.js';
import { CLOSE, LINK_PATH, NodeMessage, SUBPROTOCOL } from '../../src/protocol/node/index.js';
import { answerExample } from '../../src/server/platform/http/examples.js';
import { makePostgresDatabase } from '../support/databases.js';
import { startTestManager, type TestManager, type TestNode } from '../support/manager.js';
import { aHello, connectNode } from '../support/node-link.js';
import { mutatedBytes, mutatedJson } from './mutate.js';

/** Links with every test run; `npm run fuzz` gives the other. */
const LINKS = Number(process.env['FUZZ_LINKS'] ?? 60);
const SEED = process.env['FUZZ_SEED'] ?? '1';
const TIMEOUT_MS = 3_600_000;
const FRAMES = 12;
const SETTLE_MS = 40;

const GOOD = [aHello(), ...NodeMessage.options.map((option) => answerExample(option))];
const FRAMES_GOOD = GOOD.map((message) => Buffer.from(JSON.stringify(message)));

/** Of the protocol below: a frame or a text that is none (RFC 6455, 7.4.1). */
const OF_WEBSOCKETS = [1002, 1007];
/** What a peer does can have any end but this one. */
const FAULT_OF_OURS = CLOSE.internal_error;

const frameOf = (random: Random): Buffer => {
  const at = random.below(GOOD.length);
  return random.below(3) === 0
    ? mutatedBytes(FRAMES_GOOD[at] ?? Buffer.alloc(0), FRAMES_GOOD, random)
    : Buffer.from(JSON.stringify(mutatedJson(GOOD[at], random)));
};

const cleanUps: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

async function startOn(kind: 'sqlite' | 'postgres'): Promise<TestManager> {
  let env = {};
  if (kind === 'postgres') {
    const database = await makePostgresDatabase();
    cleanUps.push(() => database.drop());
    env = { DATABASE_URL: database.url };
  }
  const manager = await startTestManager(env);
  cleanUps.push(() => manager.stop());
  return manager;
}

/** A link that says strange things until it is closed; gives the code and what it said. */
async function harass(
  manager: TestManager,
  node: TestNode,
  random: Random,
): Promise<{ readonly code: number; readonly said: readonly string[] }> {
  const said: string[] = [];
  const socket = new WebSocket(manager.url.replace('http', 'ws') + LINK_PATH, SUBPROTOCOL, {
    headers: { authorization: `Bearer ${node.token()}` },
  });
  socket.on('error', () => undefined);
  const closed = new Promise<number>((resolve) => socket.once('close', resolve));
  await once(socket, 'open');
  const say = (frame: Buffer): void => {
    if (socket.readyState !== socket.OPEN) return;
    said.push(frame.toString('utf8').slice(0, 2_000));
    socket.send(frame, { binary: random.below(40) === 0 });
  };
  // Mostly let in first: behind that door there is more.
  const hello = random.below(3) === 0 ? mutatedJson(aHello(), random) : aHello();
  say(Buffer.from(JSON.stringify(hello)));
  for (let count = random.below(FRAMES); count > 0; count -= 1) {
    if (random.below(4) === 0) await sleep(random.below(SETTLE_MS));
    say(frameOf(random));
  }
  await Promise.race([closed, sleep(SETTLE_MS)]);
  socket.close(1000);
  return { code: await closed, said };
}

describe.each(['sqlite', 'postgres'] as const)('links that say anything (%s)', (kind) => {
  it(
    'are closed for a reason of theirs, and harm nobody else',
    async () => {
      const manager = await startOn(kind);
      const honest = await manager.node('grp_default', 'honest');
      const link = await connectNode(manager, honest);
      await link.next('welcome');
      const strange = await manager.node('grp_default', 'strange');
      const random = seededRandom(`${SEED} link ${kind}`);
      const known = new Set<number>([1000, 1005, ...OF_WEBSOCKETS, ...Object.values(CLOSE)]);
      known.delete(FAULT_OF_OURS);
      const wrong: object[] = [];
      const codes = new Map<number, number>();
      for (let count = 0; count < LINKS; count += 1) {
        const { code, said } = await harass(manager, strange, random);
        codes.set(code, (codes.get(code) ?? 0) + 1);
        if (!known.has(code)) wrong.push({ code, said });
      }
      expect(wrong).toEqual([]);
      expect(codes.size).toBeGreaterThan(2);
      // The honest one was there all the time, and is heard.
      link.send({
        type: 'events',
        spool_id: 'spl_000001',
        events: [
          {
            seq: 1,
            at: new Date().toISOString(),
            category: 'service',
            type: 'service_healthy',
            severity: 'info',
            message: 'healthy',
            service: 'edge',
            command_id: null,
            details: {},
          },
        ],
      });
      expect(await link.next('events_ack')).toMatchObject({ through: 1 });
      await link.close();
    },
    TIMEOUT_MS,
  );
});
