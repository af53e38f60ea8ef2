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
import { Database, type Tx } from '../platform/database/index.js';
import { CLOCK, type Clock } from '../platform/index.js';
import { HealthBook } from './health-book.js';
import { endLink, endLinksOf, forgottenOffline, holderOf, holdLink } from './links.store.js';
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

/** Who a node is, and whether it is here: what the gateway asks and tells the fleet. */
@Injectable()
export class Presence implements NodeIdentities, PresenceHandler, OnApplicationBootstrap {
  constructor(
    private readonly database: Database,
    private readonly nodes: Nodes,
    private readonly links: Links,
    private readonly book: HealthBook,
    private readonly events: EventLog,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {
    book.writesAs(() => links.elsewhere.managerId);
    book.writesEvery(() => links.degraded.reportsEveryMs);
  }

  /** Several managers find the links of those that are gone: see `LinkWatch`. */
  async onApplicationBootstrap(): Promise<void> {
    if (this.database.kind === 'postgres') return;
    await this.database.transaction((tx) => this.nodes.everyoneOffline(tx));
  }

  async find(nodeId: string): Promise<NodeIdentity | null> {
    const node = await this.nodes.find(nodeId);
    if (node === null) return null;
    const { groupId, publicKey, revokedAt } = node;
    return { nodeId, groupId, publicKey, revoked: revokedAt !== null };
  }

  holderOf(nodeId: string): Promise<LinkHolder | null> {
    return holderOf(this.database.read, nodeId);
  }

  async arrived(
    node: NodeIdentity,
    sessionId: string,
    hello: Hello,
    { transport, before, pollId, takeovers = 0 }: Arrival,
  ): Promise<void> {
    this.book.forget(node.nodeId);
    const now = this.clock.now();
    const { elsewhere } = this.links;
    // Ten thousand may come in one minute, when the network is back.
    await this.#together(node.nodeId, async (tx) => {
      // A manager that stood still must not take a node away from where it is by now.
      const managerId = await elsewhere.require(tx);
      const was = await holdLink(tx, this.database.kind, node.nodeId);
      const link = { managerId, sessionId, pollId };
      await this.nodes.recordHello(tx, node.nodeId, hello, { now, transport, link });
      await this.#catchUp(tx, node, hello.generation ?? 0);
      const isNew = await this.nodes.setPresence(tx, node.nodeId, true, now);
      const holder = was?.link_manager ?? managerId;
      const isMoved = holder !== managerId;
      if (isMoved) tx.afterCommit(() => elsewhere.tellNodes([node.nodeId], holder));
      if (!isNew && before === null && !isMoved) return;
      const details = { session_id: sessionId, agent_version: hello.agent_version, transport };
      this.events.append(tx, [
        isNew
          ? this.#event(node, {
              type: 'node_connected',
              message: `connected by ${transport} with agent ${hello.agent_version}`,
              details,
            })
          : this.#event(node, {
              ...tookOver(transport, isMoved ? transport : before, details),
              ...(takeovers < TAKEOVERS_MAX ? {} : contested(takeovers, details)),
            }),
      ]);
    });
  }

  health(node: NodeIdentity, health: Health): void {
    this.book.record(node.nodeId, health);
  }

  async left(node: NodeIdentity, sessionId: string, reason: string): Promise<void> {
    await this.book.flush();
    await this.#together(node.nodeId, async (tx) => {
      // A newer link may have come while this waited for its turn: then nobody left.
      if (this.links.online(node.nodeId)) return;
      const now = this.clock.now();
      if (!(await endLink(tx, node.nodeId, sessionId, now))) return;
      this.events.append(tx, [this.#left(node, sessionId, reason)]);
    });
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

  /** Comings and goings share transactions: each for itself would wait for the one counter of events, and for the disk. */
  #together(nodeId: string, work: (tx: Tx) => Promise<void>): Promise<void> {
    return this.database.together(work, { line: 'presence', row: nodeId });
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

  /** Otherwise every command of a manager that was restored would be `command_stale` for this node. */
  async #catchUp(tx: Tx, node: NodeIdentity, seen: number): Promise<void> {
    const behind = await this.nodes.catchUpGeneration(tx, node.nodeId, seen);
    if (behind === 0) return;
    const event = this.#event(node, {
      type: 'node_ahead',
      severity: 'warning',
      message: `the node has seen ${behind} commands that this manager does not know`,
      details: { behind, generation: seen },
    });
    this.events.append(tx, [{ ...event, category: 'agent' }]);
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
