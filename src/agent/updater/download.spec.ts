import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { HttpFetcher, MANAGER_ONLY } from '../link/index.js';
import { digestOf, ReleaseSource } from '../../../test/support/release-source.js';
import { download, type Download } from './download.js';
import { NO_FAULTS } from './faults.js';

const BYTES = randomBytes(300_000);
const SHA256 = digestOf(BYTES);
const { privateKey } = generateKeyPairSync('ed25519');

const source = new ReleaseSource();
let folder: string;
let path: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'bellwether-download-'));
  await source.start();
});
beforeEach(() => {
  path = join(folder, 'artifact');
  rmSync(path, { force: true });
  source.addBlob(BYTES);
  source.requests.length = 0;
  source.intercept = () => false;
});
afterAll(async () => {
  await source.stop();
  rmSync(folder, { recursive: true, force: true });
});

const get = (change: Partial<Download> = {}): Promise<void> =>
  download({
    sha256: SHA256,
    size: BYTES.length,
    path,
    sources: [],
    fetcher: new HttpFetcher({
      manager: source.url,
      nodeId: 'nod_000000000001',
      key: privateKey,
      allowPlaintext: false,
      delivery: () => Promise.resolve(MANAGER_ONLY),
      now: () => Date.now(),
    }),
    faults: NO_FAULTS,
    signal: new AbortController().signal,
    random: () => 0,
    stallTimeoutMs: 300,
    ...change,
  });

const ranges = (): (string | null)[] => source.requests.map((request) => request.range);

/** Cuts the connection after so many bytes of each answer, for the first `times` answers. */
function cutAfter(bytes: number, times: number): void {
  let left = times;
  source.intercept = (request, response) => {
    left -= 1;
    if (left < 0) return false;
    const from = Number(/\d+/.exec(request.headers.range ?? '')?.[0] ?? 0);
    const range = `bytes ${from}-${BYTES.length - 1}/${BYTES.length}`;
    response.writeHead(from === 0 ? 200 : 206, {
      'content-length': BYTES.length - from,
      'content-range': range,
    });
    response.write(BYTES.subarray(from, from + bytes));
    // Not before it lies there: what is on the way is lost with the connection.
    const timer = setInterval(() => {
      if ((statSync(path, { throwIfNoEntry: false })?.size ?? 0) < from + bytes) return;
      clearInterval(timer);
      response.destroy();
    }, 10);
    return true;
  };
}

describe('a download', () => {
  it('brings the bytes of the digest', async () => {
    await get();
    expect(readFileSync(path).equals(BYTES)).toBe(true);
    expect(ranges()).toEqual([null]);
  });

  it('goes on where it was cut, as often as it is', async () => {
    cutAfter(70_000, 3);
    await get();
    expect(readFileSync(path).equals(BYTES)).toBe(true);
    expect(ranges()).toEqual([null, 'bytes=70000-', 'bytes=140000-', 'bytes=210000-']);
  });

  it('goes on where an earlier process stopped, and asks for nothing when all is there', async () => {
    writeFileSync(path, BYTES.subarray(0, 123_456));
    await get();
    expect(ranges()).toEqual(['bytes=123456-']);
    await get();
    expect(source.requests).toHaveLength(1);
    expect(readFileSync(path).equals(BYTES)).toBe(true);
  });

  it('begins anew when the other side knows no ranges', async () => {
    writeFileSync(path, BYTES.subarray(0, 100_000));
    source.intercept = (_request, response) => {
      response.writeHead(200, { 'content-length': BYTES.length }).end(BYTES);
      return true;
    };
    await get();
    expect(ranges()).toEqual(['bytes=100000-']);
    expect(readFileSync(path).equals(BYTES)).toBe(true);
  });

  it('does not trust what lies there: rotten bytes cost one try, and the next begins anew', async () => {
    writeFileSync(path, randomBytes(100_000));
    await get();
    expect(ranges()).toEqual(['bytes=100000-', null]);
    expect(readFileSync(path).equals(BYTES)).toBe(true);
  });

  it('throws away what is longer than it can be', async () => {
    writeFileSync(path, randomBytes(BYTES.length + 1));
    await get();
    expect(ranges()).toEqual([null]);
  });

  it('keeps not a byte more than the signed size, however much comes', async () => {
    source.intercept = (_request, response) => {
      response.writeHead(200);
      const more = (): void => {
        while (!response.destroyed && response.write(randomBytes(16_384)));
        response.once('drain', more);
      };
      more();
      return true;
    };
    await expect(get()).rejects.toMatchObject({ code: 'upgrade_artifact_too_large' });
    expect(existsSync(path)).toBe(false);
    expect(source.requests).toHaveLength(1);
  });

  it('refuses other bytes of the same size', async () => {
    source.addBlob(randomBytes(BYTES.length), SHA256);
    await expect(get()).rejects.toMatchObject({ code: 'upgrade_checksum_mismatch' });
    expect(existsSync(path)).toBe(false);
  });

  it('gives up when nothing came for as long as patience lasts, and keeps what it has', async () => {
    writeFileSync(path, BYTES.subarray(0, 5_000));
    source.intercept = (_request, response) => {
      response.writeHead(503).end();
      return true;
    };
    const asking = get({ patienceMs: 2_000 });
    await expect(asking).rejects.toMatchObject({ code: 'upgrade_network_error' });
    // After 0.25, 0.5 and 1 second; the next one would be too late, and on a busy machine the last one is.
    expect(source.requests.length).toBeGreaterThan(1);
    expect(source.requests.length).toBeLessThan(5);
    expect(statSync(path).size).toBe(5_000);
  });

  it('that ends too early every time gives up too', async () => {
    source.intercept = (request, response) => {
      if (request.headers.range === undefined) {
        // Without a length: that one would be refused before its first byte.
        response.write(BYTES.subarray(0, 1_000));
        response.end();
        return true;
      }
      response.writeHead(206, { 'content-range': 'bytes 1000-1000/300000' }).end();
      return true;
    };
    const asking = get({ patienceMs: 2_000 });
    await expect(asking).rejects.toMatchObject({ code: 'upgrade_network_error' });
    expect(statSync(path).size).toBe(1_000);
  });

  it('takes a connection without a byte for dead, and goes on over another', async () => {
    let isFirst = true;
    source.intercept = (_request, response) => {
      if (!isFirst) return false;
      isFirst = false;
      response.writeHead(200, { 'content-length': BYTES.length }).write(BYTES.subarray(0, 10_000));
      return true;
    };
    await get();
    expect(ranges()).toEqual([null, 'bytes=10000-']);
  });

  it('that trickles for ever ends all the same', async () => {
    source.intercept = (_request, response) => {
      response.writeHead(200, { 'content-length': BYTES.length });
      const timer = setInterval(() => response.write('x'), 20);
      response.once('close', () => {
        clearInterval(timer);
      });
      return true;
    };
    const startedAt = performance.now();
    const trickling = get({ totalTimeoutMs: 800 });
    await expect(trickling).rejects.toMatchObject({ code: 'upgrade_network_error' });
    expect(performance.now() - startedAt).toBeLessThan(3_000);
  });

  it('that is given up ends at once, also while it waits for the next try', async () => {
    source.intercept = (_request, response) => {
      response.writeHead(503).end();
      return true;
    };
    const giveUp = new AbortController();
    setTimeout(() => {
      giveUp.abort();
    }, 200);
    const startedAt = performance.now();
    await expect(get({ signal: giveUp.signal })).rejects.toThrow();
    expect(performance.now() - startedAt).toBeLessThan(600);
  });
});
