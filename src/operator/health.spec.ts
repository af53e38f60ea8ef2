import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { CONNECTIONS_MAX, serveHealth, type Health, type RunningHealth } from './health.js';

const WELL: Health = {
  late: [],
  isReady: true,
  leads: true,
  api_server: 'reached',
  workloads: 2,
  linked: 1,
};

describe('the port for probes', () => {
  let running: RunningHealth;
  let health: Health;
  const start = async (seen: Partial<Health> = {}): Promise<void> => {
    health = { ...WELL, ...seen };
    running = await serveHealth(0, () => health);
  };
  afterEach(() => running.stop());

  const ask = async (path: string, method = 'GET', body?: string) => {
    const init = { method, ...(body === undefined ? {} : { body }) };
    const answer = await fetch(`http://127.0.0.1:${running.port}${path}`, init);
    return { status: answer.status, text: await answer.text() };
  };

  it('says that it lives, and how it stands', async () => {
    await start();
    expect(await ask('/healthz')).toEqual({ status: 200, text: '{"status":"ok"}' });
    const ready = await ask('/readyz?verbose');
    expect([ready.status, JSON.parse(ready.text)]).toEqual([
      200,
      { status: 'ok', leads: true, api_server: 'reached', workloads: 2, linked: 1 },
    ]);
    expect(await ask('/readyz', 'HEAD')).toEqual({ status: 200, text: '' });
  });

  it('lives also when it is not ready; does not when a loop stands still', async () => {
    await start({ isReady: false, api_server: 'away' });
    expect((await ask('/healthz')).status).toBe(200);
    const ready = await ask('/readyz');
    expect([ready.status, JSON.parse(ready.text)]).toMatchObject([
      503,
      { status: 'not ready', api_server: 'away' },
    ]);
    health = { ...WELL, late: ['lease'] };
    const alive = await ask('/healthz');
    expect([alive.status, JSON.parse(alive.text)]).toEqual([
      503,
      { status: 'stands still', late: ['lease'] },
    ]);
  });

  it('answers nothing else, and takes nothing', async () => {
    await start();
    expect((await ask('/metrics')).status).toBe(404);
    expect((await ask('/healthz/../env')).status).toBe(404);
    expect((await ask('/healthz', 'POST', 'x'.repeat(1_000))).status).toBe(405);
    const socket = connect(running.port, '127.0.0.1');
    socket.write(`GET /healthz HTTP/1.1\r\nhost: x\r\nx: ${'y'.repeat(10_000)}`);
    socket.on('error', () => undefined).resume();
    await once(socket, 'close');
    expect((await ask('/healthz')).status).toBe(200);
  });

  it('has room for a probe, however many hold it open', async () => {
    await start();
    const held: Socket[] = [];
    const closed = new Set<Socket>();
    for (let count = 0; count < 3 * CONNECTIONS_MAX; count += 1) {
      const socket = connect(running.port, '127.0.0.1').on('error', () => undefined);
      socket.on('close', () => closed.add(socket)).resume();
      await once(socket, 'connect');
      held.push(socket);
    }
    expect((await ask('/healthz')).status).toBe(200);
    // The first of them went for the last.
    await expect.poll(() => closed.size).toBeGreaterThanOrEqual(2 * CONNECTIONS_MAX);
    expect(closed.has(held[0]!)).toBe(true);
    for (const socket of held) socket.destroy();
  });
});
