import { Inject, Injectable } from '@nestjs/common';
import type { Logger } from 'pino';
import type { JsonValue } from '../../core/kernel/index.js';
import type { Events, Hello, NodeEvent } from '../../protocol/node/index.js';
import type { EventHandler, IngestResult, NodeIdentity } from '../gateway/index.js';
import { type Clock, CLOCK, Database, LOGGER, type Tx } from '../platform/index.js';
import { EventLog } from './event-log.js';

/** A group commit closes with this many events, or as soon as the one before it has ended. */
const EVENTS_PER_COMMIT_MAX = 500;

/** Events that were new, given to observers in the transaction that stores them. */
export interface NodeNews {
  readonly node: NodeIdentity;
  readonly events: readonly NodeEvent[];
}

/**
 * Follows node events inside the transaction that stores them: what it writes is durable exactly
 * when the events are. Must be safe to run again after a rollback.
 */
export interface NodeEventObserver {
  /** Which rollout each of these commands belongs to; unknown ones are left out. */
  rolloutsOf(tx: Tx, commandIds: readonly string[]): Promise<ReadonlyMap<string, string>>;
  observe(tx: Tx, news: readonly NodeNews[]): Promise<void>;
}

interface Waiting {
  readonly node: NodeIdentity;
  readonly batch: Events;
  readonly resolve: (result: IngestResult) => void;
  readonly reject: (error: unknown) => void;
}

interface Taken {
  readonly result: IngestResult;
  readonly fresh: readonly NodeEvent[];
}

/**
 * Stores what nodes report, exactly once by (node, spool, sequence), in group commits: batches of
 * many nodes share one transaction, and each node is answered only after it.
 */
@Injectable()
export class Ingest implements EventHandler {
  readonly #queue: Waiting[] = [];
  readonly #observers: NodeEventObserver[] = [];
  #busy = false;

  constructor(
    private readonly database: Database,
    private readonly log: EventLog,
    @Inject(CLOCK) private readonly clock: Clock,
    @Inject(LOGGER) private readonly logger: Logger,
  ) {}

  addObserver(observer: NodeEventObserver): void {
    this.#observers.push(observer);
  }

  /**
   * Where the node should go on. When its spool begins after what we have plus one, it had to drop
   * events: that gap is recorded as an event of its own, once, and closed.
   */
  async resume(node: NodeIdentity, spool: Hello['spool']): Promise<number> {
    return this.database.transaction(async (tx) => {
      const through = await holdThrough(tx, node.nodeId, spool.id);
      const lostUntil = spool.first_seq - 1;
      if (lostUntil <= through) return through;
      await saveThrough(tx, node.nodeId, spool.id, lostUntil);
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
      this.#queue.push({ node, batch, resolve, reject });
      if (!this.#busy) void this.#drain();
    });
  }

  async #drain(): Promise<void> {
    this.#busy = true;
    // One turn of the event loop lets batches that arrived together share the first commit.
    await new Promise((resolve) => setImmediate(resolve));
    while (this.#queue.length > 0) await this.#commit(this.#nextGroup());
    this.#busy = false;
  }

  #nextGroup(): Waiting[] {
    let count = 0;
    let taken = 0;
    while (taken < this.#queue.length && (taken === 0 || count < EVENTS_PER_COMMIT_MAX)) {
      count += this.#queue[taken]?.batch.events.length ?? 0;
      taken += 1;
    }
    return this.#queue.splice(0, taken);
  }

  /** Never throws. When a group fails, its batches are tried one by one: one cannot block many. */
  async #commit(group: readonly Waiting[]): Promise<void> {
    try {
      const results = await this.database.transaction((tx) => this.#store(tx, group));
      group.forEach((waiting, index) => {
        waiting.resolve(results[index] as IngestResult);
      });
    } catch (error) {
      if (group.length === 1) {
        this.logger.error({ err: error, nodeId: group[0]?.node.nodeId }, 'events not stored');
        group[0]?.reject(error);
        return;
      }
      for (const waiting of group) await this.#commit([waiting]);
    }
  }

  async #store(tx: Tx, group: readonly Waiting[]): Promise<IngestResult[]> {
    const known = new Map<string, number>();
    const results: IngestResult[] = [];
    const news: NodeNews[] = [];
    for (const { node, batch } of group) {
      const key = `${node.nodeId} ${batch.spool_id}`;
      const through = known.get(key) ?? (await holdThrough(tx, node.nodeId, batch.spool_id));
      const { result, fresh } = takeFresh(batch, through);
      known.set(key, result.through);
      results.push(result);
      if (fresh.length === 0) continue;
      await saveThrough(tx, node.nodeId, batch.spool_id, result.through);
      news.push({ node, events: fresh });
    }
    const at = this.clock.now();
    const rollouts = await this.#rolloutsOf(tx, news);
    for (const { node, events } of news) {
      this.log.append(
        tx,
        events.map((event) => ({
          category: event.category,
          type: event.type,
          severity: event.severity,
          nodeId: node.nodeId,
          groupId: node.groupId,
          commandId: event.command_id,
          rolloutId: rollouts.get(event.command_id ?? '') ?? null,
          service: event.service,
          message: event.message,
          details: { ...(event.details as Record<string, JsonValue>), node_at: event.at },
          at,
        })),
      );
    }
    if (news.length > 0) {
      for (const observer of this.#observers) await observer.observe(tx, news);
    }
    return results;
  }

  async #rolloutsOf(tx: Tx, news: readonly NodeNews[]): Promise<ReadonlyMap<string, string>> {
    const ids = new Set<string>();
    for (const { events } of news) {
      for (const { command_id } of events) if (command_id !== null) ids.add(command_id);
    }
    const found = new Map<string, string>();
    if (ids.size === 0) return found;
    for (const observer of this.#observers) {
      for (const [id, rollout] of await observer.rolloutsOf(tx, [...ids])) found.set(id, rollout);
    }
    return found;
  }
}

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

/**
 * The highest durable sequence of a spool, held until the transaction ends: an older link of the
 * node, perhaps to another manager, may be delivering the same events at this moment.
 */
async function holdThrough(tx: Tx, nodeId: string, spoolId: string): Promise<number> {
  const row = await tx.get<{ through: number }>(
    `INSERT INTO event_spools (node_id, spool_id, through) VALUES (?, ?, 0)
     ON CONFLICT (node_id, spool_id) DO UPDATE SET through = event_spools.through
     RETURNING through`,
    [nodeId, spoolId],
  );
  return row?.through ?? 0;
}

/** Of a spool that this transaction holds. */
async function saveThrough(
  tx: Tx,
  nodeId: string,
  spoolId: string,
  through: number,
): Promise<void> {
  await tx.run('UPDATE event_spools SET through = ? WHERE node_id = ? AND spool_id = ?', [
    through,
    nodeId,
    spoolId,
  ]);
}
