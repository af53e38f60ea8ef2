import { z } from 'zod';
import { Artifact, Channel, ProductName, Version } from '../../core/release/index.js';
import { SYNC_MESSAGES_MAX, SYNC_WAIT_MS_MAX } from './limits.js';
import { Command, Id } from './messages.js';

const Count = z.int().min(0);

/**
 * What a node says in one request of a poll. Both directions are numbered from 1, so requests and
 * answers may be lost and repeated. The messages are frames of the link; each is judged by itself,
 * as if it had come over a socket.
 */
export const SyncRequest = z.object({
  /** New for each poll; a poll is what a socket is to the other transport. */
  poll_id: Id,
  /** The number of the first message here; the next one to be given when there is none. */
  seq: z.int().min(1),
  messages: z.array(z.unknown()).max(SYNC_MESSAGES_MAX),
  /** The node has every message of the manager up to here. */
  received: Count,
  /** How long an answer that would be empty may be held back. */
  wait_ms: z.int().min(0).max(SYNC_WAIT_MS_MAX),
  /** The node leaves: this is the last request. */
  close: z.boolean().default(false),
});
export type SyncRequest = z.infer<typeof SyncRequest>;

export const SyncAnswer = z.object({
  /** The manager has every message of the node up to here. */
  received: Count,
  /** The number of the first message here. */
  seq: z.int().min(1),
  messages: z.array(z.unknown()).max(2_000),
  /** Set when the poll has ended: a close code, as of a socket. */
  closed: z.object({ code: z.int().min(1000).max(4999), reason: z.string().max(123) }).nullable(),
});
export type SyncAnswer = z.infer<typeof SyncAnswer>;

/** What a node should do now: its open commands, as `welcome` would tell them. */
export const HeartbeatAnswer = z.object({
  server_time: z.iso.datetime(),
  /** When to ask again, without jitter. */
  next_ms: z.int().min(100).max(600_000),
  /** Whether the node has a live link or poll: only then anything is expected of it. */
  connected: z.boolean(),
  directives: z.array(Command).max(256),
});
export type HeartbeatAnswer = z.infer<typeof HeartbeatAnswer>;

export const FindQuery = z.object({ product: ProductName, group: Id });

/** What a new node should install. Nothing here is a secret, and nothing of it is to be believed. */
export const FindAnswer = z.object({
  product: ProductName,
  version: Version,
  channel: Channel,
  artifacts: z.array(
    Artifact.pick({ os: true, arch: true, variant: true, format: true, size: true, sha256: true }),
  ),
  /** The signed manifest; its signatures lie beside it. It still asks for a node token. */
  manifest_url: z.url(),
});
export type FindAnswer = z.infer<typeof FindAnswer>;
