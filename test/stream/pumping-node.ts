import { setTimeout as sleep } from 'node:timers/promises';
import { WebSocket } from 'ws';
import {
  EVENTS_PER_BATCH_MAX,
  LINK_PATH,
  ManagerMessage,
  SUBPROTOCOL,
  type NodeEvent,
} from '../../src/protocol/node/index.js';
import type { TestNode } from '../support/manager.js';
import { aHello } from '../support/node-link.js';

const COME_BACK_MS = 200;
const LOOK_MS = 30;

const eventOf = (seq: number): NodeEvent => ({
  seq,
  at: new Date().toISOString(),
  type: 'service_healthy',
  category: 'service',
  severity: 'info',
  service: 'edge',
  command_id: null,
  message: `number ${seq}`,
  details: {},
});

/** A node with a spool of so many events, which it sends in order until all are acknowledged. */
export class PumpingNode {
  readonly id: string;
  readonly total: number;
  #through = 0;
  #isStopped = false;
  #socket: WebSocket | null = null;
  readonly #running: Promise<void>;

  constructor(
    private readonly url: () => string,
    private readonly node: TestNode,
    total: number,
    /** How many may be sent at this moment. */
    private readonly allowed: () => number,
  ) {
    this.id = node.id;
    this.total = total;
    this.#running = this.#run();
  }

  /** As many as a manager has made durable. */
  get through(): number {
    return this.#through;
  }

  get isDone(): boolean {
    return this.#through >= this.total;
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#socket?.terminate();
    await this.#running;
  }

  async #run(): Promise<void> {
    while (!this.#isStopped && !this.isDone) {
      await this.#session();
      await sleep(COME_BACK_MS);
    }
  }

  #session(): Promise<void> {
    const socket = new WebSocket(this.url().replace('http', 'ws') + LINK_PATH, SUBPROTOCOL, {
      headers: { authorization: `Bearer ${this.node.token()}` },
    });
    this.#socket = socket;
    const next = this.total + 1;
    socket.on('open', () => {
      const spool = { id: 'spl_000001', first_seq: 1, next_seq: next };
      socket.send(JSON.stringify(aHello({ spool })));
    });
    socket.on('message', (data: Buffer) => {
      const message = ManagerMessage.parse(JSON.parse(data.toString()));
      if (message.type === 'welcome') this.#through = message.events_through;
      else if (message.type === 'events_ack') this.#through = message.through;
      else return;
      if (this.isDone) socket.close();
      else this.#sendNext(socket);
    });
    socket.on('error', () => undefined);
    return new Promise((resolve) => socket.once('close', () => resolve()));
  }

  #sendNext(socket: WebSocket): void {
    if (socket.readyState !== socket.OPEN) return;
    const most = Math.min(this.total, this.allowed());
    const count = Math.min(EVENTS_PER_BATCH_MAX, most - this.#through);
    if (count <= 0) {
      setTimeout(() => this.#sendNext(socket), LOOK_MS);
      return;
    }
    const events = Array.from({ length: count }, (_, at) => eventOf(this.#through + 1 + at));
    socket.send(JSON.stringify({ type: 'events', spool_id: 'spl_000001', events }));
  }
}
