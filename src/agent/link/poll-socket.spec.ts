import { once } from 'node:events';
import { Agent, createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SyncRequest, type SyncAnswer } from '../../protocol/node/index.js';
import { PollSocket, type PollSocketOptions } from './poll-socket.js';

interface Asked {
  readonly body: SyncRequest;
  readonly token: string;
  readonly atMs: number;
}
type Play = (asked: Asked, response: ServerResponse) => void;

/** The manager's end, played by the spec. */
const asked: Asked[] = [];
const server = createServer((request, response) => {
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.on('end', () => {
    const one = {
      body: SyncRequest.parse(JSON.parse(Buffer.concat(chunks).toString())),
      token: request.headers.authorization ?? '',
      atMs: performance.now(),
    };
    asked.push(one);
    play(one, response);
  });
});
let play: Play;
let sockets: PollSocket[];
const say = (response: ServerResponse, answer: Partial<SyncAnswer>): void => {
  const whole = { received: 99, seq: 1, messages: [], closed: null, ...answer };
  response.end(JSON.stringify(whole));
};
/** Answers what carries messages, and lets the others wait. */
const patient: Play = ({ body }, response) => {
  if (body.messages.length > 0) say(response, {});
};

beforeEach(async () => {
  asked.length = 0;
  sockets = [];
  play = patient;
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
});
afterEach(async () => {
  for (const socket of sockets) socket.terminate();
  server.closeAllConnections();
  server.close();
  await once(server, 'close');
});

let tokens = 0;
async function opened(change: Partial<PollSocketOptions> = {}) {
  const { port } = server.address() as AddressInfo;
  const socket = new PollSocket({
    url: `http://127.0.0.1:${port}/node/v1/sync`,
    token: () => `token-${(tokens += 1)}`,
    agent: new Agent({ keepAlive: true }),
    random: () => 0,
    ...change,
  });
  sockets.push(socket);
  const came: unknown[] = [];
  const errors: string[] = [];
  socket.on('message', (data: Buffer) => came.push(JSON.parse(data.toString())));
  socket.on('error', (error: Error) => errors.push(error.message));
  const closed = new Promise<number>((resolve) => socket.once('close', resolve));
  await once(socket, 'open');
  return { socket, came, errors, closed };
}
const requests = (count: number): Promise<void> =>
  expect.poll(() => asked.length, { timeout: 10_000 }).toBeGreaterThanOrEqual(count);

describe('a poll of the agent', () => {
  it('asks nothing until it has something to say, and then listens as well', async () => {
    const { socket } = await opened();
    await sleep(50);
    expect(asked).toEqual([]);
    socket.send('{"type":"a"}');
    await requests(2);
    expect(asked.map(({ body }) => [body.seq, body.messages.length, body.received])).toEqual([
      [1, 1, 0],
      [2, 0, 0],
    ]);
    expect([asked[0]?.body.wait_ms, asked[1]?.body.wait_ms]).toEqual([5_000, 25_000]);
    expect(new Set(asked.map(({ token }) => token)).size).toBe(2);
    expect(new Set(asked.map(({ body }) => body.poll_id)).size).toBe(1);
  });

  it('says again, under the same numbers, what was not heard', async () => {
    play = ({ body }, response) => {
      if (asked.length < 3) response.destroy();
      else if (body.messages.length > 0) say(response, { received: 2 });
    };
    const { socket } = await opened();
    socket.send('{"type":"a"}');
    await requests(1);
    socket.send('{"type":"b"}');
    await requests(3);
    expect(asked[1]?.body.seq).toBe(1);
    expect(asked[2]?.body).toMatchObject({ seq: 1, messages: [{ type: 'a' }, { type: 'b' }] });
    await expect.poll(() => socket.bufferedAmount).toBe(0);
  });

  it('takes each message of the manager once, in order, and says how far it has come', async () => {
    const answers: Partial<SyncAnswer>[] = [
      { seq: 1, messages: [{ n: 1 }, { n: 2 }] },
      { seq: 1, messages: [{ n: 1 }, { n: 2 }, { n: 3 }] },
      // Something is missing before this one.
      { seq: 7, messages: [{ n: 7 }] },
      { seq: 4, messages: [{ n: 4 }] },
    ];
    play = (_one, response) => {
      const answer = answers.shift();
      if (answer !== undefined) say(response, answer);
    };
    const { socket, came } = await opened();
    socket.send('{"type":"a"}');
    await requests(5);
    expect(came).toEqual([{ n: 1 }, { n: 2 }, { n: 3 }, { n: 4 }]);
    expect(asked.slice(0, 5).map(({ body }) => body.received)).toEqual([0, 2, 3, 3, 4]);
  });

  it('asks at most ten times a second, however fast it is answered', async () => {
    play = (_one, response) => say(response, {});
    const { socket } = await opened();
    socket.send('{"type":"a"}');
    await requests(5);
    const gaps = asked.slice(2).map(({ atMs }, index) => atMs - (asked[index + 1]?.atMs ?? 0));
    expect(Math.min(...gaps)).toBeGreaterThan(90);
  });

  it('asks for less where long answers are cut, down to a second', async () => {
    play = ({ body }, response) => {
      if (body.messages.length > 0) say(response, {});
      else setTimeout(() => response.destroy(), 600);
    };
    const { socket } = await opened({ waitMs: 4_000 });
    socket.send('{"type":"a"}');
    await requests(5);
    expect(asked.slice(1, 5).map(({ body }) => body.wait_ms)).toEqual([4_000, 2_000, 1_000, 1_000]);
  });

  it('goes on after answers of a proxy that is having a bad time, but not before it was let in', async () => {
    let status = 502;
    play = ({ body }, response) => {
      if (body.messages.length === 0) return;
      if (status !== 200) response.writeHead(status).end('<html>');
      else say(response, {});
    };
    const early = await opened();
    const refused = once(early.socket, 'unexpected-response');
    early.socket.send('{"type":"a"}');
    const [, response] = (await refused) as [null, { statusCode: number }];
    expect(response.statusCode).toBe(502);

    status = 200;
    const late = await opened();
    late.socket.send('{"type":"a"}');
    await expect.poll(() => late.socket.bufferedAmount).toBe(0);
    status = 503;
    late.socket.send('{"type":"b"}');
    await expect.poll(() => late.errors.length).toBeGreaterThan(0);
    status = 200;
    await expect.poll(() => late.socket.bufferedAmount, { timeout: 5_000 }).toBe(0);
  });

  it('ends as it is told, with what was said before', async () => {
    play = (_one, response) => {
      say(response, { messages: [{ n: 1 }], closed: { code: 4006, reason: 'superseded' } });
    };
    const { socket, came, closed } = await opened();
    socket.send('{"type":"a"}');
    expect([await closed, came]).toEqual([4006, [{ n: 1 }]]);
    socket.send('{"type":"b"}');
    socket.ping();
    socket.close(1000);
    await sleep(50);
    expect(asked).toHaveLength(1);
  });

  it('leaves with a last request that carries what was not heard', async () => {
    const { socket, closed } = await opened();
    socket.send('{"type":"a"}');
    await requests(2);
    socket.send('{"type":"goodbye"}');
    socket.close(1000);
    expect(await closed).toBe(1000);
    const last = asked.filter(({ body }) => body.close);
    expect(last).toHaveLength(1);
    expect(last[0]?.body.messages).toEqual([{ type: 'goodbye' }]);
  });

  it.each([
    ['nonsense', 'hello?'],
    ['another form', '{"received":"many"}'],
    ['more than fits', JSON.stringify({ x: 'x'.repeat(600_000) })],
  ])('is not impressed by %s', async (_what, text) => {
    play = (_one, response) => response.end(text);
    const { socket, errors, came } = await opened();
    socket.send('{"type":"a"}');
    await expect.poll(() => errors.length).toBeGreaterThan(0);
    expect([came, socket.readyState]).toEqual([[], 1]);
  });

  it('splits what is too much for one request', async () => {
    const { socket } = await opened();
    for (let index = 0; index < 5; index += 1) {
      socket.send(JSON.stringify({ type: 'a', text: 'x'.repeat(60_000) }));
    }
    await expect.poll(() => asked.filter(({ body }) => body.messages.length > 0).length).toBe(1);
    expect(asked[0]?.body.messages).toHaveLength(1);
  });
});
