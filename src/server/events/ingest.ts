import { setImmediate as turn } from 'node:timers/promises';
import { Inject, Injectable } from '@nestjs/common';
import type { Logger } from 'pino';
import type { JsonValue } from '../../core/kernel/index.js';
import { EVENT_TYPES, isEventType } from '../../protocol/index.js';
import {
  NodeEventType,
  type Events,
  type GivenEvent,
  type Hello,
  type NodeEvent,
} from '../../protocol/node/index.js';
import type { EventHandler, IngestResult, NodeIdentity } from '../gateway/index.js';
import {
  type Asked,
  type Clock,
  CLOCK,
  CONFIG,
  type Config,
  Database,
  filledUp,
  LOGGER,
  rowsOf,
  type Sql,
  type Tx,
} from '../platform/index.js';
import { meters, traced } from '../platform/telemetry/index.js';
import { inSome } from './event-index.js';
import { EventLog } from './event-log.js';
import type { NewEvent } from './event-rows.js';
import { Pace } from './pace.js';
import { WaitingBatches, type Waiting } from './waiting-batches.js';

/**
 * A group commit closes with about this many events, or as soon as the one before it has ended. Each
 * waits for the disk once, whatever its size; this many are some ten ms of work in one go.
 */
const EVENTS_PER_COMMIT_MAX = 4_000;
/**
 * After a commit of so many batches, some ms of work, the event loop comes round: on SQLite nothing else does so in between, and in
 * a flood of ten thousand nodes one commit follows the other for seconds.
 */
const BATCHES_PER_TURN = 64;
/** While every node that waits is over its pace: looked again no later than this. */
const PACE_LOOK_MS_MAX = 250;

/**
 * Events that were new, given to observers in the transaction that stores them; those of types that
 * this manager does not know are stored, and not told.
 */
export interface NodeNews {
  readonly node: NodeIdentity;
  readonly events: readonly NodeEvent[];
}

/**
 * Follows node events inside the transaction that stores them: what it writes is durable exactly
 * when the events are. Must be safe to run again after a rollback.
 */
export interface NodeEventObserver {
  /** Which rollout each of these commands belongs to, given with the node that tells of it; unknown ones are left out. Only of who knows of rollouts. */
  rolloutsOf?(tx: Tx, nodeOf: ReadonlyMap<string, string>): Promise<ReadonlyMap<string, string>>;
  observe(tx: Tx, news: readonly NodeNews[]): Promise<void>;
}

interface Taken {
  readonly result: IngestResult;
  readonly fresh: readonly GivenEvent[];
}

function fateOf({ result, fresh }: Taken, isRefused: boolean) {
  if (isRefused) return 'too_fast';
  if (result.error !== null) return 'gap';
  return fresh.length === 0 ? 'echo' : 'stored';
}

interface Fresh {
  readonly node: NodeIdentity;
  readonly events: readonly GivenEvent[];
}

/**
 * Stores what nodes report, exactly once by (node, spool, sequence), in group commits: batches of
 * many nodes share one transaction, and each node is answered only after it. Nodes take turns, and
 * one that sends faster than its pace is answered later; it drops nothing, and neither do we.
 */
@Injectable()
export class Ingest implements EventHandler {
  readonly #waiting: WaitingBatches;
  /** Where spools go on whose nodes come back together. */
  readonly #resumed: Asked<Spool, number | null>;
  readonly #observers: NodeEventObserver[] = [];
  #busy = false;
  /** Ends the pause of the loop early. */
  #wake: () => void = () => undefined;

  constructor(
    private readonly database: Database,
    private readonly log: EventLog,
    @Inject(CLOCK) private readonly clock: Clock,
    @Inject(LOGGER) private readonly logger: Logger,
    @Inject(CONFIG) config: Pick<Config, 'nodeEventsPerSecond'>,
  ) {
    this.#resumed = database.batched((spools) => throughsOf(database.read, spools));
    this.#waiting = new WaitingBatches(new Pace(config.nodeEventsPerSecond));
  }

  addObserver(observer: NodeEventObserver): void {
    this.#observers.push(observer);
  }

  /**
   * Where the node should go on. When its spool begins after what we have plus one, it had to drop
   * events: that gap is recorded as an event of its own, once, and closed.
   */
  async resume(node: NodeIdentity, spool: Hello['spool']): Promise<number> {
    const lostUntil = spool.first_seq - 1;
    // What an older link of the node delivers at this moment comes again, and is known then.
    const known = await this.#resumed.ask({ nodeId: node.nodeId, spoolId: spool.id });
    if (lostUntil <= (known ?? 0)) return known ?? 0;
    return this.database.transaction(async (tx) => {
      const held = { nodeId: node.nodeId, spoolId: spool.id };
      const through = (await holdThroughs(tx, [held])).get(keyOf(held)) ?? 0;
      if (lostUntil <= through) return through;
      await saveThroughs(tx, [{ ...held, through: lostUntil }]);
      tx.afterCommit(() => {
        meters.add('bellwether_ingest_events_lost_total', lostUntil - through);
      });
      this.log.append(tx, [
        {
          category: 'agent',
          type: 'events_lost',
          severity: 'critical',
          nodeId: node.nodeId,
          groupId: node.groupId,
          message: `${lostUntil - through} events of this node were dropped before delivery`,
          details: {
            error_code: 'events_lost',
            spool_id: spool.id,
            from_seq: through + 1,
            to_seq: lostUntil,
          },
          at: this.clock.now(),
        },
      ]);
      return lostUntil;
    });
  }

  ingest(node: NodeIdentity, batch: Events): Promise<IngestResult> {
    return new Promise((resolve, reject) => {
      this.#waiting.add({ node, batch, cameMs: performance.now(), resolve, reject });
      if (this.#busy) this.#wake();
      else void this.#drain();
    });
  }

  async #drain(): Promise<void> {
    this.#busy = true;
    // One turn of the event loop lets batches that arrived together share the first commit.
    await turn();
    while (!this.#waiting.isEmpty) {
      const nowMs = this.clock.now();
      const group = this.#waiting.take(EVENTS_PER_COMMIT_MAX, nowMs);
      if (group.length > 0) {
        await this.#commit(group);
        if (group.length >= BATCHES_PER_TURN) await turn();
      } else await this.#pause(Math.min(PACE_LOOK_MS_MAX, this.#waiting.waitMs(nowMs)));
    }
    this.#busy = false;
  }

  /** Every node that waits is over its pace; one that comes now need not be. */
  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  /** Never throws. When a group fails, its batches are tried one by one: one cannot block many. */
  async #commit(group: readonly Waiting[]): Promise<void> {
    try {
      const results = await traced(
        'events.commit',
        { attributes: { 'bellwether.batches': group.length }, isRoot: true },
        () => this.database.transaction((tx) => this.#store(tx, group)),
      );
      meters.observe('bellwether_ingest_commit_batches', group.length);
      meters.since('bellwether_ingest_lag_seconds', group[0]?.cameMs ?? performance.now());
      group.forEach((waiting, index) => {
        waiting.resolve(results[index] as IngestResult);
      });
    } catch (error) {
      if (group.length === 1) {
        this.logger.error({ err: error, nodeId: group[0]?.node.nodeId }, 'events not stored');
        meters.count('bellwether_ingest_batches_total', 'failed');
        group[0]?.reject(error);
        return;
      }
      for (const waiting of group) await this.#commit([waiting]);
    }
  }

  async #store(tx: Tx, group: readonly Waiting[]): Promise<IngestResult[]> {
    const known = await holdThroughs(tx, group.map(spoolOf));
    const moved = new Map<string, MovedSpool>();
    const results: IngestResult[] = [];
    const fresh: Fresh[] = [];
    for (const waiting of group) {
      const { node, batch, isRefused } = waiting;
      const spool = spoolOf(waiting);
      const key = keyOf(spool);
      const through = known.get(key) ?? 0;
      const taken = isRefused ? tooFast(through) : takeFresh(batch, through);
      const fate = fateOf(taken, isRefused);
      tx.afterCommit(() => {
        meters.count('bellwether_ingest_batches_total', fate);
      });
      known.set(key, taken.result.through);
      results.push(taken.result);
      if (taken.fresh.length === 0) continue;
      moved.set(key, { ...spool, through: taken.result.through });
      fresh.push({ node, events: taken.fresh });
    }
    const saved = saveThroughs(tx, [...moved.values()]);
    const [rollouts] = await Promise.all([this.#rolloutsOf(tx, fresh), saved]);
    if (fresh.length === 0) return results;
    const at = this.clock.now();
    for (const { node, events } of fresh) {
      const about = { nodeId: node.nodeId, groupId: node.groupId, at, rollouts };
      this.log.append(
        tx,
        events.map((event) => told(event, about)),
      );
    }
    const news = fresh.map(({ node, events }) => ({ node, events: events.filter(isKnown) }));
    for (const observer of this.#observers) await observer.observe(tx, news);
    return results;
  }

  async #rolloutsOf(tx: Tx, news: readonly Fresh[]): Promise<ReadonlyMap<string, string>> {
    const nodeOf = new Map<string, string>();
    for (const { node, events } of news) {
      for (const { command_id: id } of events) if (id !== null) nodeOf.set(id, node.nodeId);
    }
    const found = new Map<string, string>();
    if (nodeOf.size === 0) return found;
    for (const observer of this.#observers) {
      const known = (await observer.rolloutsOf?.(tx, nodeOf)) ?? [];
      for (const [id, rollout] of known) found.set(id, rollout);
    }
    return found;
  }
}

const KNOWN: ReadonlySet<string> = new Set(NodeEventType.options);
const isKnown = (event: GivenEvent): event is NodeEvent => KNOWN.has(event.type);

/** What is stored of it. The type says the category; a type that nobody knows here is `unknown`. */
function told(
  event: GivenEvent,
  about: Pick<NewEvent, 'nodeId' | 'groupId' | 'at'> & {
    readonly rollouts: ReadonlyMap<string, string>;
  },
): NewEvent {
  const details = event.details as Record<string, JsonValue>;
  const { type: given, command_id: commandId } = event;
  const type = isEventType(given) && KNOWN.has(given) ? given : 'unknown';
  return {
    at: about.at,
    occurredAt: Date.parse(event.at),
    category: EVENT_TYPES[type].category,
    type,
    severity: event.severity,
    nodeId: about.nodeId,
    groupId: about.groupId,
    rolloutId: commandId === null ? null : (about.rollouts.get(commandId) ?? null),
    commandId,
    service: event.service,
    message: event.message,
    details:
      type === 'unknown'
        ? { ...details, given_type: given, given_category: event.category }
        : details,
  };
}

const tooFast = (through: number): Taken => ({
  result: { through, error: 'events_too_fast' },
  fresh: [],
});

/** The part of a batch that continues the sequence; the rest are echoes, or a gap. */
function takeFresh(batch: Events, through: number): Taken {
  const isRun = batch.events.every(
    (event, index) => index === 0 || event.seq === (batch.events[index - 1]?.seq ?? 0) + 1,
  );
  const first = batch.events[0]?.seq ?? 1;
  if (!isRun || first > through + 1) {
    return { result: { through, error: 'events_out_of_order' }, fresh: [] };
  }
  const fresh = batch.events.filter((event) => event.seq > through);
  return { result: { through: fresh.at(-1)?.seq ?? through, error: null }, fresh };
}

interface Spool {
  readonly nodeId: string;
  readonly spoolId: string;
}
interface MovedSpool extends Spool {
  readonly through: number;
}
interface SpoolRow {
  readonly node_id: string;
  readonly spool_id: string;
  readonly through: number;
}
const keyOf = ({ nodeId, spoolId }: Spool): string => `${nodeId} ${spoolId}`;
const spoolOf = ({ node, batch }: Waiting): Spool => ({
  nodeId: node.nodeId,
  spoolId: batch.spool_id,
});

const byKey = (rows: readonly SpoolRow[]): [string, number][] =>
  rows.map(({ node_id: nodeId, spool_id: spoolId, through }) => [
    keyOf({ nodeId, spoolId }),
    through,
  ]);

/** The highest durable sequences of spools; null where nothing came of one yet. */
async function throughsOf(sql: Sql, spools: readonly Spool[]): Promise<(number | null)[]> {
  const filled = filledUp(spools);
  const rows = await sql.all<SpoolRow>(
    `SELECT node_id, spool_id, through FROM event_spools
     WHERE (node_id, spool_id) IN (VALUES ${rowsOf(filled.length, '(?, ?)')})`,
    filled.flatMap(({ nodeId, spoolId }) => [nodeId, spoolId]),
  );
  const known = new Map(byKey(rows));
  return spools.map((spool) => known.get(keyOf(spool)) ?? null);
}

/**
 * The highest durable sequences of spools, by `keyOf`, held until the transaction ends: an older link of a node, perhaps
 * to another manager, may be delivering the same events at this moment.
 */
async function holdThroughs(tx: Tx, spools: readonly Spool[]): Promise<Map<string, number>> {
  const each = [...new Map(spools.map((spool) => [keyOf(spool), spool]))];
  // In one order everywhere, so that two transactions cannot wait for each other.
  const inOrder = each.sort(([a], [b]) => (a < b ? -1 : 1));
  const sent = [...inSome(inOrder)].map((some) =>
    tx.all<SpoolRow>(
      `INSERT INTO event_spools (node_id, spool_id, through) VALUES ${rowsOf(some.length, '(?, ?, 0)')}
       ON CONFLICT (node_id, spool_id) DO UPDATE SET through = event_spools.through
       RETURNING node_id, spool_id, through`,
      some.flatMap(([, { nodeId, spoolId }]) => [nodeId, spoolId]),
    ),
  );
  return new Map((await Promise.all(sent)).flatMap(byKey));
}

/** Of spools that this transaction holds, each named once. */
async function saveThroughs(tx: Tx, spools: readonly MovedSpool[]): Promise<void> {
  const sent = [...inSome(spools)].map((some) =>
    tx.run(
      `INSERT INTO event_spools (node_id, spool_id, through) VALUES ${rowsOf(some.length, '(?, ?, ?)')}
       ON CONFLICT (node_id, spool_id) DO UPDATE SET through = excluded.through`,
      some.flatMap(({ nodeId, spoolId, through }) => [nodeId, spoolId, through]),
    ),
  );
  await Promise.all(sent);
}
