import { setTimeout as sleep } from 'node:timers/promises';
import { Injectable } from '@nestjs/common';
import { FleetError, invariant } from '../../core/kernel/index.js';
import type { CloseReason, ManagerMessage } from '../../protocol/node/index.js';
import type {
  CheckpointSource,
  CommandHandler,
  Elsewhere,
  EventHandler,
  NodeIdentities,
  NodeIdentity,
  PresenceHandler,
  RefusalRecorder,
  UrgencySource,
} from './ports.js';
import { DEGRADED, type Degraded } from './storm-rule.js';
import { Takeovers } from './takeovers.js';
import type { Transport } from './wire.js';

/** What can happen to a link, counted since start: close reasons, refusals, unusable messages. */
export type LinkCounter =
  CloseReason | 'upgrade_refused' | 'message_unknown' | 'slow_reader' | 'held_back';

/** What this room needs of an open link; `Session` is one. */
export interface OpenLink {
  readonly id: string;
  readonly node: NodeIdentity;
  readonly transport: Transport;
  /** Whether its arrival is in the database: from then on what is written there may speak against it. */
  readonly isRecorded: boolean;
  /** Resolves when the socket has closed and, for the newest of a node, that is recorded. */
  readonly ended: Promise<null>;
  push(message: ManagerMessage): boolean;
  close(reason: CloseReason): void;
  check(monotonicMs: number): void;
  /** Sent, and not taken by the peer. */
  readonly unreadBytes: number;
  /** Ends the link of a slow reader. */
  cutOff(): void;
}

/** There are no other managers. */
const NOWHERE: Elsewhere = {
  managerId: 'mgr_alone',
  require: () => Promise.resolve('mgr_alone'),
  others: () => Promise.resolve(0),
  tellNodes: () => undefined,
  tellCommands: () => undefined,
};

/** A node that is told to come back does so at once, but not together with the others. */
const COME_BACK_MS_MAX = 500;

/**
 * The links of this process: one session a node, the newest. Other modules push messages through
 * it and register what they do with incoming ones.
 */
@Injectable()
export class Links {
  readonly #sessions = new Map<string, OpenLink>();
  /** Links that have gone, until that is recorded. */
  readonly #leaving = new Map<string, OpenLink>();
  readonly #takeovers = new Takeovers();
  readonly #counters = new Map<LinkCounter, number>();
  #identities: NodeIdentities | null = null;
  #presence: PresenceHandler | null = null;
  #events: EventHandler | null = null;
  #commands: CommandHandler | null = null;
  #checkpoints: CheckpointSource | null = null;
  #refusals: RefusalRecorder | null = null;
  #urgency: UrgencySource | null = null;
  #load: { readonly degraded: Degraded } = { degraded: DEGRADED.calm };
  #elsewhere: Elsewhere = NOWHERE;
  #draining = false;

  useElsewhere(elsewhere: Elsewhere): void {
    this.#elsewhere = elsewhere;
  }
  get elsewhere(): Elsewhere {
    return this.#elsewhere;
  }
  useIdentities(identities: NodeIdentities): void {
    this.#identities = identities;
  }
  usePresence(presence: PresenceHandler): void {
    this.#presence = presence;
  }
  useEvents(events: EventHandler): void {
    this.#events = events;
  }
  useCommands(commands: CommandHandler): void {
    this.#commands = commands;
  }
  useCheckpoints(checkpoints: CheckpointSource): void {
    this.#checkpoints = checkpoints;
  }
  useRefusals(refusals: RefusalRecorder): void {
    this.#refusals = refusals;
  }
  /** Null where no audit log is kept, as in specs of the gateway alone. */
  get checkpoints(): CheckpointSource | null {
    return this.#checkpoints;
  }
  useLoad(load: { readonly degraded: Degraded }): void {
    this.#load = load;
  }
  /** What is left for later at this moment. */
  get degraded(): Degraded {
    return this.#load.degraded;
  }
  useUrgency(source: UrgencySource): void {
    this.#urgency = source;
  }
  /** Null where nothing is rolled out, as in specs of the gateway alone. */
  get urgency(): UrgencySource | null {
    return this.#urgency;
  }
  get refusals(): RefusalRecorder | null {
    return this.#refusals;
  }
  get identities(): NodeIdentities {
    return registered(this.#identities, 'identities');
  }
  get presence(): PresenceHandler {
    return registered(this.#presence, 'presence');
  }
  get events(): EventHandler {
    return registered(this.#events, 'events');
  }
  get commands(): CommandHandler {
    return registered(this.#commands, 'commands');
  }

  /** Whether the node has an open link here. */
  online(nodeId: string): boolean {
    return this.#sessions.has(nodeId);
  }

  /** Whether this session is open here, or has gone and that is not recorded yet. */
  holds(nodeId: string, sessionId: string): boolean {
    const isIt = (link: OpenLink | undefined): boolean => link?.id === sessionId;
    return isIt(this.#sessions.get(nodeId)) || isIt(this.#leaving.get(nodeId));
  }

  /** Whether its link here has gone and that is not recorded yet: what is stored still says otherwise. */
  isLeaving(nodeId: string): boolean {
    return this.#leaving.has(nodeId);
  }

  /** How the node is connected here; null when it is not. */
  transportOf(nodeId: string): Transport | null {
    return this.#sessions.get(nodeId)?.transport ?? null;
  }

  count(): number {
    return this.#sessions.size;
  }

  sessions(): IterableIterator<OpenLink> {
    return this.#sessions.values();
  }

  /**
   * Hands a message to the socket of a node. False when there is none, or when it reads too slowly
   * (then it is closed): the message must be found again at its next `hello`.
   */
  push(nodeId: string, message: ManagerMessage): boolean {
    return this.#sessions.get(nodeId)?.push(message) ?? false;
  }

  /** Closes the link of a node, if it has one. Idempotent. */
  close(nodeId: string, reason: CloseReason): void {
    this.#sessions.get(nodeId)?.close(reason);
  }

  /** The same whichever manager holds it: others look up by themselves why. To be called after the commit. */
  closeEverywhere(nodeIds: readonly string[], reason: CloseReason): void {
    for (const nodeId of nodeIds) this.close(nodeId, reason);
    this.#elsewhere.tellNodes(nodeIds);
  }

  /**
   * Takes a session that said hello, over whichever transport; the newest wins, the one before it is
   * closed, and given back with how often that was lately.
   */
  admit(session: OpenLink): { readonly link: OpenLink; readonly times: number } | null {
    const before = this.#sessions.get(session.node.nodeId);
    this.#sessions.set(session.node.nodeId, session);
    if (before === undefined) return null;
    before.close('superseded');
    const times = this.#takeovers.count(session.node.nodeId, performance.now());
    return { link: before, times };
  }

  /**
   * Throws `rate_limited` when newer links of this node took over from open ones time and again: two programs use its
   * identity, and the one that is here stays for now. To be asked once the caller has proven who it is.
   */
  requireUncontested(nodeId: string): void {
    const waitMs = this.online(nodeId) ? this.#takeovers.waitMs(nodeId, performance.now()) : 0;
    if (waitMs === 0) return;
    throw new FleetError(
      'rate_limited',
      'another link of this node is open, and was replaced too often',
      {
        context: { retry_after_seconds: Math.ceil(waitMs / 1_000) },
      },
    );
  }

  /** Forgets a session. False when a newer one has taken its place: then nothing is to be done. */
  dismiss(session: OpenLink): boolean {
    const { nodeId } = session.node;
    if (this.#sessions.get(nodeId) !== session) return false;
    this.#sessions.delete(nodeId);
    this.#leaving.set(nodeId, session);
    void session.ended.then(() => {
      if (this.#leaving.get(nodeId) === session) this.#leaving.delete(nodeId);
    });
    return true;
  }

  tally(counter: LinkCounter): void {
    this.#counters.set(counter, (this.#counters.get(counter) ?? 0) + 1);
  }

  counters(): Readonly<Partial<Record<LinkCounter, number>>> {
    return Object.fromEntries(this.#counters);
  }

  get draining(): boolean {
    return this.#draining;
  }

  /**
   * Refuses new links, and sends the nodes that are here away to the other managers: one after the other, over
   * so long, in no order. Each is away for a moment only. Resolves when all were told.
   */
  async sendAway(overMs: number): Promise<void> {
    this.#draining = true;
    const sessions = [...this.#sessions.values()]
      .map((session) => ({ session, at: Math.random() }))
      .sort((a, b) => a.at - b.at);
    const startedMs = performance.now();
    for (const [index, { session }] of sessions.entries()) {
      const dueMs = startedMs + (overMs * index) / sessions.length;
      const waitMs = dueMs - performance.now();
      if (waitMs > 1) await sleep(waitMs);
      const after_ms = Math.floor(Math.random() * COME_BACK_MS_MAX);
      session.push({ type: 'reconnect', after_ms, reason: 'drain' });
    }
  }

  /**
   * Refuses new links, closes the open ones, and resolves when each end is recorded. Nodes come
   * back by themselves.
   */
  async drain(): Promise<void> {
    this.#draining = true;
    const sessions = [...this.#sessions.values()];
    for (const session of sessions) session.close('going_away');
    await Promise.all(sessions.map((session) => session.ended));
  }
}

function registered<T>(port: T | null, name: string): T {
  invariant(port !== null, `no module registered ${name} with the gateway`);
  return port;
}
