import { randomBytes } from 'node:crypto';
import { EventEmitter } from 'node:events';
import type { Agent as HttpAgent, IncomingMessage } from 'node:http';
import type { Agent as HttpsAgent } from 'node:https';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  SYNC_ANSWER_BYTES_MAX,
  SYNC_MESSAGES_MAX,
  SYNC_REQUEST_BYTES_MAX,
  SYNC_WAIT_MS_MAX,
  SyncAnswer,
  type SyncRequest,
} from '../../protocol/node/index.js';
import { ask, bytesOf } from './ask.js';
import { OPEN, type Carrier } from './carrier.js';

/** Beyond what is held back on purpose. */
const ANSWER_TIMEOUT_MS = 15_000;
/** How long `welcome` may be waited for in the first request; it has 10 s in all. */
const FIRST_WAIT_MS = 5_000;
/** At most ten requests a second in each direction: the manager allows 25 in all. */
const REQUEST_GAP_MS = 100;
/** A proxy that cuts what is held back is asked for less, down to this: then it is a short poll. */
const WAIT_MS_MIN = 1_000;
/** After a request that failed; whether the manager is gone is decided by its silence. */
const RETRY_BASE_MS = 250;
const RETRY_MS_MAX = 5_000;
/** Room for the fields around the messages. */
const ENVELOPE_BYTES = 1_024;
/** What may pass. Anything else that is not 200 ends the poll. */
const PASSING: ReadonlySet<number> = new Set([408, 429, 502, 503, 504]);
const CLOSED = 3;
const CLOSING = 2;
const CUT_OFF = 1006;

export interface PollSocketOptions {
  /** The whole address of the route. */
  readonly url: string;
  /** A fresh node token for each request. */
  readonly token: () => string;
  /** Makes the connections; used by this poll alone, and ended with it. */
  readonly agent: HttpAgent | HttpsAgent;
  readonly random: () => number;
  /** For specs. */
  readonly waitMs?: number;
}

interface Unheard {
  readonly seq: number;
  readonly json: unknown;
  readonly bytes: number;
}

/**
 * A socket made of requests: one that carries what the node says, and beside it one that the
 * manager holds back until it has something to say. Both directions are numbered, so a request that
 * failed is simply made again. Looks like a WebSocket to whoever uses it.
 */
export class PollSocket extends EventEmitter implements Carrier {
  readonly #options: PollSocketOptions;
  readonly #pollId = `pol_${randomBytes(10).toString('hex')}`;
  readonly #gone = new AbortController();
  #readyState = 0;
  #unheard: Unheard[] = [];
  #given = 0;
  #received = 0;
  #isSpeaking = false;
  #isListening = false;
  #failures = 0;
  #waitMs: number;
  readonly #waitMsMin: number;

  constructor(options: PollSocketOptions) {
    super();
    this.#options = options;
    this.#waitMs = options.waitMs ?? SYNC_WAIT_MS_MAX;
    this.#waitMsMin = Math.min(WAIT_MS_MIN, this.#waitMs);
    // There is nothing to open: the first message is the first request.
    setImmediate(() => {
      if (this.#readyState !== 0) return;
      this.#readyState = OPEN;
      this.emit('open');
    });
  }

  get readyState(): number {
    return this.#readyState;
  }

  get bufferedAmount(): number {
    return this.#unheard.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  send(text: string): void {
    if (this.#readyState !== OPEN) return;
    this.#given += 1;
    const json = JSON.parse(text) as unknown;
    this.#unheard.push({ seq: this.#given, json, bytes: Buffer.byteLength(text) });
    void this.#speak();
  }

  /** A poll lives by its requests. */
  ping(): void {
    // The next one is never far.
  }

  /** What was said before still goes, with the last request. */
  close(code: number): void {
    if (this.#readyState >= CLOSING) return;
    const hasSpoken = this.#given > 0;
    this.#readyState = CLOSING;
    if (!hasSpoken) {
      this.#finish(code);
      return;
    }
    void this.#ask(this.#batch(), { waitMs: 0, close: true })
      .then((response) => response.destroy())
      .catch(() => undefined)
      .finally(() => {
        this.#finish(code);
      });
  }

  terminate(): void {
    this.#finish(CUT_OFF);
  }

  async #speak(): Promise<void> {
    if (this.#isSpeaking) return;
    this.#isSpeaking = true;
    while (this.#unheard.length > 0 && this.#readyState === OPEN) {
      const isFirst = !this.#isListening;
      const waitMs = isFirst ? Math.min(FIRST_WAIT_MS, this.#waitMs) : 0;
      const isHeard = await this.#exchange(this.#batch(), waitMs);
      if (isHeard && !this.#isListening) {
        this.#isListening = true;
        void this.#listen();
      }
    }
    this.#isSpeaking = false;
  }

  async #listen(): Promise<void> {
    while (this.#readyState === OPEN) {
      const startedAt = performance.now();
      const isHeard = await this.#exchange([], this.#waitMs);
      const tookMs = performance.now() - startedAt;
      // One that failed at once failed for another reason.
      if (!isHeard && tookMs >= this.#waitMsMin / 2) {
        this.#waitMs = Math.max(this.#waitMsMin, this.#waitMs / 2);
      }
    }
  }

  /** One request and its answer, never two within the gap. False when it has to be made again. */
  async #exchange(messages: readonly Unheard[], waitMs: number): Promise<boolean> {
    const startedAt = performance.now();
    let pauseMs = 0;
    let isHeard = false;
    try {
      const response = await this.#ask(messages, { waitMs, close: false });
      isHeard = await this.#judge(response);
      const retryAfterMs = isHeard ? 0 : Number(response.headers['retry-after'] ?? 0) * 1_000 || 0;
      pauseMs = Math.min(retryAfterMs, RETRY_MS_MAX);
    } catch (error) {
      if (this.#readyState === OPEN) this.emit('error', error);
    }
    if (isHeard) {
      this.#failures = 0;
      pauseMs = REQUEST_GAP_MS - (performance.now() - startedAt);
    } else {
      const boundMs = Math.min(RETRY_MS_MAX, RETRY_BASE_MS * 2 ** this.#failures);
      this.#failures = Math.min(this.#failures + 1, 10);
      pauseMs = Math.max(pauseMs, boundMs * (0.5 + this.#options.random() / 2));
    }
    if (pauseMs > 0) await this.#pause(pauseMs);
    return isHeard;
  }

  async #pause(durationMs: number): Promise<void> {
    await sleep(durationMs, undefined, { signal: this.#gone.signal }).catch(() => undefined);
  }

  /** Takes what came. False when nothing usable did. */
  async #judge(response: IncomingMessage): Promise<boolean> {
    const status = response.statusCode ?? 0;
    if (status !== 200) {
      if (this.#isListening && PASSING.has(status)) {
        response.destroy();
        throw new Error(`the manager, or a proxy, answered ${status}`);
      }
      // Whoever listens reads it, and ends this.
      if (this.#readyState === OPEN) this.emit('unexpected-response', null, response);
      else response.destroy();
      await this.#over();
      return false;
    }
    const answer = SyncAnswer.safeParse(await jsonOf(response));
    if (!answer.success) throw new Error('what answered does not speak like a manager');
    this.#take(answer.data);
    return true;
  }

  #over(): Promise<unknown> {
    if (this.#gone.signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      this.#gone.signal.addEventListener('abort', resolve, { once: true });
    });
  }

  #take({ received, seq, messages, closed }: SyncAnswer): void {
    if (this.#readyState !== OPEN) return;
    this.#unheard = this.#unheard.filter((one) => one.seq > received);
    this.emit('pong');
    for (const [index, message] of messages.entries()) {
      const number = seq + index;
      if (number <= this.#received) continue;
      if (number !== this.#received + 1) break;
      this.#received = number;
      this.emit('message', Buffer.from(JSON.stringify(message ?? null)), false);
    }
    if (closed !== null) this.#finish(closed.code);
  }

  #batch(): readonly Unheard[] {
    const batch: Unheard[] = [];
    let bytes = ENVELOPE_BYTES;
    for (const one of this.#unheard) {
      bytes += one.bytes + 1;
      const isFull = batch.length >= SYNC_MESSAGES_MAX || bytes > SYNC_REQUEST_BYTES_MAX;
      if (batch.length > 0 && isFull) break;
      batch.push(one);
    }
    return batch;
  }

  #ask(
    messages: readonly Unheard[],
    { waitMs, close }: { readonly waitMs: number; readonly close: boolean },
  ): Promise<IncomingMessage> {
    const { url, token, agent } = this.#options;
    const body: SyncRequest = {
      poll_id: this.#pollId,
      seq: messages[0]?.seq ?? this.#given + 1 - this.#unheard.length,
      messages: messages.map(({ json }) => json),
      received: this.#received,
      wait_ms: Math.round(waitMs),
      close,
    };
    return ask(url, {
      method: 'POST',
      headers: { authorization: `Bearer ${token()}`, 'content-type': 'application/json' },
      body: Buffer.from(JSON.stringify(body)),
      agent,
      timeoutMs: waitMs + ANSWER_TIMEOUT_MS,
      silenceMs: ANSWER_TIMEOUT_MS,
      signal: this.#gone.signal,
    });
  }

  #finish(code: number): void {
    if (this.#readyState === CLOSED) return;
    this.#readyState = CLOSED;
    this.#gone.abort();
    this.#options.agent.destroy();
    queueMicrotask(() => this.emit('close', code));
  }
}

/** Undefined when it is no JSON. */
async function jsonOf(response: IncomingMessage): Promise<unknown> {
  const bytes = await bytesOf(response, SYNC_ANSWER_BYTES_MAX + ENVELOPE_BYTES);
  if (bytes === null) throw new Error('the answer is too large');
  try {
    return JSON.parse(bytes.toString('utf8')) as unknown;
  } catch {
    return undefined;
  }
}
