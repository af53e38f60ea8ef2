import type {
  Ack,
  CommandEnvelope,
  Events,
  Health,
  Hello,
  PermitRequest,
  Reject,
} from '../../protocol/node/index.js';
import type { z } from 'zod';
import type { FleetError } from '../../core/kernel/index.js';
import type { Transport } from './wire.js';
import type { ErrorCode } from '../../protocol/index.js';
import type { Tx } from '../platform/index.js';

/** Who is on the other end of a link, proven by its node token. */
export interface NodeIdentity {
  readonly nodeId: string;
  readonly groupId: string;
  /** Raw Ed25519 key, base64url. */
  readonly publicKey: string;
  readonly revoked: boolean;
}

/**
 * What the gateway needs of the modules below it. Each is registered once at start (`Links.use…`),
 * because imports point the other way. A rejected promise closes the link with `internal_error`:
 * the node comes back and repeats what was not acknowledged, so nothing is lost.
 */
export interface NodeIdentities {
  find(nodeId: string): Promise<NodeIdentity | null>;
  /** Which manager has the newest link of a node, and as which poll; null when none has. */
  holderOf(nodeId: string): Promise<LinkHolder | null>;
}
export interface LinkHolder {
  readonly managerId: string;
  /** Null for a socket. */
  readonly pollId: string | null;
}

/** By which transport a node came, and by which one it was here until then; null when it was not. */
export interface Arrival {
  readonly transport: Transport;
  readonly before: Transport | null;
  /** What the node calls its poll; null for a socket. */
  readonly pollId: string | null;
  /** How often within a minute a link of the node took over here from one that was open, this one counted. */
  readonly takeovers?: number;
}

/** The newest signed checkpoint of the audit log, for `welcome`; null when there is none yet. */
export interface CheckpointSource {
  newest(): Promise<string | null>;
}

/** Nodes that are let in before others when many come at once. */
export interface UrgentNodes {
  /** In the middle of a swap, or on probation after one. */
  readonly probation: ReadonlySet<string>;
  /** With commands that have not ended. */
  readonly commanded: ReadonlySet<string>;
}
export interface UrgencySource {
  /** At most so many nodes, those on probation first; one cheap read for all. */
  urgent(limit: number): Promise<UrgentNodes>;
}

/** A peer whose link was refused because it did not prove who it is. */
export interface RefusedPeer {
  readonly ip: string;
  readonly userAgent: string;
  readonly requestId: string;
  readonly error: FleetError;
}
export interface RefusalRecorder {
  refused(peer: RefusedPeer): Promise<void>;
}

export interface PresenceHandler {
  /** Before `welcome`. Called again for a node whose newer socket took over from an older one. */
  arrived(node: NodeIdentity, sessionId: string, hello: Hello, way: Arrival): Promise<void>;
  health(node: NodeIdentity, health: Health): void;
  /** After the newest socket of a node has gone; never for a superseded one. */
  left(node: NodeIdentity, sessionId: string, reason: string): Promise<void>;
}

export interface EventHandler {
  /** The highest durable sequence of this spool; records what the node had to drop before it. */
  resume(node: NodeIdentity, spool: Hello['spool']): Promise<number>;
  /** Resolves after the commit with the sequence that is durable now. */
  ingest(node: NodeIdentity, batch: Events): Promise<IngestResult>;
}
export interface IngestResult {
  readonly through: number;
  /** Set when the batch did not continue the sequence; the node sends again after `through`. */
  readonly error: ErrorCode | null;
}

export type PermitAnswer =
  | { readonly granted: true; readonly leaseMs: number }
  | { readonly granted: false; readonly reason: string; readonly retryAfterMs: number };

export interface CommandHandler {
  /** Every command of the node that has not ended, oldest generation first. */
  open(node: NodeIdentity): Promise<readonly z.infer<typeof CommandEnvelope>[]>;
  acked(node: NodeIdentity, ack: Ack): Promise<void>;
  rejected(node: NodeIdentity, reject: Reject): Promise<void>;
  /** What the node says of itself in `hello`: closes gaps that lost events would leave. */
  reported(node: NodeIdentity, hello: Hello): Promise<void>;
  permit(node: NodeIdentity, request: PermitRequest): Promise<PermitAnswer>;
}

/**
 * The other managers on the same database, as far as links go. What is told is a hint: they look up in SQL
 * what is true of these ids, and find by themselves, later, what they were not told.
 */
export interface Elsewhere {
  /** This process, as it is written beside the nodes that it holds. Changes when it was taken for dead. */
  readonly managerId: string;
  /** The same, and it stays so while the transaction runs. Throws `unavailable` when it was taken for dead. */
  require(tx: Tx): Promise<string>;
  /** How many others could take the nodes of this one. */
  others(): Promise<number>;
  /** Something about the links of these nodes changed; told to one manager, or to all. */
  tellNodes(nodeIds: readonly string[], managerId?: string): void;
  /** These commands are of nodes that this manager holds. */
  tellCommands(managerId: string, commandIds: readonly string[]): void;
}
