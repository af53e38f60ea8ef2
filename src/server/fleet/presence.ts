import { Inject, Injectable, type OnApplicationBootstrap } from '@nestjs/common';
import type { CloseReason, Health, Hello } from '../../protocol/node/index.js';
import { EventLog, type NewEvent } from '../events/index.js';
import {
  Links,
  type Arrival,
  type NodeIdentities,
  type NodeIdentity,
  type PresenceHandler,
  type Transport,
} from '../gateway/index.js';
import { Database, type Tx } from '../platform/database/index.js';
import { CLOCK, type Clock } from '../platform/index.js';
import { HealthBook } from './health-book.js';
import { Nodes } from './nodes.store.js';

/** Ends of a link that somebody should look at: a peer that is gone, or does not keep the protocol. */
const TROUBLE: ReadonlySet<string> = new Set<CloseReason | 'slow_reader'>([
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
  ) {}

  async onApplicationBootstrap(): Promise<void> {
    await this.database.transaction((tx) => this.nodes.everyoneOffline(tx));
  }

  async find(nodeId: string): Promise<NodeIdentity | null> {
    const node = await this.nodes.find(nodeId);
    if (node === null) return null;
    const { groupId, publicKey, revokedAt } = node;
    return { nodeId, groupId, publicKey, revoked: revokedAt !== null };
  }

  async arrived(
    node: NodeIdentity,
    sessionId: string,
    hello: Hello,
    { transport, before }: Arrival,
  ): Promise<void> {
    this.book.forget(node.nodeId);
    const now = this.clock.now();
    await this.database.transaction(async (tx) => {
      await this.nodes.recordHello(tx, node.nodeId, hello, { now, transport });
      await this.#catchUp(tx, node, hello.generation ?? 0);
      const isNew = await this.nodes.setPresence(tx, node.nodeId, true, now);
      if (!isNew && before === null) return;
      const details = { session_id: sessionId, agent_version: hello.agent_version, transport };
      this.events.append(tx, [
        isNew
          ? this.#event(node, {
              type: 'node_connected',
              message: `connected by ${transport} with agent ${hello.agent_version}`,
              details,
            })
          : this.#event(node, tookOver(transport, before, details)),
      ]);
    });
  }

  health(node: NodeIdentity, health: Health): void {
    this.book.record(node.nodeId, health);
  }

  async left(node: NodeIdentity, sessionId: string, reason: string): Promise<void> {
    await this.book.flush();
    await this.database.transaction(async (tx) => {
      // A newer link may have come while this waited for its turn: then nobody left.
      if (this.links.online(node.nodeId)) return;
      const now = this.clock.now();
      if (!(await this.nodes.setPresence(tx, node.nodeId, false, now))) return;
      this.events.append(tx, [
        this.#event(node, {
          type: 'node_disconnected',
          severity: TROUBLE.has(reason) ? 'warning' : 'info',
          message: `the link ended: ${reason}`,
          details: { session_id: sessionId, reason },
        }),
      ]);
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
    node: NodeIdentity,
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
