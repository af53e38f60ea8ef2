import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gunzipSync } from 'node:zlib';
import { z } from 'zod';

/** The JSON of OTLP 1.x over HTTP, from its published protobuf files; what is not there is refused. */
const Hex = (bytes: number) => z.string().regex(new RegExp(`^[0-9a-f]{${bytes * 2}}$`));
const Nanos = z.string().regex(/^\d{1,20}$/);
const Value: z.ZodType = z.lazy(() =>
  z.union([
    z.strictObject({ stringValue: z.string() }),
    z.strictObject({ boolValue: z.boolean() }),
    z.strictObject({ intValue: z.union([z.int(), z.string().regex(/^-?\d+$/)]) }),
    z.strictObject({ doubleValue: z.number() }),
    z.strictObject({ arrayValue: z.strictObject({ values: z.array(Value) }) }),
    z.strictObject({ kvlistValue: z.strictObject({ values: Attributes }) }),
    z.strictObject({}),
  ]),
);
const Attributes = z.array(z.strictObject({ key: z.string().min(1), value: Value }));
const Resource = z.strictObject({
  attributes: Attributes,
  droppedAttributesCount: z.int().optional(),
});
const Scope = z.strictObject({ name: z.string(), version: z.string().optional() });
const Link = z.strictObject({
  traceId: Hex(16),
  spanId: Hex(8),
  traceState: z.string().optional(),
  attributes: Attributes.optional(),
  droppedAttributesCount: z.int().optional(),
  flags: z.int().optional(),
});
const Span = z.strictObject({
  traceId: Hex(16),
  spanId: Hex(8),
  traceState: z.string().optional(),
  parentSpanId: Hex(8).optional(),
  flags: z.int().optional(),
  name: z.string().min(1),
  kind: z.int().min(1).max(5),
  startTimeUnixNano: Nanos,
  endTimeUnixNano: Nanos,
  attributes: Attributes,
  droppedAttributesCount: z.int(),
  events: z.array(z.looseObject({})),
  droppedEventsCount: z.int(),
  links: z.array(Link),
  droppedLinksCount: z.int(),
  status: z.strictObject({ code: z.int().min(0).max(2), message: z.string().optional() }),
});
const LogRecord = z.strictObject({
  timeUnixNano: Nanos,
  observedTimeUnixNano: Nanos,
  severityNumber: z.int().min(1).max(24),
  severityText: z.string().min(1),
  body: Value,
  eventName: z.string().optional(),
  attributes: Attributes,
  droppedAttributesCount: z.int(),
  flags: z.int().optional(),
  traceId: Hex(16).optional(),
  spanId: Hex(8).optional(),
});
const Traces = z.strictObject({
  resourceSpans: z.array(
    z.strictObject({
      resource: Resource,
      scopeSpans: z.array(
        z.strictObject({ scope: Scope, spans: z.array(Span), schemaUrl: z.string().optional() }),
      ),
      schemaUrl: z.string().optional(),
    }),
  ),
});
const Logs = z.strictObject({
  resourceLogs: z.array(
    z.strictObject({
      resource: Resource,
      scopeLogs: z.array(
        z.strictObject({
          scope: Scope,
          logRecords: z.array(LogRecord),
          schemaUrl: z.string().optional(),
        }),
      ),
      schemaUrl: z.string().optional(),
    }),
  ),
});

type Plain = Readonly<Record<string, unknown>>;
export type ReadSpan = Omit<z.infer<typeof Span>, 'attributes'> & {
  readonly attributes: Plain;
  readonly resource: Plain;
};
export type ReadLog = Omit<z.infer<typeof LogRecord>, 'attributes'> & {
  readonly attributes: Plain;
  readonly resource: Plain;
};

/** A collector that takes nothing but what the standard says, and remembers all of it. */
export interface OtlpReceiver {
  readonly url: string;
  readonly spans: ReadSpan[];
  readonly logs: ReadLog[];
  /** What was sent and is not OTLP. */
  readonly problems: string[];
  /** Bytes that came, before they were unpacked. */
  received(): number;
  stop(): Promise<void>;
}

export async function startOtlpReceiver(): Promise<OtlpReceiver> {
  const spans: ReadSpan[] = [];
  const logs: ReadLog[] = [];
  const problems: string[] = [];
  let bytes = 0;
  const take = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const raw = Buffer.concat(chunks);
    bytes += raw.length;
    const { 'content-type': type, 'content-encoding': encoding } = request.headers;
    if (request.method !== 'POST' || type !== 'application/json') {
      throw new Error(`${request.method ?? ''} with ${type ?? 'no type'}`);
    }
    const json: unknown = JSON.parse((encoding === 'gzip' ? gunzipSync(raw) : raw).toString());
    if (request.url === '/v1/traces') {
      for (const { resource, scopeSpans } of Traces.parse(json).resourceSpans) {
        const about = plain(resource.attributes);
        for (const span of scopeSpans.flatMap((scope) => scope.spans)) {
          spans.push({ ...span, attributes: plain(span.attributes), resource: about });
        }
      }
    } else if (request.url === '/v1/logs') {
      for (const { resource, scopeLogs } of Logs.parse(json).resourceLogs) {
        const about = plain(resource.attributes);
        for (const log of scopeLogs.flatMap((scope) => scope.logRecords)) {
          logs.push({ ...log, attributes: plain(log.attributes), resource: about });
        }
      }
    } else {
      throw new Error(`nothing is at ${request.url ?? ''}`);
    }
    response.writeHead(200, { 'content-type': 'application/json' }).end('{}');
  };
  const server = createServer((request, response) => {
    take(request, response).catch((error: unknown) => {
      problems.push(String(error));
      response.writeHead(400).end('{}');
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    spans,
    logs,
    problems,
    received: () => bytes,
    stop: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

const plain = (attributes: z.infer<typeof Attributes>): Plain =>
  Object.fromEntries(
    attributes.map(({ key, value }) => {
      const [one] = Object.values(value as Record<string, unknown>);
      return [key, one];
    }),
  );
