import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { addressesOf, makeClient } from './parts.js';
import { ROUTES } from '../../protocol/api/index.js';

const PROGRAM = fileURLToPath(new URL('../../server/main.js', import.meta.url));
const START_MS_MAX = 60_000;
const STARTED = '"msg":"manager started"';

/** A manager of its own, in an empty temporary folder, on a free port of this machine. */
export interface OwnManager {
  readonly url: string;
  readonly token: string;
  readonly pid: number;
  /** Ends it and removes its folder. Idempotent. */
  stop(): Promise<void>;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

/** Knows nothing of the environment of whoever starts it: not their database, and not their Redis. */
export async function startOwnManager(path: string): Promise<OwnManager> {
  const folder = mkdtempSync(join(tmpdir(), 'bellwether-fleet-'));
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const child = spawn(process.execPath, [PROGRAM], {
    env: {
      PATH: path,
      BELLWETHER_DATA_DIR: join(folder, 'data'),
      BELLWETHER_PORT: String(port),
      // Thousands enroll in a row with one token.
      BELLWETHER_REQUESTS_PER_MINUTE: '1000000',
    },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const stop = async (): Promise<void> => {
    await end(child);
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    await up(child, url, join(folder, 'manager.log'));
    const setup = readFileSync(join(folder, 'data', 'setup-token'), 'utf8').trim();
    const client = makeClient({ manager: new URL(url), routes: addressesOf(ROUTES) });
    const body = { setup_token: setup, name: 'fleet simulator' };
    const { secret } = await client.call('setup.finish', { body });
    return { url, token: secret, pid: child.pid ?? 0, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Until it says so itself: another program may answer on a port that was free a moment ago. */
async function up(child: ChildProcess, url: string, log: string): Promise<void> {
  let said = '';
  child.stderr?.on('data', (chunk: Buffer) => {
    if (!said.includes(STARTED)) said += chunk.toString();
    writeFileSync(log, chunk, { flag: 'a' });
  });
  const untilMs = performance.now() + START_MS_MAX;
  while (performance.now() < untilMs && child.exitCode === null && child.signalCode === null) {
    const answers = await fetch(`${url}/healthz`).then(
      (response) => response.ok,
      () => false,
    );
    if (answers && said.includes(STARTED)) return;
    await sleep(50);
  }
  throw new Error(`the manager did not start: ${said.slice(-2_000)}`);
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const timer = setTimeout(() => child.kill('SIGKILL'), 20_000);
  child.kill('SIGTERM');
  await once(child, 'exit');
  clearTimeout(timer);
}
