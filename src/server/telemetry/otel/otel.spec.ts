import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { eventually } from '../../../../test/support/fleet.js';
import {
  startRolloutManager,
  type RolloutManager,
} from '../../../../test/support/obedient-node.js';
import {
  startOtlpReceiver,
  type OtlpReceiver,
  type ReadSpan,
} from '../../../../test/support/telemetry/otlp-receiver.js';
import { loadConfig } from '../../platform/index.js';
import { traced } from '../../platform/telemetry/index.js';
import { startOtel, type Otel } from './index.js';

const TRACE = '0af7651916cd43dd8448eb211c80319c';
const PARENT = 'b7ad6b7169203331';

describe('traces', () => {
  let receiver: OtlpReceiver;
  let manager: RolloutManager;
  let otel: Otel;
  beforeAll(async () => {
    receiver = await startOtlpReceiver();
    const env = {
      OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url,
      OTEL_SERVICE_NAME: 'bellwether-test',
      OTEL_RESOURCE_ATTRIBUTES: 'deployment.environment.name=spec',
      OTEL_BSP_SCHEDULE_DELAY: '50',
    };
    // The packages of OpenTelemetry read some of their variables themselves.
    for (const [name, value] of Object.entries(env)) vi.stubEnv(name, value);
    const { otel: config } = loadConfig(env);
    if (config === null) throw new Error('tracing is not switched on');
    otel = startOtel(config);
    manager = await startRolloutManager({});
  }, 60_000);
  afterAll(async () => {
    await manager.stop();
    await otel.stop();
    await receiver.stop();
    vi.unstubAllEnvs();
  });

  const found = async (is: (span: ReadSpan) => boolean): Promise<ReadSpan> =>
    await eventually(async () => {
      const span = receiver.spans.find(is);
      if (span === undefined) throw new Error(receiver.spans.map(({ name }) => name).join(' '));
      return span;
    });
  const partsOf = (span: ReadSpan): ReadSpan[] =>
    receiver.spans.filter(({ parentSpanId }) => parentSpanId === span.spanId);

  it('take up the trace of the caller, under the name of the route', async () => {
    const asked = await fetch(`${manager.url}/api/v1/nodes/nod_0000000000?secret=hidden`, {
      headers: {
        authorization: `Bearer ${manager.admin}`,
        traceparent: `00-${TRACE}-${PARENT}-01`,
        'x-request-id': 'req-of-the-spec',
      },
    });
    expect(asked.status).toBe(404);
    const span = await found(({ traceId }) => traceId === TRACE);
    expect(span).toMatchObject({
      parentSpanId: PARENT,
      name: 'GET /api/v1/nodes/:id',
      kind: 2,
      attributes: {
        'http.request.method': 'GET',
        'http.route': '/api/v1/nodes/:id',
        'http.response.status_code': 404,
        'bellwether.request_id': 'req-of-the-spec',
      },
      resource: { 'service.name': 'bellwether-test', 'deployment.environment.name': 'spec' },
    });
  });

  it.each([
    ['00-00000000000000000000000000000000-b7ad6b7169203331-01'],
    ['00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01'],
    ['ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'],
    ['00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01'],
    ['x'.repeat(4_000)],
  ])('begin anew where the caller sends no trace: %s', async (traceparent) => {
    const requestId = `odd-${Math.random().toString(36).slice(2)}`;
    await fetch(`${manager.url}/healthz`, { headers: { traceparent, 'x-request-id': requestId } });
    const span = await found(({ attributes }) => attributes['bellwether.request_id'] === requestId);
    expect(span.parentSpanId).toBeUndefined();
    expect(span.traceId).not.toBe(TRACE);
  });

  it('lead from a request over its transaction to the command, and from there to what the node says', async () => {
    const node = await manager.join('grp_default', 'edge-traced');
    const requestId = 'req-traced-rollout';
    const response = await fetch(`${manager.url}/api/v1/rollouts`, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${manager.admin}`,
        'content-type': 'application/json',
        'x-request-id': requestId,
      },
      body: JSON.stringify({
        product: 'edge',
        version: '1.1.0',
        strategy: 'immediate',
        scope: { group_id: 'grp_default' },
      }),
    });
    expect(response.status).toBe(202);
    await node.obey();

    const request = await found(
      ({ attributes }) => attributes['bellwether.request_id'] === requestId,
    );
    expect(request.name).toBe('POST /api/v1/rollouts');
    const sent = await found(
      ({ name, traceId }) => name === 'command.send' && traceId === request.traceId,
    );
    expect(sent.kind).toBe(4);
    expect(sent.attributes['bellwether.command_action']).toBe('upgrade_binary');
    const transaction = receiver.spans.find(({ spanId }) => spanId === sent.parentSpanId);
    expect(transaction?.name).toBe('transaction');
    expect(partsOf(request).map(({ name }) => name)).toContain('transaction');

    const commandId = sent.attributes['bellwether.command_id'];
    for (const name of ['node.ack', 'node.permit_request', 'node.events']) {
      const said = await found((span) => span.name === name && span.links.length > 0);
      expect(said.attributes['bellwether.node_id']).toBe(node.id);
      expect(said.links).toMatchObject([{ traceId: request.traceId, spanId: sent.spanId }]);
      expect(JSON.stringify(said.links)).toContain(String(commandId));
      expect(said.traceId).not.toBe(request.traceId);
    }
    await found(({ name }) => name === 'events.commit');
  });

  it('show each delivery of a sink, and why one failed', async () => {
    const bodies = [
      { name: 'a file', kind: 'file', config: { path: 'spans' } },
      { name: 'a hook', kind: 'webhook', config: { url: 'http://127.0.0.1:9/secret-path' } },
    ] as const;
    for (const body of bodies) {
      await manager.call('sinks.create', { body: { ...body, from: 'beginning' } });
    }
    const ofKind = (kind: string): Promise<ReadSpan> =>
      found(
        ({ name, attributes }) =>
          name === 'sink.deliver' && attributes['bellwether.sink_kind'] === kind,
      );
    const file = await ofKind('file');
    expect(file).toMatchObject({ status: { code: 0 } });
    expect(file.attributes['bellwether.events']).toBeGreaterThan(0);
    expect(file.attributes['bellwether.sink_id']).toMatch(/^snk_/);
    const hook = await ofKind('webhook');
    expect(hook).toMatchObject({ status: { code: 2 } });
    expect(hook.attributes['error.type']).toBe('sink_address_forbidden');
    expect(JSON.stringify([file, hook])).not.toMatch(/secret-path|127\.0\.0\.1/);
  });

  it('are nothing but OTLP, and hold no secret and no query', () => {
    expect(receiver.problems).toEqual([]);
    expect(receiver.spans.length).toBeGreaterThan(20);
    const all = JSON.stringify(receiver.spans);
    expect(all).not.toContain(manager.admin);
    expect(all).not.toContain('hidden');
    expect(all).not.toContain('127.0.0.1');
  });
});

describe('a collector that is away', () => {
  it('costs one line of the log, what waits is dropped, and the end comes nevertheless', async () => {
    const env = {
      OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:9',
      OTEL_EXPORTER_OTLP_TIMEOUT: '200',
      OTEL_BSP_SCHEDULE_DELAY: '20',
      OTEL_BLRP_SCHEDULE_DELAY: '20',
    };
    for (const [name, value] of Object.entries(env)) vi.stubEnv(name, value);
    const { otel: config } = loadConfig(env);
    if (config === null) throw new Error('tracing is not switched on');
    const otel = startOtel(config);
    const said: string[] = [];
    otel.complainTo(pino({}, { write: (line) => void said.push(line) }));
    let done = 0;
    for (let round = 0; round < 40; round += 1) {
      for (let i = 0; i < 100; i += 1) {
        await traced('work', { isRoot: true }, async () => {
          done += 1;
          otel.sink.lines?.write(JSON.stringify({ level: 30, msg: 'work', ...otel.sink.fields() }));
        });
      }
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    await eventually(async () => expect(said.length).toBeGreaterThan(0));
    await otel.stop();
    vi.unstubAllEnvs();
    expect(done).toBe(4_000);
    expect(said).toHaveLength(1);
    expect(said[0]).toContain('could not be sent');
    // Switched off it is a plain call again, and whatever it throws is thrown on.
    await expect(traced('x', {}, () => Promise.reject(new Error('mine')))).rejects.toThrow('mine');
  });
});

describe('the switch', () => {
  it('is off without an endpoint, by the standard variables, and refuses what it cannot do', () => {
    const on = { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:4318' };
    expect(loadConfig({}).otel).toBeNull();
    expect(loadConfig({ ...on, OTEL_SDK_DISABLED: 'true' }).otel).toBeNull();
    expect(
      loadConfig({ ...on, OTEL_TRACES_EXPORTER: 'none', OTEL_LOGS_EXPORTER: 'none' }).otel,
    ).toBeNull();
    expect(loadConfig(on).otel).toMatchObject({ traces: true, logs: true });
    expect(
      loadConfig({ OTEL_EXPORTER_OTLP_LOGS_ENDPOINT: 'http://127.0.0.1:4318/v1/logs' }).otel,
    ).toMatchObject({ traces: false, logs: true });
    for (const wrong of [
      { OTEL_EXPORTER_OTLP_ENDPOINT: '127.0.0.1:4318' },
      { OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc' },
      { OTEL_TRACES_SAMPLER: 'jaeger_remote' },
      { OTEL_TRACES_SAMPLER_ARG: '2' },
      { OTEL_BSP_SCHEDULE_DELAY: '0' },
    ]) {
      expect(() => loadConfig({ ...on, ...wrong })).toThrow(Object.keys(wrong)[0]);
    }
  });
});
