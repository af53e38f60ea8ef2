import type { ServerResponse } from 'node:http';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { HostileBench } from '../support/hostile-bench.js';
import { makeSigningKey, ReleaseSource } from '../support/release-source.js';

let bench: HostileBench;
beforeEach(async () => {
  bench = await HostileBench.make();
  await bench.publish('1.5.0');
});
afterEach(() => bench.remove());

/** Answers every request for an artifact in this way. */
const blobs = (source: ReleaseSource, answer: (response: ServerResponse) => void): void => {
  source.intercept = (request, response) => {
    if (request.url?.includes('/blobs/') !== true) return false;
    answer(response);
    return true;
  };
};
const forEver = (response: ServerResponse): void => {
  response.writeHead(200);
  const more = (): void => {
    while (!response.destroyed && response.write(Buffer.alloc(16_384)));
    response.once('drain', more);
  };
  more();
};

describe('endless data', () => {
  it('in place of an artifact ends at the signed size', async () => {
    await bench.start();
    blobs(bench.source, forEver);
    expect(await bench.upgrade('1.5.0')).toBe('upgrade_artifact_too_large');
    expect(bench.version).toBeNull();
  });

  it.each([
    ['manifest.json', 'upgrade_manifest_invalid'],
    ['signatures.json', 'upgrade_signature_invalid'],
  ])('in place of %s ends at its limit', async (name, code) => {
    await bench.start();
    bench.source.intercept = (request, response) => {
      if (request.url?.endsWith(name) !== true) return false;
      forEver(response);
      return true;
    };
    expect(await bench.upgrade('1.5.0')).toBe(code);
  });

  it('in place of a channel index ends at its limit', async () => {
    bench.policy(['channel_index = "required"']);
    await bench.start();
    bench.source.intercept = (request, response) => {
      if (request.url?.includes('/channels/') !== true) return false;
      forEver(response);
      return true;
    };
    expect(await bench.upgrade('1.5.0')).toBe('upgrade_index_missing');
    const told = bench.events.find((event) => event.type === 'channel_index_refused');
    expect(told?.details['error_code']).toBe('release_document_invalid');
  });
});

describe('a malicious mirror', () => {
  let mirror: ReleaseSource;
  beforeEach(async () => {
    mirror = await new ReleaseSource().start();
    bench.policy(['source_order = "sources_first"', `sources = ["${mirror.url}"]`]);
    await bench.start();
  });
  afterEach(() => mirror.stop());

  it('that sends other bytes costs a second download and nothing else', async () => {
    blobs(mirror, (response) => response.end(Buffer.alloc(bench.sizeOf('1.5.0'))));
    expect(await bench.upgrade('1.5.0')).toBe('succeeded');
    expect(mirror.requests.length).toBeGreaterThan(0);
    expect(bench.version).toBe('1.5.0');
  });

  it('that announces another length is passed over', async () => {
    blobs(mirror, (response) => response.writeHead(200, { 'content-length': 5 }).end('other'));
    expect(await bench.upgrade('1.5.0')).toBe('succeeded');
  });

  it('that sends without end is passed over', async () => {
    blobs(mirror, forEver);
    expect(await bench.upgrade('1.5.0')).toBe('succeeded');
  });

  it('that begins with rubbish and breaks off does not make the manager look bad', async () => {
    blobs(mirror, (response) => {
      response.writeHead(200, { 'content-length': bench.sizeOf('1.5.0') });
      response.write(Buffer.alloc(100), () => setTimeout(() => response.destroy(), 50));
    });
    // It answers once and is away then, so that the manager goes on where it broke off.
    let isAway = false;
    const { intercept } = mirror;
    mirror.intercept = (request, response) => {
      if (isAway) return (response.writeHead(503).end(), true);
      isAway = request.url?.includes('/blobs/') === true;
      return intercept(request, response);
    };
    expect(await bench.upgrade('1.5.0')).toBe('succeeded');
  });

  it('that serves a manifest of its own is passed over', async () => {
    const archive = Buffer.from('not what was signed');
    await mirror.publish({ version: '1.5.0', sequence: 6, archive, key: makeSigningKey() });
    expect(await bench.upgrade('1.5.0')).toBe('succeeded');
  });

  it('that redirects to a stranger is passed over', async () => {
    const stranger = await new ReleaseSource().start();
    mirror.intercept = (request, response) => {
      response.writeHead(302, { location: `${stranger.url}${request.url ?? ''}` }).end();
      return true;
    };
    expect(await bench.upgrade('1.5.0')).toBe('succeeded');
    expect(stranger.requests).toEqual([]);
    await stranger.stop();
  });

  it('that shows an old index does not hide the new one', async () => {
    await bench.index('1.5.0', { sequence: 9 });
    mirror.intercept = (request, response) => {
      if (request.url?.includes('/channels/') !== true) return false;
      response.end(JSON.stringify({ document: '{}', signatures: ['old'] }));
      return true;
    };
    expect(await bench.upgrade('1.5.0')).toBe('succeeded');
    expect(bench.state.indexes?.stable?.sequence).toBe(9);
  });
});

describe('a source that only the command names', () => {
  it('is never asked', async () => {
    const stranger = await new ReleaseSource().start();
    await bench.start();
    const sources = [bench.source.url, stranger.url];
    expect(await bench.upgrade('1.5.0', { sources })).toBe('upgrade_url_invalid');
    expect(stranger.requests).toEqual([]);
    await stranger.stop();
  });
});
