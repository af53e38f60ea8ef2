import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { WebSocket } from 'ws';
import { LINK_PATH, SUBPROTOCOL, type ManagerMessage } from '../../src/protocol/node/index.js';
import type { TestNode } from '../support/manager.js';
import { aHello } from '../support/node-link.js';

const BATCH_MAX = 100;
/** Without an answer for so long the manager is taken for dead, and another link is opened. */
const ANSWER_MS_MAX = 20_000;

/** A node that reports so many events, whatever becomes of the managers. */
export class Feeder {
  /** As many as a manager has made durable. */
  through = 0;

  constructor(
    private readonly node: TestNode,
    private readonly urls: readonly string[],
    private readonly total: number,
    /** How many may be sent at this moment. */
    private readonly allowed: () => number,
  ) {}

  async run(): Promise<void> {
    for (let tries = 0; this.through < this.total; tries += 1) {
      await this.#link(this.urls[tries % this.urls.length] ?? '').catch(() => sleep(50));
    }
  }

  async #link(url: string): Promise<void> {
    const socket = new WebSocket(url.replace('http', 'ws') + LINK_PATH, SUBPROTOCOL, {
      headers: { authorization: `Bearer ${this.node.token()}` },
    });
    socket.on('error', () => undefined);
    const gone = once(socket, 'close').then(() => {
      throw new Error('the link is gone');
    });
    gone.catch(() => undefined);
    const answer = async (type: 'welcome' | 'events_ack'): Promise<number> => {
      const late = new AbortController();
      try {
        for (;;) {
          const [data] = (await Promise.race([
            once(socket, 'message'),
            gone,
            sleep(ANSWER_MS_MAX, null, { signal: late.signal }).then(() => {
              throw new Error('no answer');
            }),
          ])) as [Buffer];
          const message = JSON.parse(data.toString()) as ManagerMessage;
          if (message.type !== type) continue;
          return message.type === 'welcome' ? message.events_through : message.through;
        }
      } finally {
        late.abort();
      }
    };
    try {
      await Promise.race([once(socket, 'open'), gone]);
      const spool = { id: 'spl_000001', first_seq: 1, next_seq: this.total + 1 };
      const welcome = answer('welcome');
      socket.send(JSON.stringify(aHello({ spool })));
      this.through = await welcome;
      while (this.through < this.total) {
        const most = Math.min(this.total, this.allowed());
        if (most <= this.through) {
          await Promise.race([sleep(20), gone]);
          continue;
        }
        const ack = answer('events_ack');
        socket.send(JSON.stringify(this.#batch(Math.min(BATCH_MAX, most - this.through))));
        this.through = await ack;
        // Below the rate that one socket may have.
        await sleep(25);
      }
    } finally {
      socket.terminate();
    }
  }

  #batch(count: number): object {
    return {
      type: 'events',
      spool_id: 'spl_000001',
      events: Array.from({ length: count }, (_, index) => ({
        seq: this.through + index + 1,
        at: new Date().toISOString(),
        type: 'service_healthy',
        category: 'service',
        severity: 'info',
        service: 'edge',
        command_id: null,
        message: `event ${this.through + index + 1}`,
        details: {},
      })),
    };
  }
}
