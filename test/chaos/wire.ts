import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

export type Way = 'there' | 'back';

/**
 * A cable between two processes of this machine, as a TCP proxy: it can be slow, held (nothing passes in one
 * way or in both, connections stay open and what was sent comes later, as when packets are lost and sent again),
 * or cut (connections are reset, and new ones are too).
 */
export class Wire {
  delayMs = 0;
  readonly #held = new Set<Way>();
  readonly #open = new Set<Socket>();
  readonly #waiting: (() => void)[] = [];
  #isCut = false;

  private constructor(
    private readonly server: Server,
    private readonly farPort: number,
  ) {}

  static async to(farPort: number): Promise<Wire> {
    const server = createServer();
    const wire = new Wire(server, farPort);
    server.on('connection', (near) => {
      wire.#join(near);
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return wire;
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  cut(): void {
    this.#isCut = true;
    this.drop();
  }

  /** Breaks what is open; new connections are taken. */
  drop(): void {
    for (const socket of this.#open) socket.resetAndDestroy();
    this.#flow();
  }

  hold(...ways: readonly Way[]): void {
    for (const way of ways) this.#held.add(way);
  }

  /** As good as new. */
  mend(): void {
    this.#isCut = false;
    this.delayMs = 0;
    this.#held.clear();
    this.#flow();
  }

  async stop(): Promise<void> {
    this.cut();
    this.server.close();
    await once(this.server, 'close');
  }

  #flow(): void {
    for (const go of this.#waiting.splice(0)) go();
  }

  #join(near: Socket): void {
    if (this.#isCut) {
      near.on('error', () => undefined);
      near.resetAndDestroy();
      return;
    }
    const far = connect(this.farPort, '127.0.0.1');
    this.#carry('there', near, far);
    this.#carry('back', far, near);
  }

  #carry(way: Way, from: Socket, to: Socket): void {
    let last = Promise.resolve();
    from.setNoDelay(true);
    this.#open.add(from);
    from.on('error', () => undefined);
    from.on('data', (chunk: Buffer) => {
      from.pause();
      last = this.#pass(way).then(() => {
        if (!to.destroyed) to.write(chunk);
        from.resume();
      });
    });
    from.once('close', () => {
      this.#open.delete(from);
      // The news of an end travels by the same wire.
      void last.then(() => this.#pass(way)).then(() => to.destroy());
    });
  }

  async #pass(way: Way): Promise<void> {
    if (this.delayMs > 0) await sleep(this.delayMs);
    while (this.#held.has(way) && !this.#isCut) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }
}
