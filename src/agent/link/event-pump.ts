import {
  EVENTS_PER_BATCH_MAX,
  MESSAGE_BURST_MAX,
  MESSAGE_REFILL_PER_SECOND,
  NODE_FRAME_BYTES_MAX,
  type Events,
} from '../../protocol/node/index.js';
import type { Spool } from '../report/index.js';

/** Room for the envelope around a batch of events. */
const BATCH_BYTES_MAX = NODE_FRAME_BYTES_MAX - 1_024;
/** Half of what the link allows, so that a long backlog leaves room for all else. */
const BATCH_BURST_MAX = MESSAGE_BURST_MAX / 2;
const BATCHES_PER_SECOND_MAX = MESSAGE_REFILL_PER_SECOND / 2;
/** After an acknowledgement that did not move on, or none at all, the batch is sent again. */
const STALLED_MS = 5_000;
const UNANSWERED_MS = 60_000;

export interface EventPumpOptions {
  readonly spool: Spool;
  readonly send: (batch: Events) => boolean;
  /** The next number is gone from the spool: the manager must hear a new `first_seq`. */
  readonly onGap: () => void;
  readonly clock: { monotonicMs(): number };
  readonly log: (message: string, fields?: Readonly<Record<string, unknown>>) => void;
}

/**
 * Sends the spool in order, one batch in flight, and goes on when the manager has made it durable.
 * Belongs to one session: what was in flight when it ends is sent again by the next.
 */
export class EventPump {
  readonly #options: EventPumpOptions;
  /** The manager has everything up to here. */
  #through: number | null = null;
  /** Last number of the batch in flight; 0 when there is none. */
  #inFlight = 0;
  #isReading = false;
  #isAsked = false;
  #timer: NodeJS.Timeout | null = null;
  #tokens = BATCH_BURST_MAX;
  #filledAtMs: number;
  #isStopped = false;

  constructor(options: EventPumpOptions) {
    this.#options = options;
    this.#filledAtMs = options.clock.monotonicMs();
  }

  /** Begins after the number that `welcome` named. */
  async start(through: number): Promise<void> {
    await this.#options.spool.acknowledge(through);
    this.#through = through;
    this.pump();
  }

  stop(): void {
    this.#isStopped = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
  }

  /** There may be something new to send. Cheap, and never rejects. */
  pump(): void {
    if (this.#through === null || this.#isStopped || this.#inFlight > 0) return;
    if (this.#isReading) {
      this.#isAsked = true;
      return;
    }
    this.#isReading = true;
    this.#isAsked = false;
    this.#sendNext(this.#through)
      .catch((error: unknown) => {
        this.#options.log('the spool cannot be read', { error: String(error) });
        this.#later(STALLED_MS);
      })
      .finally(() => {
        this.#isReading = false;
        if (this.#isAsked) this.pump();
      });
  }

  /** Numbers that were never sent are not believed. */
  async acked(through: number): Promise<void> {
    if (this.#through === null || this.#inFlight === 0) return;
    if (through > this.#inFlight) {
      this.#options.log('an acknowledgement of events never sent is ignored', { through });
      return;
    }
    const hasMoved = through > this.#through;
    this.#inFlight = 0;
    if (!hasMoved) {
      this.#later(STALLED_MS);
      return;
    }
    this.#through = through;
    await this.#options.spool.acknowledge(through);
    this.pump();
  }

  async #sendNext(after: number): Promise<void> {
    const { spool, send, onGap } = this.#options;
    const waitMs = this.#waitMs();
    if (waitMs > 0) {
      this.#later(waitMs);
      return;
    }
    const { events, isGap } = await spool.read(after, EVENTS_PER_BATCH_MAX, BATCH_BYTES_MAX);
    const last = events.at(-1);
    if (this.#isStopped) return;
    if (isGap) {
      onGap();
      return;
    }
    if (last === undefined) return;
    this.#tokens -= 1;
    this.#inFlight = last.seq;
    if (send({ type: 'events', spool_id: spool.id, events: [...events] })) {
      this.#later(UNANSWERED_MS);
    } else {
      this.#inFlight = 0;
    }
  }

  /** Tries again after a while, whatever is in flight then. */
  #later(delayMs: number): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    if (this.#isStopped) return;
    this.#timer = setTimeout(() => {
      this.#inFlight = 0;
      this.pump();
    }, delayMs);
    this.#timer.unref();
  }

  /** A token bucket of our own: the manager cuts off whoever empties its bucket. */
  #waitMs(): number {
    const nowMs = this.#options.clock.monotonicMs();
    const gained = ((nowMs - this.#filledAtMs) / 1000) * BATCHES_PER_SECOND_MAX;
    this.#tokens = Math.min(BATCH_BURST_MAX, this.#tokens + gained);
    this.#filledAtMs = nowMs;
    return this.#tokens >= 1 ? 0 : ((1 - this.#tokens) / BATCHES_PER_SECOND_MAX) * 1000;
  }
}
