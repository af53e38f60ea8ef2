import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type RequestListener, type Server } from 'node:http';
import { connect, createServer as createTcpServer, type AddressInfo, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { HealthCheck, isHealthy } from './index.js';

const TIMEOUT_SECS = 0.3;
let cwd: string;
let server: Server;
let answer: RequestListener;

beforeEach(async () => {
  cwd = mkdtempSync(join(tmpdir(), 'bellwether-health-'));
  answer = (_request, response) => response.end();
  server = createServer((request, response) => {
    answer(request, response);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
});
afterEach(async () => {
  server.closeAllConnections();
  server.close();
  await once(server, 'close');
  rmSync(cwd, { recursive: true, force: true });
});

const portOf = (of: Pick<Server, 'address'>): number => (of.address() as AddressInfo).port;
const ask = (check: object, isRunning = true): Promise<boolean> =>
  isHealthy(HealthCheck.parse({ timeout_secs: TIMEOUT_SECS, ...check }), isRunning, cwd);
const askHttp = (path = '/health'): Promise<boolean> =>
  ask({ kind: 'http', url: `http://127.0.0.1:${portOf(server)}${path}` });
const askCommand = (...command: string[]): Promise<boolean> => ask({ kind: 'command', command });

/** A no, and in time. */
async function expectNoInTime(asked: Promise<boolean>): Promise<void> {
  const startedAt = performance.now();
  expect(await asked).toBe(false);
  expect(performance.now() - startedAt).toBeLessThan(TIMEOUT_SECS * 1000 + 500);
}

/** A port where nobody listens. */
async function deadPort(): Promise<number> {
  const gone = createTcpServer().listen(0, '127.0.0.1');
  await once(gone, 'listening');
  const port = portOf(gone);
  gone.close();
  await once(gone, 'close');
  return port;
}

describe('a service that does not run', () => {
  it('is not well, whatever its check would say', async () => {
    expect(await ask({ kind: 'http', url: `http://127.0.0.1:${portOf(server)}/` }, false)).toBe(
      false,
    );
    expect(await isHealthy({ kind: 'none', interval_secs: 1 }, false, cwd)).toBe(false);
  });

  it('and one without a check is well while it runs', async () => {
    expect(await isHealthy({ kind: 'none', interval_secs: 1 }, true, cwd)).toBe(true);
  });
});

describe('a check over HTTP', () => {
  it.each([200, 204, 299])('takes %i for well', async (status) => {
    answer = (_request, response) => response.writeHead(status).end();
    expect(await askHttp()).toBe(true);
  });

  it.each([301, 302, 404, 500, 503])('takes %i for ill', async (status) => {
    answer = (_request, response) => response.writeHead(status, { location: '/well' }).end();
    expect(await askHttp()).toBe(false);
  });

  it('does not wait for the body', async () => {
    answer = (_request, response) => response.writeHead(200).write('a first part');
    expect(await askHttp()).toBe(true);
  });

  it('takes silence, a slow head and a cut connection for ill, and in time', async () => {
    answer = () => undefined;
    await expectNoInTime(askHttp());
    answer = (request) => {
      const drip = setInterval(() => request.socket.write('H'), 50);
      request.socket.once('close', () => {
        clearInterval(drip);
      });
    };
    await expectNoInTime(askHttp());
    answer = (request) => request.socket.destroy();
    await expectNoInTime(askHttp());
    await expectNoInTime(ask({ kind: 'http', url: `http://127.0.0.1:${await deadPort()}/` }));
  });

  it('of another scheme is refused in the configuration, not at the first check', () => {
    for (const url of ['https://127.0.0.1/', 'ftp://127.0.0.1/', 'file:///etc/passwd']) {
      expect(HealthCheck.safeParse({ kind: 'http', url }).success).toBe(false);
    }
  });
});

describe('a check over TCP', () => {
  it('takes a port that accepts for well, and one where nobody listens for ill', async () => {
    expect(await ask({ kind: 'tcp', port: portOf(server) })).toBe(true);
    await expectNoInTime(ask({ kind: 'tcp', port: await deadPort() }));
  });

  it('takes one that never answers for ill, and in time', async () => {
    // A process that is stopped accepts nobody; when its queue is full the kernel answers nobody.
    const program =
      "const s = require('node:net').createServer().listen({ port: 0, host: '127.0.0.1', backlog: 1 }," +
      ' () => console.log(s.address().port))';
    // Node by its name: the runtime that is shipped, on which this runs too, knows no such short queue.
    const stopped = spawn('node', ['-e', program]);
    const [said] = (await once(stopped.stdout, 'data')) as [Buffer];
    const port = Number(said.toString());
    stopped.kill('SIGSTOP');
    const sockets: Socket[] = [];
    try {
      for (let i = 0; i < 8; i += 1) sockets.push(connect({ port, host: '127.0.0.1' }));
      for (const socket of sockets) socket.on('error', () => undefined);
      await sleep(200);
      await expectNoInTime(ask({ kind: 'tcp', port }));
    } finally {
      for (const socket of sockets) socket.destroy();
      stopped.kill('SIGKILL');
      await once(stopped, 'exit');
    }
  });
});

describe('a check by a command', () => {
  it('takes its exit code, in the directory of the version', async () => {
    expect(await askCommand('test', '-e', 'ready')).toBe(false);
    writeFileSync(join(cwd, 'ready'), '');
    expect(await askCommand('test', '-e', 'ready')).toBe(true);
    expect(await askCommand('sh', '-c', 'exit 7')).toBe(false);
    expect(await askCommand('sh', '-c', 'kill -9 $$')).toBe(false);
  });

  it('takes a program that is not there, or may not be run, for ill', async () => {
    expect(await askCommand('no-such-program')).toBe(false);
    writeFileSync(join(cwd, 'plain'), '');
    expect(await askCommand('./plain')).toBe(false);
    rmSync(cwd, { recursive: true });
    expect(await askCommand('true')).toBe(false);
  });

  it('that hangs is ended in time, with everything that it started', async () => {
    const pidFile = join(cwd, 'pid');
    await expectNoInTime(askCommand('sh', '-c', 'sleep 600 & echo $! > pid; wait'));
    const pid = Number(readFileSync(pidFile, 'utf8'));
    await sleep(100);
    const isGone =
      !existsSync(`/proc/${pid}`) || /\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'latin1'));
    expect(isGone).toBe(true);
  });
});
