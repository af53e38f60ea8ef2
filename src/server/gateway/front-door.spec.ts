import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { WebSocket } from 'ws';
import {
  HEARTBEAT_MS,
  nextMessage,
  otherNode,
  startGateway,
  type TestGateway,
} from '../../../test/support/gateway.js';
import { aHello } from '../../../test/support/node-link.js';
import { PACE_START } from './storm-rule.js';

const eventually = (check: () => void): Promise<void> =>
  vi.waitFor(check, { timeout: 30_000, interval: 20 });

let gateway: TestGateway;
beforeEach(async () => {
  gateway = await startGateway();
});
afterEach(() => gateway.stop());

/** What a node met at the door: it is welcome, or was told when to come back. */
type Answer = 'welcome' | { readonly status: number; readonly retryAfterSeconds: number };

function knock(nodeId: string): { readonly socket: WebSocket; readonly answer: Promise<Answer> } {
  const socket = gateway.connect(gateway.token({ nodeId }));
  const answer = Promise.withResolvers<Answer>();
  socket.once('open', () => {
    socket.send(JSON.stringify(aHello()));
  });
  socket.once('message', () => {
    answer.resolve('welcome');
  });
  socket.once('unexpected-response', (_request, response: IncomingMessage) => {
    const { statusCode = 0, headers } = response;
    answer.resolve({ status: statusCode, retryAfterSeconds: Number(headers['retry-after']) });
  });
  return { socket, answer: answer.promise };
}

/** As many nodes as may come in at once, whose hello the database does not answer before `release`. */
async function fill(): Promise<{ release(): void; readonly answers: Promise<Answer[]> }> {
  const held = Promise.withResolvers<number>();
  gateway.below.resume = () => held.promise;
  const all = Array.from({ length: PACE_START.limit }, (_, index) => knock(otherNode(index)));
  await eventually(() => {
    expect(gateway.front.state().underWay).toBe(PACE_START.limit);
    expect(gateway.links.count()).toBe(PACE_START.limit);
  });
  return {
    release: () => {
      held.resolve(1);
    },
    answers: Promise.all(all.map(({ answer }) => answer)),
  };
}

describe('the front door', () => {
  it('lets those in who fit, lets a few wait, and sends them away with a slot before it looks at them', async () => {
    const crowd = await fill();
    const late = knock(otherNode(500));
    const answer = await late.answer;
    expect(answer).toMatchObject({ status: 503 });
    const { retryAfterSeconds } = answer as { retryAfterSeconds: number };
    expect(retryAfterSeconds).toBeGreaterThanOrEqual(1);
    expect(retryAfterSeconds).toBeLessThanOrEqual(60);
    expect(gateway.below.looks).not.toContain(otherNode(500));
    crowd.release();
    expect(new Set(await crowd.answers)).toEqual(new Set(['welcome']));
    expect(await knock(otherNode(500)).answer).toBe('welcome');
    await eventually(() => {
      expect(gateway.front.state()).toMatchObject({ underWay: 0, waiting: 0 });
    });
  });

  it('lets everybody in who comes back at its slot, and looks once for all who is urgent', async () => {
    let reads = 0;
    gateway.links.useUrgency({
      urgent: () => {
        reads += 1;
        const commanded = new Set([otherNode(900)]);
        return Promise.resolve({ probation: new Set(), commanded });
      },
    });
    const crowd = await fill();
    const patient = async (index: number): Promise<number> => {
      for (let knocks = 1; ; knocks += 1) {
        const answer = await knock(otherNode(index)).answer;
        if (answer === 'welcome') return knocks;
        await sleep(answer.retryAfterSeconds * 1_000);
      }
    };
    const startedMs = performance.now();
    const waiting = [700, 701, 900].map(patient);
    await eventually(() => {
      expect(gateway.front.state().waiting).toBeGreaterThan(0);
    });
    crowd.release();
    for (const knocks of await Promise.all(waiting)) expect(knocks).toBeGreaterThan(0);
    const secondsMax = Math.ceil((performance.now() - startedMs) / 1_000);
    expect(reads).toBeGreaterThan(0);
    expect(reads).toBeLessThanOrEqual(1 + secondsMax / 2);
  });

  it('refuses at once who brings no token that could be read, however full it is', async () => {
    const crowd = await fill();
    expect(await gateway.refusal({ authorization: 'Bearer x' })).toMatchObject({ status: 401 });
    crowd.release();
    await crowd.answers;
  });

  it('takes the place back of a node that hangs up, is refused, or says nothing', async () => {
    await gateway.refusal({ authorization: `Bearer ${gateway.token({ nodeId: 'nod_nobody00' })}` });
    const left = gateway.connect();
    await once(left, 'open');
    left.terminate();
    const silent = gateway.connect(gateway.token({ nodeId: otherNode(1) }));
    await once(silent, 'open');
    await eventually(() => {
      expect(gateway.front.state().underWay).toBe(0);
    });
    silent.send(JSON.stringify(aHello()));
    expect((await nextMessage(silent)).type).toBe('welcome');
  });

  it('leaves the door to others while one node opens link after link and says nothing', async () => {
    const sockets = Array.from({ length: 30 }, () => gateway.connect());
    await Promise.all(sockets.map((socket) => once(socket, 'open')));
    await eventually(() => {
      const open = sockets.filter(({ readyState }) => readyState === 1);
      expect(open.length).toBeLessThanOrEqual(8);
    });
    expect(await knock(otherNode(1)).answer).toBe('welcome');
  });
});

describe('under load', () => {
  it('a node is asked to beat more slowly, and given up later', async () => {
    const worst = { loopDelayMs: 5_000, databaseDelayMs: 5_000 };
    for (let i = 0; i < 8; i += 1) gateway.load.judge(worst);
    expect(gateway.load.step).toBe('strained');
    const socket = gateway.connect();
    await once(socket, 'open');
    socket.send(JSON.stringify(aHello()));
    const welcome = await nextMessage(socket);
    expect(welcome).toMatchObject({ heartbeat_interval_ms: 2 * HEARTBEAT_MS });
  });

  it('a node is read more slowly while its messages wait for their commit, and keeps its link', async () => {
    const commit = Promise.withResolvers<{ through: number; error: null }>();
    let taken = 0;
    gateway.below.ingest = () => {
      taken += 1;
      return commit.promise;
    };
    const socket = await gateway.greeted();
    const acks: unknown[] = [];
    socket.on('message', (data: Buffer) => acks.push(data));
    const count = 150;
    for (let seq = 1; seq <= count; seq += 1) socket.send(eventsOf(seq));
    await eventually(() => {
      expect(gateway.links.counters().held_back).toBe(1);
    });
    // Longer than a node may be silent.
    await sleep(HEARTBEAT_MS * 5);
    expect(taken).toBeLessThan(count / 2);
    expect(socket.readyState).toBe(socket.OPEN);
    commit.resolve({ through: count, error: null });
    await eventually(() => {
      expect(acks).toHaveLength(count);
    });
    expect(gateway.links.count()).toBe(1);
  });
});

const eventsOf = (seq: number): string =>
  JSON.stringify({
    type: 'events',
    spool_id: 'spl_000001',
    events: [
      {
        seq,
        at: '2026-11-20T08:00:00.000Z',
        type: 'service_healthy',
        category: 'service',
        severity: 'info',
        service: 'edge',
        command_id: null,
        message: 'healthy',
        details: { padding: 'x'.repeat(3_500), more: 'x'.repeat(3_500) },
      },
    ],
  });
