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
}

/** By which transport a node came, and by which one it was here until then; null when it was not. */
export interface Arrival {
  readonly transport: Transport;
  readonly before: Transport | null;
}

/** The newest signed checkpoint of the audit log, for `welcome`; null when there is none yet. */
export interface CheckpointSource {
  newest(): Promise<string | null>;
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
