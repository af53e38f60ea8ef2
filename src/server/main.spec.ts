import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { buildPrograms } from '../../test/support/built.js';
import { makePostgresDatabase, makeTempDir } from '../../test/support/databases.js';

let programs: ReturnType<typeof buildPrograms>;
beforeAll(() => {
  programs = buildPrograms();
});
afterAll(() => programs.remove());

interface Running {
  readonly child: ChildProcess;
  readonly url: string;
  output(): { stdout: string; stderr: string };
}
interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

let dir: ReturnType<typeof makeTempDir>;
const children: ChildProcess[] = [];
beforeEach(() => {
  dir = makeTempDir();
});
afterEach(async () => {
  for (const child of children.splice(0)) {
    if (child.exitCode !== null || child.signalCode !== null) continue;
    child.kill('SIGKILL');
    await once(child, 'exit');
  }
  dir.remove();
});

function launch(env: Record<string, string>): { child: ChildProcess; output: Running['output'] } {
  const child = spawn(process.execPath, [join(programs.path, 'server', 'main.js')], {
    env: { BELLWETHER_DATA_DIR: join(dir.path, 'data'), BELLWETHER_PORT: '0', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  children.push(child);
  const seen = { stdout: '', stderr: '' };
  child.stdout.on('data', (chunk: Buffer) => (seen.stdout += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (seen.stderr += chunk.toString()));
  return { child, output: () => seen };
}

async function start(env: Record<string, string> = {}): Promise<Running> {
  const { child, output } = launch(env);
  for (;;) {
    const url = /listens on (\S+)\n/.exec(output().stdout)?.[1];
    if (url !== undefined) return { child, url, output };
    if (child.exitCode !== null) throw new Error(`ended: ${output().stderr}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

async function fail(env: Record<string, string>): Promise<Ended> {
  const { child, output } = launch(env);
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, ...output() };
}

async function stop({ child }: Running, signal: NodeJS.Signals): Promise<number | null> {
  const closed = once(child, 'close') as Promise<[number | null]>;
  child.kill(signal);
  return (await closed)[0];
}

async function setUp(running: Running): Promise<{ status: number; secret: string }> {
  const token = /bws_[0-9a-z]{40}/.exec(running.output().stdout)?.[0] ?? '';
  const response = await fetch(`${running.url}/api/v1/setup`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ setup_token: token, name: 'ann' }),
  });
  const { secret } = (await response.json()) as { secret: string };
  return { status: response.status, secret };
}

const groups = async (url: string, secret: string, name?: string): Promise<number> => {
  const response = await fetch(`${url}/api/v1/groups`, {
    method: name === undefined ? 'GET' : 'POST',
    headers: { authorization: `Bearer ${secret}`, 'content-type': 'application/json' },
    body: name === undefined ? null : JSON.stringify({ name }),
  });
  const body = (await response.json()) as { items?: unknown[] };
  return body.items?.length ?? response.status;
};

/** What every failed start looks like: words, no stack, the exit code of a wrong configuration. */
function expectRefusal(ended: Ended, pattern: RegExp): void {
  expect(ended.stderr).toMatch(pattern);
  expect(ended.stderr).toMatch(/^Bellwether cannot start:\n/);
  expect(ended.stderr).not.toMatch(/^\s+at /m);
  expect(ended.code).toBe(78);
  expect(ended.stdout).toBe('');
}

describe('the manager as a process', () => {
  it('serves, stops on SIGTERM with code 0, and has everything after the next start', async () => {
    const first = await start();
    const { status, secret } = await setUp(first);
    expect(status).toBe(201);
    expect(await groups(first.url, secret, 'east')).toBe(201);
    expect(await stop(first, 'SIGTERM')).toBe(0);
    expect(existsSync(join(dir.path, 'data', 'bellwether.db-wal'))).toBe(false);
    const second = await start();
    expect(second.output().stdout).not.toContain('bws_');
    expect(await groups(second.url, secret)).toBe(2);
    expect(await stop(second, 'SIGINT')).toBe(0);
    expect(second.output().stderr).not.toContain(secret);
  });

  it('loses nothing that it acknowledged when it is killed, and its lock goes with it', async () => {
    let running = await start();
    const { secret } = await setUp(running);
    for (let round = 1; round <= 3; round += 1) {
      expect(await groups(running.url, secret, `group ${round}`)).toBe(201);
      await stop(running, 'SIGKILL');
      running = await start();
      expect(await groups(running.url, secret)).toBe(round + 1);
    }
    expect(await stop(running, 'SIGTERM')).toBe(0);
  });

  it('runs on PostgreSQL too', async () => {
    const { url, drop } = await makePostgresDatabase();
    const running = await start({ DATABASE_URL: url });
    expect(running.output().stdout).toContain('database: PostgreSQL');
    expect((await setUp(running)).status).toBe(201);
    expect(await stop(running, 'SIGTERM')).toBe(0);
    await drop();
  });
});

describe('a manager that cannot start says why', () => {
  it('for every wrong variable at once', async () => {
    const env = { BELLWETHER_PORT: 'http', BELLWETHER_LOG_LEVEL: 'loud', DATABASE_URL: 'x' };
    const ended = await fail(env);
    expectRefusal(ended, /BELLWETHER_PORT: write a whole number from 0 to 65535/);
    expect(ended.stderr).toMatch(/DATABASE_URL: give postgres:/);
    expect(ended.stderr).toMatch(/BELLWETHER_LOG_LEVEL: take one of/);
  });

  it('when its port is taken', async () => {
    const other = createServer().listen(0, '127.0.0.1');
    await once(other, 'listening');
    const port = String((other.address() as AddressInfo).port);
    expectRefusal(
      await fail({ BELLWETHER_PORT: port }),
      new RegExp(`BELLWETHER_PORT: something else listens on 127\\.0\\.0\\.1 port ${port};`),
    );
    other.close();
  });

  it('when its address is not of this machine', async () => {
    expectRefusal(
      await fail({ BELLWETHER_HOST: '192.0.2.1' }),
      /BELLWETHER_HOST: this machine has no address 192\.0\.2\.1/,
    );
  });

  it('when another manager uses the directory', async () => {
    const running = await start();
    expectRefusal(await fail({}), /BELLWETHER_DATA_DIR: another manager is using /);
    expect((await fetch(`${running.url}/healthz`)).status).toBe(200);
  });

  it('when the data directory cannot be written', async () => {
    writeFileSync(join(dir.path, 'file'), '');
    expectRefusal(
      await fail({ BELLWETHER_DATA_DIR: join(dir.path, 'file', 'data') }),
      /BELLWETHER_DATA_DIR: the directory \S+ cannot be written \(ENOTDIR\)/,
    );
    // A directory that is read-only for everybody, root too.
    expectRefusal(
      await fail({ BELLWETHER_DATA_DIR: '/proc/self/fd' }),
      /BELLWETHER_DATA_DIR: the directory \S+ cannot be (written|used)/,
    );
  });

  it('when its database is damaged, and leaves the file as it is', async () => {
    mkdirSync(join(dir.path, 'data'));
    writeFileSync(join(dir.path, 'data', 'bellwether.db'), 'this is no database at all'.repeat(99));
    expectRefusal(await fail({}), /BELLWETHER_DATA_DIR: the database in \S+ cannot be opened/);
  });

  it('when PostgreSQL does not answer, without its password', async () => {
    const ended = await fail({ DATABASE_URL: 'postgres://ann:s3cret@127.0.0.1:1/fleet' });
    expectRefusal(ended, /DATABASE_URL: PostgreSQL at 127\.0\.0\.1:1 cannot be used/);
    expect(ended.stderr).not.toContain('s3cret');
  });
});
