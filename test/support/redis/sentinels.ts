import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import type { CertificateFiles } from '../certificates.js';
import { eventually, freePort } from '../fleet.js';
import { startRedis, type RedisServer } from '../redis.js';

/** A master with a replica, and three sentinels that agree by two on who is the master. */
export interface WatchedRedis {
  /** `127.0.0.1:port` of each. */
  readonly sentinels: readonly string[];
  /** As sentinels know it now. */
  master(): Promise<string>;
  killMaster(): Promise<void>;
  killSentinel(index: number): Promise<void>;
  stop(): Promise<void>;
}

export const MASTER_NAME = 'ours';
export const PASSWORD = 's3cret';
export const SENTINEL_PASSWORD = 'w4tch';

type Tls = CertificateFiles & { readonly caFile: string };

const portOf = ({ url }: RedisServer): number => Number(new URL(url).port);

export async function startWatchedRedis(tls?: Tls): Promise<WatchedRedis> {
  const dir = mkdtempSync(join(tmpdir(), 'bellwether-sentinels-'));
  const both = {
    password: PASSWORD,
    ...(tls === undefined ? {} : { tls }),
  };
  const link = [
    '--masterauth',
    PASSWORD,
    ...(tls === undefined ? [] : ['--tls-replication', 'yes']),
  ];
  const first = await startRedis({ ...both, settings: link });
  const second = await startRedis({
    ...both,
    settings: [...link, '--replicaof', '127.0.0.1', String(portOf(first))],
  });
  const servers = new Map([first, second].map((one) => [portOf(one), one]));
  const ports: number[] = [];
  const watchers: ChildProcess[] = [];
  for (let index = 0; index < 3; index += 1) {
    const port = await freePort();
    const file = join(dir, `sentinel-${index}.conf`);
    writeFileSync(file, configOf(port, portOf(first), tls).join('\n'));
    ports.push(port);
    watchers.push(spawn('redis-server', [file, '--sentinel', '--dir', dir], { stdio: 'ignore' }));
  }
  const ask = async (index: number, ...words: readonly string[]): Promise<unknown> => {
    const client = new Redis({
      port: ports[index] ?? 0,
      host: '127.0.0.1',
      password: SENTINEL_PASSWORD,
      retryStrategy: null,
      maxRetriesPerRequest: 0,
      enableReadyCheck: false,
      ...(tls === undefined ? {} : { tls: { rejectUnauthorized: false } }),
    });
    client.on('error', () => undefined);
    try {
      return await client.call('SENTINEL', ...words);
    } finally {
      client.disconnect();
    }
  };
  const kill = async (child: ChildProcess | undefined): Promise<void> => {
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
  };
  // A failover needs sentinels that know each other and the replica.
  await eventually(async () => {
    for (const index of ports.keys()) {
      const answer = String(await ask(index, 'CKQUORUM', MASTER_NAME));
      const replicas = (await ask(index, 'REPLICAS', MASTER_NAME)) as string[][];
      const isLinked = replicas.some((one) => one.join(' ').includes('master-link-status ok'));
      if (!answer.startsWith('OK 3') || !isLinked) throw new Error(answer);
    }
  }, 60_000);
  const master = async (): Promise<string> => {
    const index = watchers.findIndex(
      ({ exitCode, signalCode }) => (exitCode ?? signalCode) === null,
    );
    const [, port] = (await ask(index, 'GET-MASTER-ADDR-BY-NAME', MASTER_NAME)) as string[];
    return String(port);
  };
  return {
    sentinels: ports.map((port) => `127.0.0.1:${port}`),
    master,
    killMaster: async () => servers.get(Number(await master()))?.stop(),
    killSentinel: (index) => kill(watchers[index]),
    stop: async () => {
      for (const watcher of watchers) await kill(watcher);
      for (const server of servers.values()) await server.stop();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

const configOf = (port: number, masterPort: number, tls: Tls | undefined): string[] => [
  ...(tls === undefined
    ? [`port ${port}`]
    : [
        'port 0',
        `tls-port ${port}`,
        `tls-cert-file ${tls.certFile}`,
        `tls-key-file ${tls.keyFile}`,
        `tls-ca-cert-file ${tls.caFile}`,
        'tls-auth-clients no',
        'tls-replication yes',
      ]),
  'bind 127.0.0.1',
  `requirepass ${SENTINEL_PASSWORD}`,
  `sentinel sentinel-pass ${SENTINEL_PASSWORD}`,
  `sentinel monitor ${MASTER_NAME} 127.0.0.1 ${masterPort} 2`,
  `sentinel auth-pass ${MASTER_NAME} ${PASSWORD}`,
  `sentinel down-after-milliseconds ${MASTER_NAME} 2000`,
  `sentinel failover-timeout ${MASTER_NAME} 10000`,
];
