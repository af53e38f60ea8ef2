import { createHash, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { mkdirSync, readFileSync, symlinkSync, writeFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { anEvent, LOCAL, rendered } from '../../../../test/contract/sink.contract.js';
import { makeAuthority, type TestAuthority } from '../../../../test/support/certificates.js';
import { makeTempDir } from '../../../../test/support/databases.js';
import { ElasticReceiver } from '../../../../test/support/receivers/elastic-receiver.js';
import { HecReceiver } from '../../../../test/support/receivers/hec-receiver.js';
import {
  startHttpReceiver,
  type HttpReceiver,
} from '../../../../test/support/receivers/http-receiver.js';
import { mountSmallDisk } from '../../../../test/support/small-disk.js';
import { SINK_CONFIGS, type SinkKind } from '../../../protocol/api/index.js';
import { openReceiver } from './kinds.js';
import type { Delivery, Patience, Receiver } from './sink.port.js';

const never = (): AbortSignal => new AbortController().signal;
const cleanUps: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

function open(
  kind: SinkKind,
  config: object,
  credentials: object = {},
  filesDir = '/nowhere',
  patience: Patience = {},
): Receiver {
  const receiver = openReceiver(kind, {
    sinkId: 'snk_one000',
    config: SINK_CONFIGS[kind].parse(config),
    credentials: credentials as never,
    origin: { manager: 'https://bellwether.example', version: '0.1.0' },
    guard: LOCAL,
    filesDir,
    now: () => Date.now(),
    patience,
  });
  cleanUps.push(() => receiver.close());
  return receiver;
}
const send = (receiver: Receiver, ...ids: number[]): Promise<Delivery> =>
  receiver.deliver(
    rendered(
      receiver,
      ids.map((id) => anEvent(id)),
    ),
    never(),
  );
const receive = async (...given: Parameters<typeof startHttpReceiver>): Promise<HttpReceiver> => {
  const receiver = await startHttpReceiver(...given);
  cleanUps.push(() => receiver.stop());
  return receiver;
};

describe('TLS', () => {
  let authority: TestAuthority;
  let other: TestAuthority;
  beforeAll(() => {
    authority = makeAuthority();
    other = makeAuthority();
  });
  afterAll(() => {
    authority.remove();
    other.remove();
  });
  const pem = (file: string): string => readFileSync(file, 'utf8');
  const pinOf = (certFile: string): string =>
    createHash('sha256')
      .update(new X509Certificate(pem(certFile)).publicKey.export({ type: 'spki', format: 'der' }))
      .digest('base64');

  it('sends nothing to a receiver whose certificate is not the right one', async () => {
    const right = authority.issue('DNS:localhost');
    const receiver = await receive(() => ({ status: 200 }), right);
    const wrongName = await receive(
      () => ({ status: 200 }),
      authority.issue('DNS:elsewhere.example'),
    );
    const ca_pem = pem(authority.caFile);
    const tries: [string, object, string | null][] = [
      [receiver.url, { ca_pem }, null],
      [receiver.url, { pin_sha256: pinOf(right.certFile) }, null],
      [receiver.url, { ca_pem, pin_sha256: pinOf(right.certFile) }, null],
      [receiver.url, {}, 'sink_tls_failed'],
      [receiver.url, { ca_pem: pem(other.caFile) }, 'sink_tls_failed'],
      [receiver.url, { pin_sha256: pinOf(authority.caFile) }, 'sink_tls_failed'],
      [receiver.url, { ca_pem, pin_sha256: pinOf(authority.caFile) }, 'sink_tls_failed'],
      [
        receiver.url,
        { ca_pem: pem(other.caFile), pin_sha256: pinOf(right.certFile) },
        'sink_tls_failed',
      ],
      [wrongName.url, { ca_pem }, 'sink_tls_failed'],
    ];
    for (const [url, settings, code] of tries) {
      const delivery = await send(open('webhook', { url, ...settings }), 1);
      expect([settings, delivery.failure?.code ?? null]).toEqual([settings, code]);
    }
    expect(receiver.asked).toHaveLength(3);
    expect(wrongName.asked).toHaveLength(0);
  });

  it('does not speak to a receiver that speaks none', async () => {
    const plain = await receive(() => ({ status: 200 }));
    const url = plain.url.replace('http:', 'https:');
    const delivery = await send(open('webhook', { url, ca_pem: pem(authority.caFile) }), 1);
    expect(delivery).toMatchObject({ settled: 0 });
    expect(plain.asked).toHaveLength(0);
  });
});

describe('a webhook', () => {
  it.each([
    [400, 'sink_event_refused', true],
    [413, 'sink_event_refused', true],
    [422, 'sink_event_refused', true],
    [401, 'sink_receiver_refused', false],
    [403, 'sink_receiver_refused', false],
    [404, 'sink_receiver_refused', false],
    [410, 'sink_receiver_refused', false],
    [408, 'sink_receiver_timeout', false],
    [302, 'sink_redirected', false],
    [429, 'sink_receiver_busy', false],
    [500, 'sink_receiver_failed', false],
    [503, 'sink_receiver_failed', false],
  ])('that answers %i is told as %s', async (status, code, isFaultOfEvent) => {
    const receiver = await receive(() => ({
      status,
      headers: { 'retry-after': '7', location: '/' },
    }));
    const delivery = await send(open('webhook', { url: receiver.url }), 1, 2);
    expect(delivery).toMatchObject({
      settled: 0,
      failure: { code, isFaultOfEvent, retryAfterMs: 7_000 },
    });
    expect(receiver.asked).toHaveLength(1);
  });

  it('that hangs is left when the signal says so', async () => {
    const receiver = await receive(() => 'hang');
    const way = open('webhook', { url: receiver.url });
    const stop = new AbortController();
    const sending = way.deliver(rendered(way, [anEvent(1)]), stop.signal);
    await expect.poll(() => receiver.asked.length).toBe(1);
    stop.abort(new DOMException('told to', 'TimeoutError'));
    expect(await sending).toMatchObject({ settled: 0, failure: { code: 'sink_receiver_timeout' } });
  });

  it('that answers 200 too late has not taken it, whichever half of the answer is late', async () => {
    const late = await receive(() => 'hang');
    const slow = createServer((_, response) => {
      response.writeHead(200);
      response.write('so far');
    }).listen(0, '127.0.0.1');
    await once(slow, 'listening');
    cleanUps.push(() => (slow.closeAllConnections(), slow.close()));
    const slowUrl = `http://127.0.0.1:${(slow.address() as AddressInfo).port}/`;
    for (const url of [late.url, slowUrl]) {
      const way = open('webhook', { url }, {}, '/nowhere', { answerMs: 150 });
      expect(await send(way, 1, 2)).toMatchObject({
        settled: 0,
        failure: { code: 'sink_receiver_timeout', isFaultOfEvent: false },
      });
    }
  });

  it('gets CloudEvents as a batch or alone, with the type of each', async () => {
    const receiver = await receive(() => ({ status: 200 }));
    await send(open('webhook', { url: receiver.url, format: 'cloudevents' }), 1, 2);
    await send(open('webhook', { url: receiver.url, format: 'cloudevents', batch_max: 1 }), 3);
    const told = receiver.asked.map(({ headers, body }) => [
      headers['content-type'],
      headers['webhook-id'],
      Array.isArray(JSON.parse(body)),
    ]);
    expect(told).toEqual([
      ['application/cloudevents-batch+json', 'snk_one000.1-2', true],
      ['application/cloudevents+json', 'snk_one000.3', false],
    ]);
  });
});

describe('Splunk', () => {
  it('settles nothing that the indexers did not acknowledge', async () => {
    const hec = new HecReceiver();
    hec.acknowledges = false;
    const receiver = await receive(hec.behave);
    const way = open('splunk', { url: receiver.url }, { token: hec.token });
    const stop = new AbortController();
    const sending = way.deliver(rendered(way, [anEvent(1)]), stop.signal);
    await expect
      .poll(() => receiver.asked.filter(({ path }) => path.includes('/ack')).length)
      .toBe(2);
    stop.abort(new DOMException('told to', 'TimeoutError'));
    expect((await sending).settled).toBe(0);
    expect(hec.indexed).toEqual([]);
  });

  it('takes indexers that never acknowledge for a failure, after its patience', async () => {
    const hec = new HecReceiver();
    hec.acknowledges = false;
    const receiver = await receive(hec.behave);
    const patience = { acknowledgeMs: 500 };
    const way = open('splunk', { url: receiver.url }, { token: hec.token }, '/nowhere', patience);
    expect(await send(way, 1)).toMatchObject({
      settled: 0,
      failure: { code: 'sink_not_acknowledged', isFaultOfEvent: false },
    });
    // It asked more than once, and sent the events only once.
    expect(receiver.asked.filter(({ path }) => path.includes('/ack')).length).toBeGreaterThan(1);
    expect(receiver.asked.filter(({ path }) => !path.includes('/ack'))).toHaveLength(1);
  });

  it('tells wrong events from wrong settings', async () => {
    const hec = new HecReceiver();
    const receiver = await receive(hec.behave);
    const codeOf = async (config: object, token = hec.token): Promise<unknown> => {
      const { failure: why } = await send(
        open('splunk', { url: receiver.url, ...config }, { token }),
        1,
      );
      return why === null ? null : [why.code, why.isFaultOfEvent];
    };
    expect(await codeOf({})).toBeNull();
    expect(await codeOf({}, 'wrong')).toEqual(['sink_receiver_refused', false]);
    // No channel, and the token asks for one.
    expect(await codeOf({ acknowledge: false })).toEqual(['sink_receiver_refused', false]);
    hec.refusedType = 'upgrade_completed';
    expect(await codeOf({})).toEqual(['sink_event_refused', true]);
    receiver.behave(() => ({ status: 200, body: '<html>login</html>' }));
    expect(await codeOf({})).toEqual(['sink_answer_invalid', false]);
  });
});

describe('Elasticsearch', () => {
  const start = async () => {
    const elastic = new ElasticReceiver();
    const receiver = await receive(elastic.behave);
    const way = open('elasticsearch', { url: receiver.url }, { api_key: elastic.apiKey });
    return { elastic, receiver, way };
  };
  const idOf = (document: Record<string, unknown>): number =>
    (document['event'] as { sequence: number }).sequence;

  it('settles item by item: there already, refused for good, and what has to wait', async () => {
    const { elastic, way } = await start();
    await send(way, 1, 2);
    elastic.judge = (document) => {
      const id = idOf(document);
      const error = { type: 'document_parsing_exception', reason: 'failed to parse field' };
      if (id === 3) return { status: 400, error };
      return id === 5
        ? { status: 429, error: { type: 'es_rejected_execution', reason: 'full' } }
        : null;
    };
    const delivery = await send(way, 1, 2, 3, 4, 5, 6);
    expect(delivery).toMatchObject({
      settled: 4,
      refused: [{ id: 3, message: expect.stringContaining('failed to parse field') as string }],
      failure: { code: 'sink_receiver_busy', isFaultOfEvent: false },
    });
    elastic.judge = () => null;
    expect(await send(way, 5, 6)).toMatchObject({ settled: 2, refused: [], failure: null });
    expect([...elastic.documents.values()].map(idOf)).toEqual([1, 2, 4, 6, 5]);
  });

  it('takes an answer that is none for a failure', async () => {
    const { receiver, way } = await start();
    receiver.behave(() => ({ status: 200, body: '{"errors":false,"items":[]}' }));
    expect(await send(way, 1)).toMatchObject({
      settled: 0,
      failure: { code: 'sink_answer_invalid', isFaultOfEvent: false },
    });
  });
});

describe('a file', () => {
  const linesOf = (path: string): number[] =>
    readFileSync(path, 'utf8')
      .split('\n')
      .slice(0, -1)
      .map((line) => (JSON.parse(line) as { id: number }).id);
  const aDir = (): string => {
    const dir = makeTempDir();
    cleanUps.push(() => dir.remove());
    return dir.path;
  };

  it('is turned over when it is large, and the oldest goes', async () => {
    const dir = aDir();
    const way = open('file', { path: 'a', rotate_bytes: 4_096, rotate_files: 2 }, {}, dir);
    for (let id = 1; id <= 60; id += 1) expect((await send(way, id)).settled).toBe(1);
    expect(readdirSync(dir).sort()).toEqual(['a', 'a.1', 'a.2']);
    const kept = ['a.2', 'a.1', 'a'].flatMap((name) => linesOf(join(dir, name)));
    expect(kept).toEqual(
      Array.from({ length: kept.length }, (_, index) => 61 - kept.length + index),
    );
  });

  it('loses half a line that a kill left behind, and nothing before it', async () => {
    const dir = aDir();
    await send(open('file', { path: 'a' }, {}, dir), 1, 2);
    writeFileSync(join(dir, 'a'), '{"id":3,"mess', { flag: 'a' });
    await send(open('file', { path: 'a' }, {}, dir), 3);
    expect(linesOf(join(dir, 'a'))).toEqual([1, 2, 3]);
  });

  it('is not written through links, nor in place of something else', async () => {
    const dir = aDir();
    const outside = aDir();
    writeFileSync(join(outside, 'secret'), 'as it was');
    symlinkSync(join(outside, 'secret'), join(dir, 'link'));
    symlinkSync(outside, join(dir, 'folder'));
    mkdirSync(join(dir, 'taken'));
    for (const path of ['link', 'folder/secret', 'folder/new', 'taken', 'missing/new']) {
      const delivery = await send(open('file', { path }, {}, dir), 1);
      expect([path, delivery.settled, delivery.failure?.code]).toEqual([
        path,
        0,
        'sink_file_failed',
      ]);
    }
    expect(readdirSync(outside)).toEqual(['secret']);
    expect(readFileSync(join(outside, 'secret'), 'utf8')).toBe('as it was');
  });

  it('on a full disk says so, keeps whole lines, and goes on when there is room', async () => {
    const disk = mountSmallDisk();
    if (disk === null) return;
    cleanUps.push(() => disk.remove());
    const way = open('file', { path: 'a' }, {}, disk.path);
    expect((await send(way, 1, 2)).settled).toBe(2);
    disk.fill();
    const many = Array.from({ length: 200 }, (_, index) => index + 3);
    const full = await send(way, ...many);
    expect(full).toMatchObject({ settled: 0, failure: { code: 'sink_file_failed' } });
    expect(full.failure?.message).toContain('the disk is full');
    disk.free();
    expect((await send(way, ...many)).settled).toBe(200);
    expect(linesOf(join(disk.path, 'a'))).toEqual([1, 2, ...many]);
  });
});
