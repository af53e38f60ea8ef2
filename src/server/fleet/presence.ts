import { Inject, Injectable, type OnApplicationBootstrap } from '@nestjs/common';
import type { CloseReason, Health, Hello } from '../../protocol/node/index.js';
import { EventLog, type NewEvent } from '../events/index.js';
import {
  Links,
  TAKEOVERS_MAX,
  type Arrival,
  type LinkHolder,
  type NodeIdentities,
  type NodeIdentity,
  type PresenceHandler,
  type Transport,
} from '../gateway/index.js';
import { Database, type Asked } from '../platform/database/index.js';
import { CLOCK, type Clock } from '../platform/index.js';
import { HealthBook } from './health-book.js';
import { writeArrivals, type WhatWas } from './arrivals.store.js';
import { endLinks, endLinksOf, forgottenOffline, holderOf } from './links.store.js';
import { Nodes } from './nodes.store.js';

/** Ends of a link that somebody should look at: a peer that is gone, or does not keep the protocol. */
const TROUBLE: ReadonlySet<string> = new Set<CloseReason | 'slow_reader' | 'manager_lost'>([
  'manager_lost',
  'heartbeat_lost',
  'frame_too_large',
  'frame_binary',
  'frame_not_json',
  'message_invalid',
  'message_out_of_order',
  'message_rate_exceeded',
  'slow_reader',
]);

/** A newer link of a node that is here already. */
const tookOver = (
  transport: Transport,
  before: Transport | null,
  details: NewEvent['details'],
): Pick<NewEvent, 'type' | 'message' | 'details'> =>
  before === transport
    ? { type: 'node_superseded', message: `a newer ${transport} took over`, details }
    : {
        type: 'node_transport_changed',
        message: `went from ${before ?? 'nothing'} to ${transport}`,
        details: { ...details, before },
      };

/** From here on newer ones are refused for a minute: see `Takeovers`. */
const contested = (
  takeovers: number,
  details: NewEvent['details'],
): Pick<NewEvent, 'severity' | 'message' | 'details'> => ({
  severity: 'warning',
  message: `newer links took over ${takeovers} times within a minute: two programs may use the identity of this node`,
  details: { ...details, takeovers },
});

interface Came {
  readonly node: NodeIdentity;
  readonly sessionId: string;
  readonly hello: Hello;
  readonly way: Arrival;
}
interface Gone {
  readonly node: NodeIdentity;
  readonly sessionId: string;
  readonly reason: string;
}

const idOf = ({ node }: { readonly node: NodeIdentity }): string => node.nodeId;

/**
 * Who a node is, and whether it is here: what the gateway asks and tells the fleet. Ten thousand may come in one minute, when
 * the network is back; so those that come together are looked up, written and told of together.
 */
@Injectable()
export class Presence implements NodeIdentities, PresenceHandler, OnApplicationBootstrap {
  readonly #asked: Asked<string, NodeIdentity | null>;
  readonly #arrivals: Asked<Came, undefined>;
  readonly #departures: Asked<Gone, undefined>;

  constructor(
    private readonly database: Database,
    private readonly nodes: Nodes,
    private readonly links: Links,
    private readonly book: HealthBook,
    private readonly events: EventLog,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {
    this.#asked = database.batched((ids) => this.#identities(ids));
    this.#arrivals = database.batched((came: readonly Came[]) => this.#arrive(came), idOf);
    this.#departures = database.batched((gone: readonly Gone[]) => this.#leave(gone), idOf);
    book.writesAs(() => links.elsewhere.managerId);
    book.writesEvery(() => links.degraded.reportsEveryMs);
  }

  /** Several managers find the links of those that are gone: see `LinkWatch`. */
  async onApplicationBootstrap(): Promise<void> {
    if (this.database.kind === 'postgres') return;
    await this.database.transaction((tx) => this.nodes.everyoneOffline(tx));
  }

  find(nodeId: string): Promise<NodeIdentity | null> {
    return this.#asked.ask(nodeId);
  }

  holderOf(nodeId: string): Promise<LinkHolder | null> {
    return holderOf(this.database.read, nodeId);
  }

  async arrived(node: NodeIdentity, sessionId: string, hello: Hello, way: Arrival): Promise<void> {
    this.book.forget(node.nodeId);
    await this.#arrivals.ask({ node, sessionId, hello, way });
  }

  health(node: NodeIdentity, health: Health): void {
    this.book.record(node.nodeId, health);
  }

  async left(node: NodeIdentity, sessionId: string, reason: string): Promise<void> {
    await this.book.flush();
    await this.#departures.ask({ node, sessionId, reason });
  }

  /**
   * Ends up to so many links of a manager that is gone, and tells how many there were. A node that has come
   * back to another one meanwhile is left alone. Safe to repeat, and to do by several at once.
   */
  async lost(managerId: string, limit: number): Promise<number> {
    return this.database.transaction(async (tx) => {
      const now = this.clock.now();
      const ended = await endLinksOf(tx, managerId, { kind: this.database.kind, now, limit });
      const left = ended.filter(({ status }) => status === 'offline');
      const events = left.map(({ id: nodeId, group_id: groupId }) =>
        this.#left({ nodeId, groupId }, '', 'manager_lost'),
      );
      this.events.append(tx, events);
      return ended.length;
    });
  }

  /** Of managers that do not say whom they have, those that they have not heard of for so long. */
  async forgotten(quietMs: number): Promise<void> {
    const seenBefore = this.clock.now() - quietMs;
    await this.database.transaction((tx) => forgottenOffline(tx, seenBefore));
  }

  async #identities(ids: readonly string[]): Promise<(NodeIdentity | null)[]> {
    const byId = new Map((await this.nodes.keysOf(ids)).map((key) => [key.id, key]));
    return ids.map((nodeId) => {
      const key = byId.get(nodeId);
      if (key === undefined) return null;
      const { group_id: groupId, public_key: publicKey, revoked_at: revokedAt } = key;
      return { nodeId, groupId, publicKey, revoked: revokedAt !== null };
    });
  }

  async #arrive(came: readonly Came[]): Promise<undefined[]> {
    const now = this.clock.now();
    const { elsewhere } = this.links;
    await this.database.together(
      async (tx) => {
        // A manager that stood still must not take a node away from where it is by now.
        const managerId = await elsewhere.require(tx);
        const coming = came.map(({ node: { nodeId }, sessionId, hello, way }) => {
          const { transport, pollId } = way;
          return { nodeId, hello, transport, link: { managerId, sessionId, pollId } };
        });
        const before = await writeArrivals(tx, this.database.kind, coming, now);
        const moved = new Map<string, string[]>();
        for (const one of came) {
          const { nodeId } = one.node;
          const was = before.get(nodeId);
          if (was === undefined) continue;
          const from = was.heldBy === managerId ? null : was.heldBy;
          if (from !== null) moved.set(from, [...(moved.get(from) ?? []), nodeId]);
          this.events.append(tx, this.#told(one, was, from !== null));
        }
        tx.afterCommit(() => {
          for (const [holder, nodeIds] of moved) elsewhere.tellNodes(nodeIds, holder);
          for (const { node, hello } of came) this.book.wrote(node.nodeId, hello.services, now);
        });
      },
      { line: 'arrivals' },
    );
    return came.map(() => undefined);
  }

  /** What there is to tell of a node that came. */
  #told({ node, sessionId, hello, way }: Came, was: WhatWas, isMoved: boolean): NewEvent[] {
    const { transport, before, takeovers = 0 } = way;
    const details = { session_id: sessionId, agent_version: hello.agent_version, transport };
    const events = was.behind > 0 ? [this.#ahead(node, was.behind, hello.generation ?? 0)] : [];
    if (!was.isOnline) {
      const message = `connected by ${transport} with agent ${hello.agent_version}`;
      events.push(this.#event(node, { type: 'node_connected', message, details }));
    } else if (before !== null || isMoved) {
      events.push(
        this.#event(node, {
          ...tookOver(transport, isMoved ? transport : before, details),
          ...(takeovers < TAKEOVERS_MAX ? {} : contested(takeovers, details)),
        }),
      );
    }
    return events;
  }

  async #leave(gone: readonly Gone[]): Promise<undefined[]> {
    await this.database.together(
      async (tx) => {
        // A newer link may have come while this waited for its turn: then nobody left.
        const leaving = gone.filter(({ node }) => !this.links.online(node.nodeId));
        const links = leaving.map(({ node: { nodeId }, sessionId }) => ({ nodeId, sessionId }));
        const left = await endLinks(tx, this.database.kind, links, this.clock.now());
        const told = leaving.filter(({ node }) => left.has(node.nodeId));
        this.events.append(
          tx,
          told.map(({ node, sessionId, reason }) => this.#left(node, sessionId, reason)),
        );
      },
      { line: 'departures' },
    );
    return gone.map(() => undefined);
  }

  #left(
    node: Pick<NodeIdentity, 'nodeId' | 'groupId'>,
    sessionId: string,
    reason: string,
  ): NewEvent {
    return this.#event(node, {
      type: 'node_disconnected',
      severity: TROUBLE.has(reason) ? 'warning' : 'info',
      message: `the link ended: ${reason}`,
      details: { ...(sessionId === '' ? {} : { session_id: sessionId }), reason },
    });
  }

  /** Without its numbers going on behind these, every command of a manager that was restored would be `command_stale`. */
  #ahead(node: NodeIdentity, behind: number, seen: number): NewEvent {
    const event = this.#event(node, {
      type: 'node_ahead',
      severity: 'warning',
      message: `the node has seen ${behind} commands that this manager does not know`,
      details: { behind, generation: seen },
    });
    return { ...event, category: 'agent' };
  }

  #event(
    node: Pick<NodeIdentity, 'nodeId' | 'groupId'>,
    told: Pick<NewEvent, 'type' | 'message' | 'details'> & { severity?: NewEvent['severity'] },
  ): NewEvent {
    return {
      category: 'connection',
      severity: 'info',
      nodeId: node.nodeId,
      groupId: node.groupId,
      at: this.clock.now(),
      ...told,
    };
  }
}
