import { createServer, type Server } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';

/** Whoever holds more of them open loses the oldest: a probe always finds its way in. */
export const CONNECTIONS_MAX = 32;
const REQUEST_MS = 5_000;
const HEADERS_BYTES_MAX = 4_096;

/** How an operator stands. Counts and yes or no, nothing that anybody could use. */
export interface Health {
  /** Loops that stand still; none when all is well. */
  readonly late: readonly string[];
  readonly isReady: boolean;
  readonly leads: boolean;
  readonly api_server: 'reached' | 'away';
  /** Those that it looks after, and how many of them have a link to the manager. */
  readonly workloads: number;
  readonly linked: number;
}

export interface RunningHealth {
  readonly port: number;
  stop(): Promise<void>;
}

/**
 * A port for probes: `GET /healthz` (503 when a loop stands still), `GET /readyz` (503 until it can do its work). It is
 * open to whoever reaches the pod, and so it is small in every way: a few connections, short requests, no body, no state.
 */
export async function serveHealth(port: number, look: () => Health): Promise<RunningHealth> {
  const server = createServer(
    { maxHeaderSize: HEADERS_BYTES_MAX, connectionsCheckingInterval: 1_000 },
    (request, response) => {
      const [status, body] = answerTo(request.method, request.url, look);
      const text = JSON.stringify(body);
      response.writeHead(status, {
        'content-type': 'application/json',
        'content-length': Buffer.byteLength(text),
        'cache-control': 'no-store',
        // Whatever came as a body is not read.
        connection: 'close',
      });
      response.end(request.method === 'HEAD' ? undefined : text);
    },
  );
  server.headersTimeout = REQUEST_MS;
  server.requestTimeout = REQUEST_MS;
  const open = new Set<Socket>();
  server.on('connection', (socket) => {
    open.add(socket);
    socket.once('close', () => open.delete(socket));
    const [oldest] = open;
    if (open.size > CONNECTIONS_MAX) oldest?.destroy();
  });
  server.on('clientError', (_, socket) => socket.destroy());
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    // Every address of the pod, of either kind.
    server.listen(port, resolve);
  });
  return { port: (server.address() as AddressInfo).port, stop: () => stop(server) };
}

function answerTo(
  method: string | undefined,
  url: string | undefined,
  look: () => Health,
): readonly [number, object] {
  if (method !== 'GET' && method !== 'HEAD') return [405, { status: 'GET only' }];
  const path = url?.split('?')[0];
  if (path === '/healthz') {
    const { late } = look();
    return late.length === 0 ? [200, { status: 'ok' }] : [503, { status: 'stands still', late }];
  }
  if (path === '/readyz') {
    const { isReady, late: _late, ...seen } = look();
    return [isReady ? 200 : 503, { status: isReady ? 'ok' : 'not ready', ...seen }];
  }
  return [404, { status: 'GET /healthz, GET /readyz' }];
}

async function stop(server: Server): Promise<void> {
  const closed = new Promise((resolve) => server.close(resolve));
  server.closeAllConnections();
  await closed;
}
