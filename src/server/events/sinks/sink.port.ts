import type { EventOrigin, FleetEvent } from '../../../core/event/index.js';
import type { SinkConfig, SinkCredentials, SinkKind } from '../../../protocol/api/index.js';
import type { DeliveryFailure } from './delivery-error.js';
import type { NetworkGuard } from './network-guard.js';

export { failure, type DeliveryFailure } from './delivery-error.js';

/** An event in the words of its receiver. */
export interface Rendered {
  readonly event: FleetEvent;
  /** Without control characters, whatever is in the event; ends with no line end. */
  readonly text: string;
  /** Of the text in UTF-8. */
  readonly bytes: number;
}

/** An event that the receiver named and will never take. */
export interface RefusedEvent {
  readonly id: number;
  readonly message: string;
}

export interface Delivery {
  /** So many from the front are settled: they are durable there, or refused for good. */
  readonly settled: number;
  readonly refused: readonly RefusedEvent[];
  /** Why it ended before the last; null when all are settled. */
  readonly failure: DeliveryFailure | null;
  /** What the receiver answered, on one line; shown by the test button. */
  readonly said: string;
}

/**
 * The way to one receiver, open for one run of delivery. Every kind passes
 * `test/contract/sink.contract.ts`: at least once, in order, the same event always under the same id,
 * never longer than `signal` allows, and nothing settled that the receiver did not confirm.
 */
export interface Receiver {
  readonly limits: ReceiverLimits;
  render(event: FleetEvent): string;
  /** Never rejects for what the receiver does: that is the result. A second call waits for the first. */
  deliver(batch: readonly Rendered[], signal: AbortSignal): Promise<Delivery>;
  /** Lets go of sockets and files; what was not delivered is not delivered. */
  close(): Promise<void>;
}

export interface ReceiverLimits {
  readonly events: number;
  readonly bytes: number;
  /** Of one event; larger ones become dead letters. */
  readonly eventBytes: number;
}

/** What a way is opened with. */
export interface Opening<K extends SinkKind> {
  readonly sinkId: string;
  readonly config: SinkConfig<K>;
  readonly credentials: SinkCredentials<K> & Readonly<Record<string, unknown>>;
  readonly origin: EventOrigin;
  readonly guard: NetworkGuard;
  readonly filesDir: string;
  readonly now: () => number;
  /** In place of the limits of the kind: a spec need not wait as long as a receiver may take. */
  readonly patience?: Patience | undefined;
}

/** How long a receiver is waited for; each left out, as long as its kind says. */
export interface Patience {
  /** For one answer, or one batch of syslog. */
  readonly answerMs?: number;
  /** For the acknowledgement of the indexers. */
  readonly acknowledgeMs?: number;
}

/** One kind of sink. Opening does not connect and does not fail. */
export type OpenReceiver<K extends SinkKind> = (opening: Opening<K>) => Receiver;

export const delivered = (count: number, said: string): Delivery => ({
  settled: count,
  refused: [],
  failure: null,
  said,
});

export const undelivered = (why: DeliveryFailure, said = why.message): Delivery => ({
  settled: 0,
  refused: [],
  failure: why,
  said,
});
