import { spawn, spawnSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createWriteStream, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { describe, it } from 'vitest';
import { BLOB_PATH } from '../../src/protocol/node/index.js';
import { makeTempDir } from '../support/databases.js';
import { eventually, freePort } from '../support/fleet.js';
import { startTestManager, type TestNode } from '../support/manager.js';
import { release } from '../support/catalog.js';
import { ROOT } from '../walls/tree.js';
import { compared, IS_QUICK, median, skipped } from './measure.js';

const MIB = 1024 ** 2;
const BYTES = (IS_QUICK ? 20 : 100) * MIB;
const READERS = IS_QUICK ? 16 : 64;
const UPLOAD_BYTES = (IS_QUICK ? 50 : 190) * MIB;
const ROUNDS = IS_QUICK ? 1 : 3;

/** Debian's package `nginx`; BELLWETHER_BENCH_NGINX names one elsewhere. */
const NGINX = process.env['BELLWETHER_BENCH_NGINX'] ?? 'nginx';

async function read(url: string, tokens: readonly (string | null)[]): Promise<number> {
  const child = spawn(process.execPath, [join(ROOT, 'test/bench/artifact-readers.mjs')], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  let said = '';
  child.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()));
  child.stdin.end(JSON.stringify({ url, tokens }));
  await once(child, 'close');
  const { bytes, ms } = JSON.parse(said) as { bytes: number; ms: number };
  if (bytes !== BYTES * READERS) throw new Error(`only ${bytes} bytes came`);
  return (1_000 * bytes) / ms / 1e6;
}

async function startNginx(folder: string): Promise<{ url: string; stop(): Promise<void> }> {
  const port = await freePort();
  mkdirSync(join(folder, 'tmp'), { recursive: true });
  const config = join(folder, 'nginx.conf');
  const places = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (name) => `${name}_temp_path ${folder}/tmp;`,
  );
  writeFileSync(
    config,
    `daemon off; user root; worker_processes 1; pid ${folder}/nginx.pid; error_log stderr;
     events { worker_connections 1024; }
     http { access_log off; sendfile on; tcp_nopush on; ${places.join(' ')}
       server { listen 127.0.0.1:${port}; root ${folder}/www; } }`,
  );
  const child = spawn(NGINX, ['-c', config, '-p', folder], { stdio: 'ignore' });
  const url = `http://127.0.0.1:${port}`;
  await eventually(() => fetch(`${url}/artifact`, { method: 'HEAD' }));
  return {
    url,
    stop: async () => {
      child.kill('SIGTERM');
      await once(child, 'exit');
    },
  };
}

describe('artifacts', () => {
  it('are served to many readers', { timeout: 900_000 }, async () => {
    const found = spawnSync(NGINX, ['-v']);
    if (found.error !== undefined) {
      skipped('artifact', 'nginx is not installed (apt-get install nginx)');
      return;
    }
    const dir = makeTempDir();
    const bytes = randomBytes(BYTES);
    mkdirSync(join(dir.path, 'www'));
    writeFileSync(join(dir.path, 'www', 'artifact'), bytes);
    const nginx = await startNginx(dir.path);
    const manager = await startTestManager();
    await release(manager, { version: '2.0.0' }, bytes);
    // One each: a node may fetch little at once.
    const nodes: TestNode[] = [];
    while (nodes.length < READERS) {
      nodes.push(await manager.node('grp_default', `reader-${nodes.length}`));
    }
    const sha256 = createHash('sha256').update(bytes).digest('hex');
    const [theirs, ours]: number[][] = [[], []];
    for (let round = 0; round < ROUNDS; round += 1) {
      const nobody = Array.from({ length: READERS }, () => null);
      theirs?.push(await read(`${nginx.url}/artifact`, nobody));
      const tokens = nodes.map((node) => node.token());
      ours?.push(await read(`${manager.url}${BLOB_PATH}/${sha256}`, tokens));
    }
    compared(`${BYTES / MIB} MiB to ${READERS} readers`, {
      ...{ row: 'artifact', unit: 'MB/s' },
      baseline: ['nginx sendfile', median(theirs ?? [])],
      measured: ['manager', median(ours ?? [])],
    });
    await manager.stop();
    await nginx.stop();
    dir.remove();
  });

  it('are taken in with a hash', { timeout: 900_000 }, async () => {
    const dir = makeTempDir();
    const path = join(dir.path, 'upload');
    const bare = createServer((request, response) => {
      void pipeline(request, createWriteStream(path, { highWaterMark: MIB })).then(async () => {
        const file = await open(path, 'r+');
        await file.sync();
        await file.close();
        response.writeHead(201).end();
      });
    }).listen(0, '127.0.0.1');
    await once(bare, 'listening');
    const url = `http://127.0.0.1:${(bare.address() as AddressInfo).port}/`;
    const manager = await startTestManager();
    const perSecond = async (to: string, bytes: Buffer): Promise<number> => {
      const startedAt = performance.now();
      const answer = await fetch(to, {
        method: 'PUT',
        headers: {
          authorization: `Bearer ${manager.admin}`,
          'content-type': 'application/octet-stream',
        },
        body: bytes as unknown as ArrayBuffer,
      });
      if (!answer.ok) throw new Error(await answer.text());
      return bytes.length / 1e3 / (performance.now() - startedAt);
    };
    const [theirs, ours]: number[][] = [[], []];
    for (let round = 0; round < 2 * ROUNDS + 1; round += 1) {
      const bytes = randomBytes(UPLOAD_BYTES);
      const sha256 = createHash('sha256').update(bytes).digest('hex');
      theirs?.push(await perSecond(url, bytes));
      rmSync(path);
      ours?.push(await perSecond(`${manager.url}/api/v1/blobs/sha256/${sha256}`, bytes));
    }
    compared(`upload of ${UPLOAD_BYTES / MIB} MiB, hashed and synced`, {
      ...{ row: 'upload', unit: 'MB/s' },
      baseline: ['without hash', median(theirs ?? [])],
      measured: ['manager', median(ours ?? [])],
    });
    await manager.stop();
    bare.close();
    dir.remove();
  });
});
