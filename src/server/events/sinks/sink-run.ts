import { setTimeout as sleep } from 'node:timers/promises';
import { onFailure, onSuccess, onTry, wants, type FleetEvent } from '../../../core/event/index.js';
import { FleetError } from '../../../core/kernel/index.js';
import type { Database, Tx } from '../../platform/index.js';
import { meters, traced } from '../../platform/telemetry/index.js';
import {
  countDeadLetters,
  putDeadLetter,
  removeDeadLetters,
  wantedDeadLetters,
} from './dead-letters.store.js';
import type { EventSource } from './event-source.js';
import {
  failure,
  type Delivery,
  type DeliveryFailure,
  type Receiver,
  type Rendered,
} from './sink.port.js';
import { savePlace, type SinkPlace, type SinkRecord } from './sinks.store.js';

/** Events read from the log in one go; bounds what a sink holds in memory. */
const PAGE_EVENTS = 500;
/** A place that moved over events that nobody wants is written down after so many. */
const UNSAVED_MAX = 20_000;
/** So often the receiver may refuse one event by itself before it becomes a dead letter. */
const TRIES_OF_EVENT_MAX = 3;
const TRY_AGAIN_MS = 100;
/** So many in a row that were not taken are no longer the fault of the events. */
const REFUSED_IN_ROW_MAX = 20;
/** More and the sink stands still: what it cannot deliver is kept or told, never dropped. */
export const DEAD_LETTERS_MAX = 10_000;
const LETTERS_AT_ONCE = 20;

/** Somebody else has the sink, or it was changed: nothing of this run counts any more. */
export class LostLease extends Error {}

/** A span is told of a failure by what is thrown in it; caught again right around it. */
class Undelivered extends FleetError {
  constructor(
    readonly delivery: Delivery,
    { code, message }: DeliveryFailure,
  ) {
    super(code, message, { kind: 'operational' });
  }
}

export interface RunParts {
  readonly database: Database;
  readonly source: EventSource;
  readonly receiver: Receiver;
  readonly now: () => number;
  /** In [0, 1). */
  readonly chance: () => number;
  /** The manager stops: what is under way is brought to its end, nothing new is begun. */
  readonly isEnding: () => boolean;
}

/** What a run came to. */
export type RunEnd = 'caught_up' | 'failed' | 'stopped';

interface DeadLetter {
  readonly event: FleetEvent;
  readonly code: string;
  readonly message: string;
  readonly tries: number;
}

/** Delivers one sink from its place in the log until nothing is left, it fails, or it is told to stop. */
export class SinkRun {
  #place: SinkPlace;
  #unsaved = 0;
  #refusedInRow = 0;

  constructor(
    private readonly sink: SinkRecord,
    private readonly parts: RunParts,
    private readonly signal: AbortSignal,
  ) {
    this.#place = { ...sink.place, circuit: onTry(sink.place.circuit) };
  }

  get place(): SinkPlace {
    return this.#place;
  }

  /** Throws LostLease; the receiver's failures are its end, not an error. */
  async run(): Promise<RunEnd> {
    if (this.#place.circuit !== this.sink.place.circuit) await this.#save([]);
    for (;;) {
      if (this.#isStopped() || this.parts.isEnding()) return 'stopped';
      const end = (await this.#replay()) ?? (await this.#step());
      if (end !== null) {
        if (this.#unsaved > 0 && !this.#isStopped()) await this.#save([]);
        return end;
      }
    }
  }

  #isStopped(): boolean {
    return this.signal.aborted;
  }

  /** Dead letters that somebody wants tried once more, one by one, before anything new. */
  async #replay(): Promise<RunEnd | null> {
    const { database } = this.parts;
    const letters = await wantedDeadLetters(database.read, this.sink.id, LETTERS_AT_ONCE);
    for (const { event } of letters) {
      if (this.signal.aborted) return 'stopped';
      const [rendered] = this.#render([event]);
      if (rendered === undefined) continue;
      const delivery = await this.#deliver([rendered]);
      const why = delivery.failure;
      if (why !== null && !why.isFaultOfEvent) return this.#failed(why);
      const refusal = why?.message ?? delivery.refused[0]?.message ?? null;
      if (refusal === null) {
        await this.#save([], (tx) => removeDeadLetters(tx, this.sink.id, [event.id]), 1);
      } else {
        await this.#save([{ event, code: 'sink_event_refused', message: refusal, tries: 1 }]);
      }
    }
    return null;
  }

  async #step(): Promise<RunEnd | null> {
    await this.#skipMissing();
    const { source } = this.parts;
    const groups = await source.groupsOf(this.sink);
    const page = await source.page(this.#place.cursor, PAGE_EVENTS, groups);
    const matching = page.items.filter((event) => wants(this.sink.filter, event));
    if (matching.length === 0) return this.#passOver(page.nextAfter);
    const rendered = this.#render(matching);
    const batch = this.#cut(rendered);
    const [first] = rendered;
    if (batch.length === 0 && first !== undefined) return this.#tooLarge(first);
    const delivery = await this.#deliver(batch);
    const isWholePage = batch.length === rendered.length && delivery.settled === batch.length;
    return this.#settle(batch, delivery, isWholePage ? page.nextAfter : null);
  }

  /** Retention may have been faster than the receiver: that is counted, and shown. */
  async #skipMissing(): Promise<void> {
    const oldest = await this.parts.source.oldest();
    const { cursor, missed } = this.#place;
    const gap = (oldest ?? 0) - 1 - cursor;
    if (gap <= 0) return;
    this.#place = { ...this.#place, cursor: cursor + gap, missed: missed + gap };
    await this.#save([]);
  }

  async #passOver(nextAfter: number): Promise<RunEnd | null> {
    const moved = nextAfter - this.#place.cursor;
    if (moved <= 0) {
      await this.#closeCircuit();
      return 'caught_up';
    }
    this.#place = { ...this.#place, cursor: nextAfter };
    this.#unsaved += moved;
    if (this.#unsaved >= UNSAVED_MAX) await this.#save([]);
    return null;
  }

  /** With nothing to send there is no proof that the receiver is well, and none that it is not. */
  async #closeCircuit(): Promise<void> {
    if (this.#place.circuit.state !== 'half_open') return;
    this.#place = { ...this.#place, circuit: this.sink.place.circuit };
    await this.#save([]);
  }

  #render(events: readonly FleetEvent[]): Rendered[] {
    return events.map((event) => {
      const text = this.parts.receiver.render(event);
      return { event, text, bytes: Buffer.byteLength(text) };
    });
  }

  /** As much from the front as may be sent at once; empty when the first alone is too large. */
  #cut(rendered: readonly Rendered[]): Rendered[] {
    const { limits } = this.parts.receiver;
    const isSingle = (rendered[0]?.event.id ?? 0) <= this.#place.singleThrough;
    const most = isSingle ? 1 : limits.events;
    const batch: Rendered[] = [];
    let bytes = 0;
    for (const one of rendered) {
      bytes += one.bytes;
      const isFull = batch.length === most || (batch.length > 0 && bytes > limits.bytes);
      if (isFull || one.bytes > limits.eventBytes) break;
      batch.push(one);
    }
    return batch;
  }

  async #deliver(batch: readonly Rendered[]): Promise<Delivery> {
    const { id, kind } = this.sink;
    const attributes = {
      'bellwether.sink_id': id,
      'bellwether.sink_kind': kind,
      'bellwether.events': batch.length,
      'bellwether.first_event': batch[0]?.event.id ?? 0,
    };
    const startedMs = performance.now();
    try {
      return await traced('sink.deliver', { attributes, isRoot: true }, async () => {
        const delivery = await this.parts.receiver.deliver(batch, this.signal);
        if (delivery.failure !== null) throw new Undelivered(delivery, delivery.failure);
        return delivery;
      });
    } catch (error) {
      if (error instanceof Undelivered) return error.delivery;
      throw error;
    } finally {
      meters.since('bellwether_sink_delivery_seconds', startedMs, kind);
    }
  }

  async #tooLarge({ event, bytes }: Rendered): Promise<RunEnd | null> {
    const { eventBytes } = this.parts.receiver.limits;
    const message = `it has ${bytes} bytes, the receiver takes ${eventBytes}`;
    return this.#bury([{ event, code: 'sink_event_too_large', message, tries: 1 }], event.id);
  }

  async #settle(
    batch: readonly Rendered[],
    delivery: Delivery,
    pageEnd: number | null,
  ): Promise<RunEnd | null> {
    const { settled, refused, failure: why } = delivery;
    const taken = settled - refused.length;
    const through = pageEnd ?? batch[settled - 1]?.event.id ?? this.#place.cursor;
    const letters = refused.map(({ id, message }): DeadLetter => {
      const event = batch.find((one) => one.event.id === id)?.event as FleetEvent;
      return { event, code: 'sink_event_refused', message, tries: 1 };
    });
    if (taken > 0) this.#refusedInRow = 0;
    if (settled > 0) {
      const end = await this.#bury(letters, through, taken);
      if (end !== null) return end;
    }
    if (why === null) return null;
    // A run that is told to stop has cut off its own request.
    if (this.signal.aborted) return 'stopped';
    return why.isFaultOfEvent ? this.#suspect(batch.slice(settled), why) : this.#failed(why);
  }

  /** Moves on over what was taken, and over what never will be. */
  async #bury(letters: readonly DeadLetter[], through: number, taken = 0): Promise<RunEnd | null> {
    if (letters.length > 0) {
      const count = await countDeadLetters(this.parts.database.read, this.sink.id);
      if (count + letters.length > DEAD_LETTERS_MAX) {
        const message = `there are ${count} dead letters, and no more than ${DEAD_LETTERS_MAX} are kept`;
        return this.#failed(failure('sink_dead_letters_full', message));
      }
    }
    const now = this.parts.now();
    const { circuit } = this.#place;
    this.#place = { ...this.#place, cursor: through, stuck: { id: 0, tries: 0 } };
    if (taken > 0) {
      this.#place = { ...this.#place, circuit: onSuccess(circuit, now), error: null };
    }
    await this.#save(letters, undefined, taken);
    this.#refusedInRow = taken > 0 ? 0 : this.#refusedInRow + letters.length;
    if (this.#refusedInRow < REFUSED_IN_ROW_MAX) return null;
    this.#refusedInRow = 0;
    const last = letters.at(-1)?.message ?? '';
    return this.#failed(
      failure('sink_event_refused', `${REFUSED_IN_ROW_MAX} events in a row were refused: ${last}`),
    );
  }

  /** One of these is not taken as it is. Of several nobody knows which: from here on one by one. */
  async #suspect(rest: readonly Rendered[], why: DeliveryFailure): Promise<RunEnd | null> {
    const [first] = rest;
    if (first === undefined) return null;
    if (rest.length > 1) {
      const last = rest.at(-1)?.event.id ?? 0;
      this.#place = { ...this.#place, singleThrough: last };
      await this.#save([]);
      return null;
    }
    const { id } = first.event;
    const tries = (this.#place.stuck.id === id ? this.#place.stuck.tries : 0) + 1;
    if (tries >= TRIES_OF_EVENT_MAX) {
      const { code, message } = why;
      return this.#bury([{ event: first.event, code, message, tries }], id);
    }
    this.#place = { ...this.#place, stuck: { id, tries } };
    await this.#save([]);
    await sleep(TRY_AGAIN_MS * tries, undefined, { signal: this.signal }).catch(() => undefined);
    return null;
  }

  async #failed({ code, message, retryAfterMs }: DeliveryFailure): Promise<RunEnd> {
    // A request that was cut off because the run must stop says nothing about the receiver.
    if (this.signal.aborted) return 'stopped';
    meters.count('bellwether_sink_failures_total', this.sink.kind, code);
    const now = this.parts.now();
    const chance = this.parts.chance();
    this.#place = {
      ...this.#place,
      circuit: onFailure(this.#place.circuit, { now, chance, retryAfterMs }),
      error: { code, message, at: now },
    };
    await this.#save([]);
    return 'failed';
  }

  /** All of it or nothing, and only while the sink is ours. */
  async #save(
    letters: readonly DeadLetter[],
    more?: (tx: Tx) => Promise<unknown>,
    taken = 0,
  ): Promise<void> {
    const { database } = this.parts;
    const now = this.parts.now();
    const place: SinkPlace = {
      ...this.#place,
      delivered: this.#place.delivered + taken,
      lastDeliveredAt: taken > 0 ? now : this.#place.lastDeliveredAt,
    };
    await database.transaction(async (tx) => {
      if (!(await savePlace(tx, this.sink, place))) throw new LostLease('the sink is not ours');
      for (const letter of letters) await putDeadLetter(tx, this.sink.id, { ...letter, at: now });
      await more?.(tx);
    });
    meters.add('bellwether_sink_events_delivered_total', taken, this.sink.kind);
    this.#place = place;
    this.#unsaved = 0;
  }
}
