import { EventEmitter } from 'node:events';
import { FleetError } from '../../core/kernel/index.js';
import {
  CLOSE,
  NODE_FRAME_BYTES_MAX,
  SYNC_ANSWER_BYTES_MAX,
  type SyncAnswer,
  type SyncRequest,
} from '../../protocol/node/index.js';
import type { Wire } from './wire.js';

/** RFC 6455, 7.4.1: what a node is told that was cut off. */
const CUT_OFF = 1006;
const NORMAL = 1000;

interface Sent {
  readonly seq: number;
  readonly json: unknown;
  readonly bytes: number;
}

interface Held {
  readonly answer: () => void;
}

/**
 * A socket made of requests. Messages are numbered from 1 in both directions: what comes twice is
 * taken once, what was not acknowledged is said again, and so a request or an answer that is lost
 * costs nothing but time. At most one request is held back; a newer one lets it go.
 */
export class PollWire extends EventEmitter implements Wire {
  readonly OPEN = 1;
  readonly pollId: string;
  #readyState = 1;
  /** The last number that came from the node. */
  #received = 0;
  /** The last number that was given to a message for it. */
  #given = 0;
  /** Not acknowledged yet, in order. `Session` bounds it by `bufferedAmount`. */
  #sent: Sent[] = [];
  #sentBytes = 0;
  #held: Held | null = null;
  #closed: SyncAnswer['closed'] = null;

  constructor(pollId: string) {
    super();
    this.pollId = pollId;
  }

  get readyState(): number {
    return this.#readyState;
  }

  get bufferedAmount(): number {
    return this.#sentBytes;
  }

  send(text: string): void {
    if (this.#closed !== null) return;
    this.#given += 1;
    const bytes = Buffer.byteLength(text);
    this.#sent.push({ seq: this.#given, json: JSON.parse(text) as unknown, bytes });
    this.#sentBytes += bytes;
    this.#release();
  }

  /** A poll lives by the requests that come. */
  ping(): void {
    // Nothing could be said that an answer does not say.
  }

  close(code: number, reason: string): void {
    this.#end({ code, reason });
  }

  terminate(): void {
    this.#end({ code: CUT_OFF, reason: '' });
  }

  /**
   * Takes one request and answers it: at once, or within `waitMs` as soon as there is something to
   * say. Never rejects but with `poll_out_of_order`, which changes nothing.
   */
  async take(
    request: SyncRequest,
    { waitMs, signal }: { readonly waitMs: number; readonly signal: AbortSignal },
  ): Promise<SyncAnswer> {
    if (request.seq > this.#received + 1) {
      const message = `after ${this.#received} comes ${this.#received + 1}, not ${request.seq}`;
      throw new FleetError('poll_out_of_order', message);
    }
    this.emit('pong');
    this.#forget(request.received);
    this.#hear(request);
    if (request.close) this.close(NORMAL, 'left');
    if (waitMs > 0 && this.#closed === null && this.#sent.length === 0) {
      await this.#hold(waitMs, signal);
    }
    return this.#answer();
  }

  #hear({ seq, messages }: SyncRequest): void {
    for (const [index, message] of messages.entries()) {
      if (this.#closed !== null) return;
      if (seq + index <= this.#received) continue;
      this.#received = seq + index;
      const data = Buffer.from(JSON.stringify(message ?? null));
      if (data.length <= NODE_FRAME_BYTES_MAX) {
        this.emit('message', data, false);
        continue;
      }
      // As `ws` tells it, so that both transports end for the same reason.
      const code = 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH';
      this.emit('error', Object.assign(new Error('a message is too large'), { code }));
      this.close(CLOSE.frame_too_large, 'frame_too_large');
    }
  }

  #forget(received: number): void {
    const left = this.#sent.filter(({ seq }) => seq > received);
    this.#sent = left;
    this.#sentBytes = left.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  #hold(waitMs: number, signal: AbortSignal): Promise<void> {
    this.#release();
    return new Promise((resolve) => {
      const answer = (): void => {
        clearTimeout(timer);
        signal.removeEventListener('abort', answer);
        if (this.#held === held) this.#held = null;
        resolve();
      };
      const held: Held = { answer };
      const timer = setTimeout(answer, waitMs);
      signal.addEventListener('abort', answer, { once: true });
      this.#held = held;
      if (signal.aborted) answer();
    });
  }

  #release(): void {
    this.#held?.answer();
  }

  #answer(): SyncAnswer {
    const messages: unknown[] = [];
    let bytes = 0;
    for (const one of this.#sent) {
      bytes += one.bytes;
      if (messages.length > 0 && bytes > SYNC_ANSWER_BYTES_MAX) break;
      messages.push(one.json);
    }
    const isAll = messages.length === this.#sent.length;
    return {
      received: this.#received,
      seq: this.#sent[0]?.seq ?? this.#given + 1,
      messages,
      // The end comes after what was said before it.
      closed: isAll ? this.#closed : null,
    };
  }

  #end(closed: NonNullable<SyncAnswer['closed']>): void {
    if (this.#closed !== null) return;
    this.#closed = closed;
    this.#readyState = 3;
    this.#release();
    // Later, as a socket does it: whoever closes has not finished yet.
    queueMicrotask(() => this.emit('close'));
  }
}
