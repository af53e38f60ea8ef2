import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type ServerResponse,
} from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import type { CertificateFiles } from '../certificates.js';

/** One request as it came. */
export interface Asked {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

export interface Told {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

/** What it does with a request: an answer; or `hang`, or `cut` the connection. */
export type Behaviour = (asked: Asked) => Told | 'hang' | 'cut' | Promise<Told | 'hang' | 'cut'>;

/** A receiver on a port of its own, that does as the spec says. */
export interface HttpReceiver {
  readonly url: string;
  readonly port: number;
  /** Every request whose body came whole, oldest first. */
  readonly asked: readonly Asked[];
  /** How it behaves from now on. */
  behave(behaviour: Behaviour): void;
  /** Stops listening, as a receiver that is down; `start` takes the same port again. */
  stop(): Promise<void>;
  start(): Promise<void>;
}

export async function startHttpReceiver(
  behaviour: Behaviour,
  tls: CertificateFiles | null = null,
): Promise<HttpReceiver> {
  const asked: Asked[] = [];
  const sockets = new Set<Socket>();
  let behave = behaviour;
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const chunks: Buffer[] = [];
    for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
    const { method = '', url: path = '', headers } = request;
    const one = { method, path, headers, body: Buffer.concat(chunks).toString('utf8') };
    asked.push(one);
    const told = await behave(one);
    if (told === 'hang') return;
    if (told === 'cut') {
      request.socket.destroy();
      return;
    }
    response.writeHead(told.status, told.headers);
    response.end(told.body ?? '');
  };
  const listener = (request: IncomingMessage, response: ServerResponse): void => {
    answer(request, response).catch(() => request.socket.destroy());
  };
  const make = () =>
    tls === null
      ? createServer(listener)
      : createTlsServer(
          { cert: readFileSync(tls.certFile), key: readFileSync(tls.keyFile) },
          listener,
        );
  let server = make();
  const start = async (port: number): Promise<number> => {
    server = make();
    server.on('connection', (socket: Socket) => {
      sockets.add(socket);
      socket.on('close', () => sockets.delete(socket));
    });
    server.listen(port, '127.0.0.1');
    await once(server, 'listening');
    return (server.address() as AddressInfo).port;
  };
  const port = await start(0);
  return {
    url: `${tls === null ? 'http' : 'https'}://${tls === null ? '127.0.0.1' : 'localhost'}:${port}`,
    port,
    asked,
    behave: (next) => (behave = next),
    stop: async () => {
      if (!server.listening) return;
      const closed = once(server, 'close');
      server.close();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
    start: async () => {
      await start(port);
    },
  };
}
