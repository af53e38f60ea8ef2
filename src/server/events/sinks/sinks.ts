import { Inject, Injectable } from '@nestjs/common';
import { newCircuit, type FleetEvent } from '../../../core/event/index.js';
import { FleetError, toIso, type JsonValue } from '../../../core/kernel/index.js';
import type { Answer, Call, Sink } from '../../../protocol/api/index.js';
import { AuditLog, type AuditAction } from '../../audit/index.js';
import { CLOCK, Database, newId, type Caller, type Clock, type Tx } from '../../platform/index.js';
import { countDeadLetters, removeDeadLetters, wantDeadLetters } from './dead-letters.store.js';
import { EventSource } from './event-source.js';
import { Receivers } from './receivers.js';
import { SinkLoops } from './sink-loops.js';
import {
  changedConfig,
  checkSafe,
  destinationOf,
  newWebhookSecret,
  readConfig,
  readCredentials,
} from './sink-request.js';
import { sinkView, type SinkLag } from './sink.view.js';
import {
  countSinks,
  findSink,
  holdSink,
  insertSink,
  removeSink,
  saveSink,
  type SinkPlace,
  type SinkRecord,
} from './sinks.store.js';

/** Each takes a connection and some memory when it delivers. */
export const SINKS_MAX = 200;
/** What a test may take; a person waits for it. */
const TEST_TIMEOUT_MS = 15_000;
const HOUR_MS = 3_600_000;

type Details = Readonly<Record<string, JsonValue>>;
type Deed = (sink: SinkRecord, tx: Tx) => Promise<{ sink: SinkRecord; details: Details }>;

/** What people do with sinks. Who may, the controller has asked before. */
@Injectable()
export class Sinks {
  readonly #testing = new Set<string>();

  constructor(
    private readonly database: Database,
    private readonly audit: AuditLog,
    private readonly source: EventSource,
    private readonly loops: SinkLoops,
    private readonly receivers: Receivers,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /** Throws `not_found`. */
  async find(id: string): Promise<SinkRecord> {
    const sink = await findSink(this.database.read, id);
    if (sink === null) throw new FleetError('not_found', 'no such sink');
    return sink;
  }

  async view(sink: SinkRecord): Promise<Sink> {
    return sinkView(sink, await this.#lagOf(sink), this.#now());
  }

  /** Throws `invalid_request`, `sink_limit_reached`. */
  async create(
    body: Call<'sinks.create'>['body'],
    caller: Caller,
  ): Promise<Answer<'sinks.create'>> {
    const { kind, name, group_id: groupId = null, from = 'now' } = body;
    const config = readConfig(kind, body.config);
    checkSafe(kind, config, groupId);
    const { credentials, made } = readCredentials(kind, body.credentials ?? {});
    const id = newId('snk');
    const now = this.#now();
    const oldest = await this.source.oldest();
    const sink = await this.database.transaction(async (tx) => {
      if ((await countSinks(tx)) >= SINKS_MAX) {
        throw new FleetError('sink_limit_reached', `there are ${SINKS_MAX} sinks already`);
      }
      const head = await this.source.head(tx);
      const record: SinkRecord = {
        ...{ id, name, kind, groupId, config },
        credentials: this.receivers.seal(id, credentials),
        credentialNames: Object.keys(credentials).sort(),
        filter: { ...NO_FILTER, ...body.filter },
        isPaused: false,
        place: newPlace(from === 'now' ? head : Math.max(0, (oldest ?? 1) - 1), now),
        ...{ fence: 0, leaseUntil: 0, createdAt: now, updatedAt: now },
      };
      await insertSink(tx, record);
      const destination = destinationOf(kind, config);
      await this.#record(tx, record, caller, 'sink.create', { name, kind, destination });
      return record;
    });
    this.loops.wake(id);
    return { ...(await this.view(sink)), secret: made };
  }

  /** Throws `not_found`, `invalid_request`. What failed before is tried again at once. */
  async change(
    id: string,
    body: Call<'sinks.change'>['body'],
    caller: Caller,
  ): Promise<Answer<'sinks.change'>> {
    return this.#do(id, caller, 'sink.change', async (sink) => {
      const config =
        body.config === undefined
          ? sink.config
          : changedConfig(sink.kind, sink.config, body.config);
      checkSafe(sink.kind, config, sink.groupId);
      const sealed =
        body.credentials === undefined ? null : readCredentials(sink.kind, body.credentials);
      const changed: SinkRecord = {
        ...sink,
        name: body.name ?? sink.name,
        config,
        ...(sealed === null
          ? {}
          : {
              credentials: this.receivers.seal(sink.id, sealed.credentials),
              credentialNames: Object.keys(sealed.credentials).sort(),
            }),
        filter: body.filter === undefined ? sink.filter : { ...NO_FILTER, ...body.filter },
        place: tryAtOnce(sink.place),
      };
      const what = Object.keys(body).sort();
      return { sink: changed, details: { what, destination: destinationOf(sink.kind, config) } };
    });
  }

  async remove(id: string, caller: Caller): Promise<void> {
    await this.database.transaction(async (tx) => {
      const sink = await this.#hold(tx, id);
      const letters = await countDeadLetters(tx, id);
      await removeSink(tx, id);
      const { name, kind, place } = sink;
      const details = { name, kind, cursor: place.cursor, dead_letters: letters };
      await this.#record(tx, sink, caller, 'sink.delete', details);
    });
    this.loops.interrupt(id);
  }

  /** Throws `conflict` for what is no webhook. The old secret is signed with too, until it runs out. */
  async rotateSecret(
    id: string,
    body: Call<'sinks.rotate_secret'>['body'],
    caller: Caller,
  ): Promise<Answer<'sinks.rotate_secret'>> {
    const secret = body.secret ?? newWebhookSecret();
    const graceHours = body.grace_hours ?? 24;
    const until = graceHours === 0 ? null : this.#now() + graceHours * HOUR_MS;
    await this.#do(id, caller, 'sink.secret', async (sink) => {
      if (sink.kind !== 'webhook') throw new FleetError('conflict', 'only webhooks have a secret');
      const before = this.receivers.unseal(sink);
      const { authorization, secret: old } = before;
      const credentials = {
        secret,
        ...(authorization === undefined ? {} : { authorization }),
        ...(until === null ? {} : { old_secret: old, old_until: until }),
      };
      const sealed = this.receivers.seal(sink.id, credentials);
      return { sink: { ...sink, credentials: sealed }, details: { grace_hours: graceHours } };
    });
    return {
      secret: body.secret === undefined ? secret : null,
      old_until: until === null ? null : toIso(until),
    };
  }

  async pause(id: string, caller: Caller): Promise<Sink> {
    return this.#do(id, caller, 'sink.pause', async (sink) => ({
      sink: { ...sink, isPaused: true },
      details: {},
    }));
  }

  async resume(id: string, caller: Caller): Promise<Sink> {
    return this.#do(id, caller, 'sink.resume', async (sink) => ({
      sink: { ...sink, isPaused: false, place: tryAtOnce(sink.place) },
      details: {},
    }));
  }

  /** Moves the place in the log, backwards or forwards. */
  async backfill(
    id: string,
    { since, after }: Call<'sinks.backfill'>['body'],
    caller: Caller,
  ): Promise<Sink> {
    const wanted = after ?? (await this.source.before(Date.parse(since ?? '')));
    const oldest = (await this.source.oldest()) ?? 1;
    return this.#do(id, caller, 'sink.backfill', async (sink, tx) => {
      const cursor = Math.min(Math.max(wanted, oldest - 1), await this.source.head(tx));
      const place = { ...tryAtOnce(sink.place), cursor, singleThrough: 0, stuck: NOT_STUCK };
      return { sink: { ...sink, place }, details: { from: sink.place.cursor, to: cursor } };
    });
  }

  async replay(id: string, ids: readonly number[] | null, caller: Caller): Promise<number> {
    let count = 0;
    await this.#do(id, caller, 'sink.replay', async (sink, tx) => {
      count = await wantDeadLetters(tx, id, ids);
      return { sink, details: { count } };
    });
    return count;
  }

  async discard(id: string, ids: readonly number[] | null, caller: Caller): Promise<number> {
    let count = 0;
    await this.#do(id, caller, 'sink.discard', async (sink, tx) => {
      count = await removeDeadLetters(tx, id, ids);
      return { sink, details: { count } };
    });
    return count;
  }

  /**
   * Sends one event that says it is a test. What the receiver said is told only of sinks of the platform:
   * an admin of a group must not read with it what stands behind an address. Throws `rate_limited` while
   * another test of the sink runs.
   */
  async test(id: string, caller: Caller): Promise<Answer<'sinks.test'>> {
    const sink = await this.find(id);
    if (this.#testing.has(id))
      throw new FleetError('rate_limited', 'a test of this sink runs already');
    this.#testing.add(id);
    try {
      const startedAt = performance.now();
      const { code, said } = await this.#send(sink);
      const ok = code === null;
      await this.database.transaction((tx) =>
        this.#record(tx, sink, caller, 'sink.test', { ok, code }),
      );
      return { ok, code, message: said, duration_ms: Math.round(performance.now() - startedAt) };
    } finally {
      this.#testing.delete(id);
    }
  }

  async #send(sink: SinkRecord): Promise<{ code: string | null; said: string }> {
    // A test must not write into a file that a run has open.
    const config =
      sink.kind === 'file'
        ? { ...sink.config, path: `${String(sink.config['path'])}.test` }
        : sink.config;
    const receiver = this.receivers.open({ ...sink, config });
    try {
      const event = testEvent(sink, this.#now());
      const text = receiver.render(event);
      const batch = [{ event, text, bytes: Buffer.byteLength(text) }];
      const signal = AbortSignal.timeout(TEST_TIMEOUT_MS);
      const { failure: why, refused, said } = await receiver.deliver(batch, signal);
      const code = why?.code ?? (refused.length > 0 ? 'sink_event_refused' : null);
      const short = why?.message ?? (code === null ? 'taken' : 'the event was refused');
      return { code, said: sink.groupId === null ? said : short };
    } finally {
      await receiver.close();
    }
  }

  async #do(id: string, caller: Caller, action: AuditAction, deed: Deed): Promise<Sink> {
    const changed = await this.database.transaction(async (tx) => {
      const { sink, details } = await deed(await this.#hold(tx, id), tx);
      const kept = { ...sink, updatedAt: this.#now() };
      await saveSink(tx, kept);
      await this.#record(tx, kept, caller, action, details);
      return kept;
    });
    // Whoever delivers it has the settings and the place of before.
    this.loops.interrupt(id);
    this.loops.wake(id);
    return this.view(changed);
  }

  async #hold(tx: Tx, id: string): Promise<SinkRecord> {
    const sink = await holdSink(tx, id);
    if (sink === null) throw new FleetError('not_found', 'no such sink');
    return sink;
  }

  async #lagOf({ id, place }: SinkRecord): Promise<SinkLag> {
    const head = await this.source.head();
    const oldestAt = head > place.cursor ? await this.source.timeAfter(place.cursor) : null;
    return {
      events: Math.max(0, head - place.cursor),
      ms: oldestAt === null ? 0 : Math.max(0, this.#now() - oldestAt),
      deadLetters: await countDeadLetters(this.database.read, id),
    };
  }

  #record(
    tx: Tx,
    sink: SinkRecord,
    caller: Caller,
    action: AuditAction,
    details: Details,
  ): Promise<void> {
    return this.audit.append(tx, {
      caller,
      action,
      targetKind: 'sink',
      targetId: sink.id,
      groupId: sink.groupId,
      outcome: 'allowed',
      details,
    });
  }

  #now(): number {
    return this.clock.now();
  }
}

const NO_FILTER = {
  categories: null,
  types: null,
  error_codes: null,
  min_severity: null,
  groups: null,
} as const;
const NOT_STUCK = { id: 0, tries: 0 } as const;

const newPlace = (cursor: number, now: number): SinkPlace => ({
  cursor,
  delivered: 0,
  missed: 0,
  lastDeliveredAt: null,
  circuit: newCircuit(now),
  error: null,
  singleThrough: 0,
  stuck: NOT_STUCK,
});

const tryAtOnce = (place: SinkPlace): SinkPlace => ({
  ...place,
  circuit: { ...place.circuit, nextTryAt: 0 },
});

/** Number 0: no event of the log has it. */
const testEvent = (sink: SinkRecord, now: number): FleetEvent => ({
  id: 0,
  at: toIso(now),
  occurred_at: toIso(now),
  clock: 'ok',
  category: 'agent',
  type: 'sink_test',
  version: 1,
  severity: 'info',
  node_id: null,
  group_id: sink.groupId ?? 'grp_default',
  rollout_id: null,
  command_id: null,
  service: null,
  error_code: null,
  message: 'A test of this sink; nothing happened',
  details: { test: true, sink_id: sink.id },
});
