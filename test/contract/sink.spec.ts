import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { SinkKind } from '../../src/protocol/api/index.js';
import { SINK_CONFIGS } from '../../src/protocol/api/index.js';
import { openReceiver } from '../../src/server/events/sinks/kinds.js';
import type { NetworkGuard } from '../../src/server/events/sinks/network-guard.js';
import type { Receiver } from '../../src/server/events/sinks/sink.port.js';
import { makeAuthority } from '../support/certificates.js';
import { makeTempDir } from '../support/databases.js';
import { ElasticReceiver } from '../support/receivers/elastic-receiver.js';
import { HecReceiver } from '../support/receivers/hec-receiver.js';
import { startHttpReceiver } from '../support/receivers/http-receiver.js';
import { startSyslogServer, type SyslogServerName } from '../support/receivers/syslog-servers.js';
import { describeSink, type Got, type SinkBench } from './sink.contract.js';

const ORIGIN = { manager: 'https://bellwether.example:8480', version: '0.1.0' };

function opener(
  kind: SinkKind,
  config: object,
  more: { credentials?: object; filesDir?: string } = {},
): (guard: NetworkGuard) => Receiver {
  return (guard) =>
    openReceiver(kind, {
      sinkId: 'snk_one000',
      config: SINK_CONFIGS[kind].parse(config),
      credentials: (more.credentials ?? {}) as never,
      origin: ORIGIN,
      guard,
      filesDir: more.filesDir ?? '/nowhere',
      now: () => Date.now(),
    });
}

const asGot = (event: unknown): Got => {
  const { id, message } = event as { id: number; message: string };
  return { id, message };
};
const secret = `whsec_${Buffer.alloc(32, 7).toString('base64')}`;

describeSink('webhook', async () => {
  const receiver = await startHttpReceiver(() => ({ status: 204 }));
  let cleared = 0;
  return {
    open: opener('webhook', { url: `${receiver.url}/hook?x=1` }, { credentials: { secret } }),
    got: () =>
      receiver.asked
        .slice(cleared)
        .flatMap(({ body }) => (JSON.parse(body) as unknown[]).map(asGot)),
    down: () => receiver.stop(),
    up: () => receiver.start(),
    knowsRepetitions: false,
    isRemote: true,
    isConfirmed: true,
    clear: async () => void (cleared = receiver.asked.length),
    stop: () => receiver.stop(),
  };
});

describeSink('Splunk HTTP Event Collector', async () => {
  const hec = new HecReceiver();
  const receiver = await startHttpReceiver(hec.behave);
  return {
    open: opener('splunk', { url: receiver.url }, { credentials: { token: hec.token } }),
    got: () => hec.indexed.map(({ event }) => asGot(event)),
    down: () => receiver.stop(),
    up: () => receiver.start(),
    knowsRepetitions: false,
    isRemote: true,
    isConfirmed: true,
    clear: async () => void hec.indexed.splice(0),
    stop: () => receiver.stop(),
  };
});

describeSink('Elasticsearch', async () => {
  const elastic = new ElasticReceiver();
  const receiver = await startHttpReceiver(elastic.behave);
  return {
    open: opener(
      'elasticsearch',
      { url: receiver.url },
      { credentials: { api_key: elastic.apiKey } },
    ),
    got: () =>
      [...elastic.documents.values()].map((document) => ({
        id: (document['event'] as { sequence: number }).sequence,
        message: String(document['message']),
      })),
    down: () => receiver.stop(),
    up: () => receiver.start(),
    knowsRepetitions: true,
    isRemote: true,
    isConfirmed: true,
    clear: async () => elastic.documents.clear(),
    stop: () => receiver.stop(),
  };
});

describeSink('file', async () => {
  const dir = makeTempDir();
  const lines = (): string[] =>
    readdirSync(dir.path)
      .filter((name) => name.startsWith('events'))
      .sort((a, b) => Number(b.split('.')[2] ?? 0) - Number(a.split('.')[2] ?? 0))
      .flatMap((name) => readFileSync(join(dir.path, name), 'utf8').split('\n').slice(0, -1));
  return {
    open: opener(
      'file',
      { path: 'events.ndjson', rotate_bytes: 4_096, rotate_files: 50 },
      { filesDir: dir.path },
    ),
    got: () => lines().map((line) => asGot(JSON.parse(line))),
    down: null,
    up: async () => undefined,
    knowsRepetitions: false,
    isRemote: false,
    isConfirmed: true,
    clear: async () => {
      for (const name of readdirSync(dir.path)) rmSync(join(dir.path, name));
    },
    stop: async () => dir.remove(),
  };
});

async function syslogBench(
  server: SyslogServerName,
  transport: 'tcp' | 'tls' | 'udp',
): Promise<SinkBench> {
  const authority = makeAuthority();
  const tls = { caFile: authority.caFile, ...authority.issue('DNS:localhost') };
  const real = await startSyslogServer(server, tls);
  const port = { tcp: real.tcpPort, tls: real.tlsPort, udp: real.udpPort }[transport];
  let cleared = 0;
  const ca = readFileSync(authority.caFile, 'utf8');
  return {
    open: opener('syslog', {
      host: transport === 'tls' ? 'localhost' : '127.0.0.1',
      port,
      transport,
      ...(transport === 'tls' ? { ca_pem: ca } : {}),
    }),
    got: () =>
      real
        .received()
        .slice(cleared)
        .map(({ sequence, message }) => {
          const got = asGot(JSON.parse(message));
          return { id: got.id === sequence ? got.id : -1, message: got.message };
        }),
    down: () => real.kill(),
    up: () => real.start(),
    knowsRepetitions: false,
    isRemote: true,
    isConfirmed: transport !== 'udp',
    clear: async () => void (cleared = real.received().length),
    stop: async () => {
      await real.stop();
      authority.remove();
    },
  };
}

for (const server of ['rsyslog', 'syslog-ng'] as const) {
  for (const transport of ['tcp', 'tls', 'udp'] as const) {
    describeSink(`${server} over ${transport}`, () => syslogBench(server, transport));
  }
}
