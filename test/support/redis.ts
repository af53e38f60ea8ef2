import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { inject } from 'vitest';
import type { TestProject } from 'vitest/node';
import type { CertificateFiles } from './certificates.js';
import { freePort } from './fleet.js';

declare module 'vitest' {
  interface ProvidedContext {
    /** A Redis server for this run; each spec takes a prefix of its own. Empty: none is installed. */
    redisUrl: string;
  }
}

const MISSING =
  'redis-server is not installed, and these specs run on a real one: apt-get install redis-server';

export interface RedisServer {
  readonly url: string;
  /** Starts it again on the same port, empty. */
  start(): Promise<void>;
  stop(): Promise<void>;
  /** Takes connections and commands, and answers nothing, until it is resumed. */
  freeze(): void;
  resume(): void;
  /** One command on a connection of its own. */
  command(name: string, ...args: readonly string[]): Promise<unknown>;
}

export interface RedisSettings {
  readonly password?: string;
  readonly settings?: readonly string[];
  /** It then speaks TLS only, as `localhost`; `caFile` is whom its own `command` trusts. */
  readonly tls?: CertificateFiles & { readonly caFile: string };
}

const tlsWords = (port: number, { certFile, keyFile, caFile }: RedisTls): string[] => [
  ...['--port', '0', '--tls-port', String(port), '--tls-auth-clients', 'no'],
  ...['--tls-cert-file', certFile, '--tls-key-file', keyFile, '--tls-ca-cert-file', caFile],
];
type RedisTls = NonNullable<RedisSettings['tls']>;

/** An empty Redis on a free port, which keeps nothing. Ended by its own handle. */
export async function startRedis(given: RedisSettings = {}): Promise<RedisServer> {
  const port = await freePort();
  const login = given.password === undefined ? '' : `:${encodeURIComponent(given.password)}@`;
  const { tls } = given;
  const url =
    tls === undefined ? `redis://${login}127.0.0.1:${port}` : `rediss://${login}localhost:${port}`;
  const auth = given.password === undefined ? [] : ['--requirepass', given.password];
  const speaks = tls === undefined ? ['--port', String(port)] : tlsWords(port, tls);
  const words = [...speaks, '--bind', '127.0.0.1', '--save', '', ...auth];
  let server: ChildProcess | null = null;
  let dir = '';

  const start = async (): Promise<void> => {
    dir = mkdtempSync(join(tmpdir(), 'bellwether-redis-'));
    server = spawn('redis-server', [...words, '--dir', dir, ...(given.settings ?? [])], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    await ready(server);
  };
  const stop = async (): Promise<void> => {
    if (server === null) return;
    const ended = once(server, 'exit');
    server.kill('SIGKILL');
    await ended;
    server = null;
    rmSync(dir, { recursive: true, force: true });
  };
  await start();
  return {
    url,
    start,
    stop,
    freeze: () => void server?.kill('SIGSTOP'),
    resume: () => void server?.kill('SIGCONT'),
    command: async (name, ...args) => {
      const client = new Redis(url, {
        maxRetriesPerRequest: 1,
        // Whatever name the certificate has: what is tested is not this connection.
        ...(tls === undefined
          ? {}
          : { tls: { ca: readFileSync(tls.caFile), checkServerIdentity: () => undefined } }),
      });
      try {
        return await client.call(name, ...args);
      } finally {
        client.disconnect();
      }
    },
  };
}

function ready(server: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    let output = '';
    server.stdout?.on('data', (chunk: Buffer) => {
      if (output.length < 10_000) output += chunk.toString();
      if (output.includes('Ready to accept connections')) resolve();
    });
    server.once('error', (error: NodeJS.ErrnoException) =>
      reject(error.code === 'ENOENT' ? new Error(MISSING) : error),
    );
    server.once('exit', () => reject(new Error(`Redis did not start:\n${output}`)));
  });
}

/** The Redis of this run. */
export function redisUrl(): string {
  const url = inject('redisUrl');
  if (url === '') throw new Error(MISSING);
  return url;
}

let count = 0;

/** A prefix that nothing else in this run has. */
export function freshPrefix(): string {
  count += 1;
  return `test-${process.pid}-${Date.now().toString(36)}-${count}`;
}

/** One Redis for the whole run. Without the program only the specs that need it fail. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  try {
    const server = await startRedis();
    project.provide('redisUrl', server.url);
    return () => server.stop();
  } catch (error) {
    if (!(error instanceof Error) || error.message !== MISSING) throw error;
    project.provide('redisUrl', '');
    return () => Promise.resolve();
  }
}
