import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { HttpFetcher, MANAGER_ONLY } from '../../src/agent/link/index.js';
import { download } from '../../src/agent/updater/download.js';
import { NO_FAULTS } from '../../src/agent/updater/index.js';
import { digestOf, ReleaseSource } from '../support/release-source.js';

const BYTES = randomBytes(200_000);
const { privateKey: key } = generateKeyPairSync('ed25519');
let folder: string;
let manager: ReleaseSource;
let mirror: ReleaseSource;
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'bellwether-slow-'));
  manager = await new ReleaseSource().start();
  mirror = await new ReleaseSource().start();
  manager.addBlob(BYTES);
});
afterEach(async () => {
  await manager.stop();
  await mirror.stop();
  rmSync(folder, { recursive: true, force: true });
});

/** With a patience of 400 ms, where an agent has a minute. */
const get = (sources: readonly string[]): Promise<void> =>
  download({
    sha256: digestOf(BYTES),
    size: BYTES.length,
    path: join(folder, 'artifact'),
    sources,
    fetcher: new HttpFetcher({
      manager: manager.url,
      nodeId: 'nod_000000000001',
      key,
      allowPlaintext: false,
      delivery: () => Promise.resolve({ ...MANAGER_ONLY, sources: [...sources] }),
      now: () => Date.now(),
    }),
    faults: NO_FAULTS,
    signal: new AbortController().signal,
    random: () => 0,
    slowAfterMs: 400,
  });

const headOf = (request: IncomingMessage, response: ServerResponse): number => {
  const from = Number(/\d+/.exec(request.headers.range ?? '')?.[0] ?? 0);
  const range = `bytes ${from}-${BYTES.length - 1}/${BYTES.length}`;
  response.writeHead(from === 0 ? 200 : 206, {
    'content-length': BYTES.length - from,
    ...(from === 0 ? {} : { 'content-range': range }),
  });
  return from;
};
/** The right bytes, one at a time, for ever. */
const trickle = (request: IncomingMessage, response: ServerResponse): true => {
  let at = headOf(request, response);
  const timer = setInterval(() => response.write(BYTES.subarray(at, (at += 1))), 20);
  response.once('close', () => {
    clearInterval(timer);
  });
  return true;
};

describe('slow retrieval', () => {
  it('from the only source ends with its code', async () => {
    manager.intercept = trickle;
    const startedAt = performance.now();
    await expect(get([])).rejects.toMatchObject({ code: 'upgrade_download_slow' });
    expect(performance.now() - startedAt).toBeLessThan(3_000);
  });

  it('from one source ends at the next, which goes on where it was', async () => {
    mirror.intercept = trickle;
    await get([mirror.url, manager.url]);
    expect(readFileSync(join(folder, 'artifact')).equals(BYTES)).toBe(true);
    expect(manager.requests.map(({ range }) => range)).toEqual([
      expect.stringMatching(/^bytes=\d+-$/),
    ]);
  });

  it('in many short connections is no way around it', async () => {
    mirror.intercept = (request, response) => {
      const at = headOf(request, response);
      response.write(BYTES.subarray(at, at + 1), () => setTimeout(() => response.destroy(), 10));
      return true;
    };
    await get([mirror.url, manager.url]);
    expect(readFileSync(join(folder, 'artifact')).equals(BYTES)).toBe(true);
    expect(mirror.requests.length).toBeGreaterThan(1);
  });
});
