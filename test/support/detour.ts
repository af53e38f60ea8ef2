import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, request, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { connect, type AddressInfo, type Server, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { CertificateFiles } from './certificates.js';

/** What becomes of a WebSocket that wants through. */
export type OnUpgrade = 'pass' | 'refuse' | 'hang' | 'swallow';

abstract class Station {
  readonly sockets = new Set<Duplex>();
  protected abstract readonly server: Server;

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  async start(): Promise<this> {
    this.server.on('connection', (socket: Socket) => this.keep(socket));
    this.server.listen(0, '127.0.0.1');
    await once(this.server, 'listening');
    return this;
  }

  async stop(): Promise<void> {
    this.cutAll();
    this.server.close();
    await once(this.server, 'close');
  }

  cutAll(): void {
    for (const socket of this.sockets) socket.destroy();
  }

  protected keep(socket: Duplex): void {
    this.sockets.add(socket);
    socket.on('error', () => socket.destroy());
    socket.once('close', () => this.sockets.delete(socket));
  }
}

/**
 * A web server with a certificate in front of a manager, as a reverse proxy or a proxy that looks
 * into TLS would be. It understands HTTP; what it does to WebSockets is for the spec to say.
 */
export class Front extends Station {
  /** The port of the manager; requests are refused until it is set. */
  upstream = 0;
  onUpgrade: OnUpgrade = 'pass';
  /** Cuts every WebSocket so long after it was let through. */
  cutAfterMs: number | null = null;
  /** Cuts a request that has had no answer for so long. */
  cutHeldAfterMs: number | null = null;
  /** Answers 502 instead of passing requests on. */
  isDown = false;
  readonly requests: string[] = [];
  upgrades = 0;
  protected readonly server: Server;

  constructor({ certFile, keyFile }: CertificateFiles) {
    super();
    const tls = { cert: readFileSync(certFile), key: readFileSync(keyFile) };
    const server = createTlsServer(tls, (asked, answer) => {
      this.#pass(asked, answer);
    });
    server.on('upgrade', (asked, socket, head) => {
      this.#upgrade(asked, socket, head);
    });
    this.server = server;
  }

  get url(): string {
    return `https://localhost:${this.port}`;
  }

  /** Takes over a connection that was meant for somebody else. */
  intercept(socket: Socket): void {
    this.server.emit('connection', socket);
  }

  #pass(asked: IncomingMessage, answer: ServerResponse): void {
    this.requests.push(`${asked.method ?? ''} ${asked.url ?? ''}`);
    if (this.isDown) {
      answer.writeHead(502).end('<html>bad gateway</html>');
      return;
    }
    const { method, url, headers } = asked;
    const target = { host: '127.0.0.1', port: this.upstream, method, path: url, headers };
    const onward = request({ ...target, agent: false }, (response) => {
      answer.writeHead(response.statusCode ?? 502, response.headers);
      response.pipe(answer);
    });
    const { cutHeldAfterMs } = this;
    if (cutHeldAfterMs !== null) {
      const timer = setTimeout(() => asked.socket.destroy(), cutHeldAfterMs);
      answer.once('close', () => clearTimeout(timer));
    }
    onward.on('error', () => answer.destroy());
    answer.once('close', () => onward.destroy());
    asked.pipe(onward);
  }

  #upgrade(asked: IncomingMessage, socket: Duplex, head: Buffer): void {
    this.upgrades += 1;
    this.keep(socket);
    if (this.onUpgrade === 'refuse') {
      socket.end('HTTP/1.1 403 Forbidden\r\nContent-Length: 6\r\n\r\nnever!');
      return;
    }
    if (this.onUpgrade === 'hang') return;
    const onward = connect(this.upstream, '127.0.0.1', () => {
      const lines = [`${asked.method ?? ''} ${asked.url ?? ''} HTTP/1.1`];
      for (let index = 0; index < asked.rawHeaders.length; index += 2) {
        lines.push(`${asked.rawHeaders[index] ?? ''}: ${asked.rawHeaders[index + 1] ?? ''}`);
      }
      onward.write(`${lines.join('\r\n')}\r\n\r\n`);
      onward.write(head);
      onward.pipe(socket);
      // Lets the upgrade through, and then nothing that the node says.
      if (this.onUpgrade !== 'swallow') socket.pipe(onward);
    });
    this.keep(onward);
    socket.once('close', () => onward.destroy());
    onward.once('close', () => socket.destroy());
    if (this.cutAfterMs !== null) setTimeout(() => socket.destroy(), this.cutAfterMs).unref();
  }
}

/** A proxy that knows CONNECT, and nothing else. */
export class ConnectProxy extends Station {
  /** `host:port`, and the credentials if there were any. */
  readonly tunnels: string[] = [];
  /** Requests that came in the clear. */
  readonly plain: string[] = [];
  /** Looks into every tunnel: ends TLS itself, with a certificate of its own. */
  inspector: Front | null = null;
  protected readonly server: Server;

  constructor() {
    super();
    const server = createServer((asked, answer) => {
      this.plain.push(asked.url ?? '');
      answer.writeHead(500).end();
    });
    server.on('connect', (asked: IncomingMessage, client: Socket) => {
      const { url = '', headers } = asked;
      this.tunnels.push(`${url} ${headers['proxy-authorization'] ?? ''}`.trim());
      this.keep(client);
      const { port } = new URL(`http://${url}`);
      if (this.inspector !== null) {
        client.write('HTTP/1.1 200 Connection established\r\n\r\n');
        this.inspector.intercept(client);
        return;
      }
      const far = connect(Number(port), '127.0.0.1', () => {
        client.write('HTTP/1.1 200 Connection established\r\n\r\n');
        far.pipe(client).pipe(far);
      });
      this.keep(far);
      client.once('close', () => far.destroy());
      far.once('close', () => client.destroy());
    });
    this.server = server;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }
}
