import {
  Inject,
  Injectable,
  type BeforeApplicationShutdown,
  type OnApplicationBootstrap,
} from '@nestjs/common';
import { setImmediate as turn } from 'node:timers/promises';
import type { Logger } from 'pino';
import { MINUTE_MS, SECOND_MS } from '../../core/kernel/index.js';
import type { Health, ServiceReport } from '../../protocol/node/index.js';
import { Database } from '../platform/database/index.js';
import { CLOCK, LOGGER, type Clock } from '../platform/index.js';
import { Nodes } from './nodes.store.js';

/** Changes wait at most this long, so that a thousand reports make one transaction. */
const FLUSH_EVERY_MS = SECOND_MS;
/** A report that changes nothing is written this often, for `last_seen_at` after a restart. */
export const REWRITE_AFTER_MS = MINUTE_MS;

/**
 * In one transaction. On PostgreSQL each holds its rows, and a connection, until the last is written; on SQLite nothing else happens in
 * the process meanwhile, and the event loop is to come round within 50 ms even when all of them have news.
 */
const NODES_PER_COMMIT = 500;

/**
 * Told whenever what a node runs has changed, after that was recorded; again when it threw. In a transaction of its
 * own: one that holds rows of nodes must not wait for a rollout, which offers to nodes.
 */
export type ServicesObserver = (
  nodeId: string,
  services: readonly ServiceReport[],
) => Promise<void>;

interface Entry {
  services: string;
  seenAt: number;
  writtenServices: string | null;
  writtenAt: number;
}

interface Waiting {
  readonly nodeId: string;
  readonly entry: Entry;
  readonly services: string;
  readonly at: number;
}

const isNews = ({ entry, services }: Waiting): boolean => services !== entry.writtenServices;

/**
 * Health reports come every 15 s from every node and mostly say the same. They are kept here and
 * written only when services changed, or once a minute. What a crash loses comes again with the
 * next report or `hello`.
 */
@Injectable()
export class HealthBook implements OnApplicationBootstrap, BeforeApplicationShutdown {
  readonly #entries = new Map<string, Entry>();
  readonly #waiting = new Set<string>();
  readonly #observers: ServicesObserver[] = [];
  #writesAs: () => string | null = () => null;
  #everyMs: () => number = () => FLUSH_EVERY_MS;
  #flushedAtMs = 0;
  #timer: NodeJS.Timeout | null = null;
  #flushing: Promise<void> = Promise.resolve();

  constructor(
    private readonly database: Database,
    private readonly nodes: Nodes,
    @Inject(CLOCK) private readonly clock: Clock,
    @Inject(LOGGER) private readonly log: Logger,
  ) {}

  onApplicationBootstrap(): void {
    this.#timer = setInterval(() => {
      if (performance.now() - this.#flushedAtMs < this.#everyMs() - FLUSH_EVERY_MS / 2) return;
      void this.flush();
    }, FLUSH_EVERY_MS);
    this.#timer.unref();
  }

  async beforeApplicationShutdown(): Promise<void> {
    if (this.#timer !== null) clearInterval(this.#timer);
    await this.flush();
  }

  addObserver(observer: ServicesObserver): void {
    this.#observers.push(observer);
  }

  /** What is kept here of a node that another manager has by now is not written. */
  writesAs(managerId: () => string): void {
    this.#writesAs = managerId;
  }

  /** Reports that wait are written this often, in place of every second: under load there is something better to do. */
  writesEvery(everyMs: () => number): void {
    this.#everyMs = everyMs;
  }

  record(nodeId: string, health: Health): void {
    const services = JSON.stringify(health.services);
    const seenAt = this.clock.now();
    const entry = this.#entries.get(nodeId);
    if (entry === undefined) {
      this.#entries.set(nodeId, { services, seenAt, writtenServices: null, writtenAt: seenAt });
      this.#waiting.add(nodeId);
      return;
    }
    const isSame = services === entry.writtenServices;
    // One text a node, and not two alike.
    if (!isSame || entry.services !== services) entry.services = services;
    entry.seenAt = seenAt;
    if (!isSame || seenAt - entry.writtenAt >= REWRITE_AFTER_MS) {
      this.#waiting.add(nodeId);
    }
  }

  /** When the node last reported to this process; null when it did not. */
  seenAt(nodeId: string): number | null {
    return this.#entries.get(nodeId)?.seenAt ?? null;
  }

  /** What was written of a node another way, and told to observers: a report that says the same need not be. */
  wrote(nodeId: string, services: readonly ServiceReport[], at: number): void {
    const text = JSON.stringify(services);
    const entry = { services: text, seenAt: at, writtenServices: text, writtenAt: at };
    this.#entries.set(nodeId, entry);
  }

  /** A `hello` carries newer facts than what waits here. */
  forget(nodeId: string): void {
    this.#entries.delete(nodeId);
    this.#waiting.delete(nodeId);
  }

  /** Writes what waits. Never rejects: what could not be written waits on. */
  flush(): Promise<void> {
    this.#flushedAtMs = performance.now();
    this.#flushing = this.#flushing.then(() => this.#write());
    return this.#flushing;
  }

  async #tell({ nodeId, services }: Waiting): Promise<void> {
    const read = JSON.parse(services) as ServiceReport[];
    for (const observer of this.#observers) await observer(nodeId, read);
  }

  async #write(): Promise<void> {
    const all = [...this.#waiting].sort().flatMap((nodeId): Waiting[] => {
      const entry = this.#entries.get(nodeId);
      return entry === undefined
        ? []
        : [{ nodeId, entry, services: entry.services, at: entry.seenAt }];
    });
    this.#waiting.clear();
    for (let at = 0; at < all.length; at += NODES_PER_COMMIT) {
      await this.#writeSome(all.slice(at, at + NODES_PER_COMMIT));
      // Ten thousand come due in one second, when they connected in one.
      if (at + NODES_PER_COMMIT < all.length) await turn();
    }
  }

  async #writeSome(batch: readonly Waiting[]): Promise<void> {
    try {
      const recorded = await this.database.transaction(async (tx) => {
        await this.nodes.hold(
          tx,
          batch.map(({ nodeId }) => nodeId),
        );
        await this.nodes.recordSeen(
          tx,
          batch.filter((report) => !isNews(report)),
          this.#writesAs(),
        );
        const news = batch.filter(isNews);
        const ours = await this.nodes.recordServices(tx, news, this.#writesAs());
        return news.filter(({ nodeId }) => ours.has(nodeId));
      });
      // Together, so that they can share commits.
      await Promise.all(recorded.map((report) => this.#tell(report)));
      for (const { entry, services, at } of batch) {
        entry.writtenServices = services;
        entry.writtenAt = at;
      }
    } catch (error) {
      this.log.warn({ err: error, nodes: batch.length }, 'health reports could not be written');
      for (const { nodeId, entry } of batch) {
        if (this.#entries.get(nodeId) === entry) this.#waiting.add(nodeId);
      }
    }
  }
}
