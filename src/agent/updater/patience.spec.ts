import { generateKeyPairSync } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { FleetError } from '../../core/kernel/index.js';
import { HttpFetcher, MANAGER_ONLY } from '../link/index.js';
import { ReleaseSource } from '../../../test/support/release-source.js';
import type { Fetcher } from './fetcher.port.js';
import { patient, type PatienceOptions } from './patience.js';

const { privateKey } = generateKeyPairSync('ed25519');
const source = new ReleaseSource();
const archive = Buffer.from('an archive');

beforeAll(async () => {
  await source.start();
  await source.publish({ version: '1.2.0', sequence: 2, archive, key: source.key });
});
beforeEach(() => {
  source.requests.length = 0;
  source.intercept = () => false;
});
afterAll(() => source.stop());

/** Whatever is asked for is refused so often, in this way. */
function refuse(times: number, how: (typeof source)['intercept']): void {
  let left = times;
  source.intercept = (request, response) => {
    left -= 1;
    return left >= 0 && how(request, response);
  };
}

let heard: FleetError[] = [];
const fetcher = (change: Partial<PatienceOptions> = {}): Fetcher => {
  heard = [];
  const plain = new HttpFetcher({
    manager: source.url,
    nodeId: 'nod_000000000001',
    key: privateKey,
    allowPlaintext: false,
    delivery: () => Promise.resolve(MANAGER_ONLY),
    now: () => Date.now(),
  });
  const { signal } = new AbortController();
  return patient(plain, { signal, random: () => 0, onWait: (e) => heard.push(e), ...change });
};
const release = (change: Partial<PatienceOptions> = {}): ReturnType<Fetcher['fetchRelease']> => {
  const { signal = new AbortController().signal } = change;
  const wanted = { product: 'edge', version: '1.2.0', channel: 'stable', sources: [], signal };
  return fetcher(change).fetchRelease(wanted);
};

describe('a manager that is away for a moment', () => {
  it('between two files of a release costs some tries, and is told once', async () => {
    refuse(4, (request) => {
      if (request.url?.endsWith('manifest.json') === true) return false;
      request.socket.destroy();
      return true;
    });
    expect((await release()).signatures).toHaveLength(1);
    expect(source.requests.length).toBeGreaterThan(4);
    expect(heard).toHaveLength(1);
    expect(heard[0]?.message).toContain('cannot be reached');
  });

  it('costs tries for a document, too', async () => {
    const name = { kind: 'channel', product: 'edge', channel: 'stable' } as const;
    const { signal } = new AbortController();
    refuse(2, (_request, response) => {
      response.writeHead(500).end();
      return true;
    });
    expect(await fetcher().fetchDocument({ name, sources: [], signal })).toBeNull();
    expect(source.requests).toHaveLength(3);
  });

  it('is waited for as long as patience lasts', async () => {
    refuse(Infinity, (request) => {
      request.socket.destroy();
      return true;
    });
    const code = 'upgrade_network_error';
    await expect(release({ patienceMs: 1_000 })).rejects.toMatchObject({ code });
    // After 0.25 and 0.5 seconds; one more would be too late, and on a busy machine the second one is.
    expect(source.requests.length).toBeGreaterThan(1);
    expect(source.requests.length).toBeLessThan(4);
  });

  it('is asked again when it said, and never without a pause', async () => {
    for (const wait of ['1', '0', new Date(Date.now() + 1_500).toUTCString()]) {
      refuse(1, (_request, response) => {
        response.writeHead(503, { 'retry-after': wait }).end();
        return true;
      });
      const before = performance.now();
      await release({ patienceMs: 0 });
      expect(performance.now() - before).toBeGreaterThan(900);
    }
  });

  it('is not waited for by those who give up', async () => {
    for (const headers of [{}, { 'retry-after': '60' }]) {
      refuse(Infinity, (_request, response) => {
        response.writeHead(503, headers).end();
        return true;
      });
      const giveUp = new AbortController();
      setTimeout(() => {
        giveUp.abort();
      }, 50);
      await expect(release({ signal: giveUp.signal, random: () => 1 })).rejects.toThrow();
    }
  });
});

describe('what time does not mend', () => {
  it('is not waited for long: a source that says no', async () => {
    refuse(Infinity, (_request, response) => {
      response.writeHead(404).end();
      return true;
    });
    const before = performance.now();
    await expect(release()).rejects.toMatchObject({ context: { status: 404 } });
    expect(source.requests.length).toBeGreaterThan(1);
    // Patience with one that does not answer lasts for two minutes.
    expect(performance.now() - before).toBeLessThan(60_000);
  });

  it('is not waited for at all: what is wrong with what came', async () => {
    refuse(Infinity, (_request, response) => {
      response.end('{}');
      return true;
    });
    await expect(release()).rejects.toMatchObject({ code: 'upgrade_signature_invalid' });
    expect(source.requests).toHaveLength(2);
  });
});
