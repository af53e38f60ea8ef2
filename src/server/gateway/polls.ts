import { Inject, Injectable } from '@nestjs/common';
import { FleetError } from '../../core/kernel/index.js';
import {
  SYNC_BURST_MAX,
  SYNC_REFILL_PER_SECOND,
  SYNC_WAIT_MS_MAX,
  type HeartbeatAnswer,
  type Health,
  type SyncAnswer,
  type SyncRequest,
  Command,
} from '../../protocol/node/index.js';
import { type Clock, CLOCK, type Config, CONFIG } from '../platform/index.js';
import { FrontDoor } from './front-door.js';
import { LinkGateway } from './link.gateway.js';
import { Links } from './links.js';
import { PollRelay, type Relayed } from './poll-relay.js';
import { PollWire } from './poll-wire.js';
import type { NodeIdentity } from './ports.js';
import { TokenBucket } from './token-bucket.js';

/** How long an ended poll is remembered, so that its node hears why. */
const ENDED_MS = 60_000;
/** Whole seconds of `Retry-After`; one is more than the bucket needs for its next token. */
const RETRY_AFTER_SECONDS = 1;

interface Entry {
  readonly bucket: TokenBucket;
  wire: PollWire | null;
}

/**
 * Nodes that reach this manager by requests. A node has one poll, the newest; a `Session` stands on
 * it as it does on a socket, so everything that holds for a link holds for a poll.
 */
@Injectable()
export class Polls {
  readonly #entries = new Map<string, Entry>();

  constructor(
    private readonly links: Links,
    private readonly gateway: LinkGateway,
    private readonly relay: PollRelay,
    private readonly front: FrontDoor,
    @Inject(CONFIG) private readonly config: Config,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {
    relay.onAsk((relayed) => this.#relayed(relayed));
  }

  /**
   * One request of a poll, whichever manager has that; safe to repeat. Throws `unavailable` for a new one while the
   * manager stops, and when another one has it that does not answer; `rate_limited`, `poll_unknown` and
   * `poll_out_of_order`.
   */
  async sync(nodeId: string, request: SyncRequest, signal: AbortSignal): Promise<SyncAnswer> {
    const entry = this.#entryOf(nodeId);
    // A node that hangs is found by silence; so nothing is held longer than it may be silent.
    const waitMs = Math.min(request.wait_ms, SYNC_WAIT_MS_MAX, this.config.heartbeatMs);
    const holder = await this.#elsewhere(nodeId, request, entry);
    if (holder !== null) return this.relay.ask(holder, { nodeId, request, waitMs });
    const wire = await this.#wireOf(nodeId, request, { entry, signal });
    return wire.take(request, { waitMs, signal });
  }

  /** The other manager that has this poll. Asked only when it is not here, or has ended here. */
  async #elsewhere(nodeId: string, request: SyncRequest, entry: Entry): Promise<string | null> {
    const { wire } = entry;
    const isHere = wire?.pollId === request.poll_id && wire.readyState === wire.OPEN;
    if (isHere || !this.relay.isPossible) return null;
    const holder = await this.links.identities.holderOf(nodeId);
    if (holder?.pollId !== request.poll_id) return null;
    return holder.managerId === this.links.elsewhere.managerId ? null : holder.managerId;
  }

  /** A request that came to another manager, where the node has proven who it is. It opens nothing here. */
  async #relayed({ nodeId, request, waitMs }: Relayed): Promise<SyncAnswer> {
    const { wire } = this.#entryOf(nodeId);
    if (wire?.pollId !== request.poll_id) {
      throw new FleetError('poll_unknown', `there is no poll ${request.poll_id} of this node`);
    }
    // Whether the node still waits, only the other manager knows; a newer request lets it go.
    const { signal } = new AbortController();
    return wire.take(request, { waitMs, signal });
  }

  /** What a node should do now. Changes nothing but what is known of a node that is connected. */
  async heartbeat(nodeId: string, health: Health): Promise<HeartbeatAnswer> {
    this.#entryOf(nodeId);
    const node = await this.#identify(nodeId);
    const isHere = this.links.online(nodeId);
    const connected = isHere || (await this.#isElsewhere(nodeId));
    if (isHere) this.links.presence.health(node, health);
    const open = await this.links.commands.open(node);
    return {
      server_time: new Date(this.clock.now()).toISOString(),
      next_ms: this.config.heartbeatMs,
      connected,
      directives: open.map((one) => Command.parse(one)),
    };
  }

  async #isElsewhere(nodeId: string): Promise<boolean> {
    if (!this.relay.isPossible) return false;
    const holder = await this.links.identities.holderOf(nodeId);
    return holder !== null && holder.managerId !== this.links.elsewhere.managerId;
  }

  #entryOf(nodeId: string): Entry {
    const nowMs = this.clock.now();
    let entry = this.#entries.get(nodeId);
    if (entry === undefined) {
      entry = {
        bucket: new TokenBucket(SYNC_BURST_MAX, SYNC_REFILL_PER_SECOND, nowMs),
        wire: null,
      };
      this.#entries.set(nodeId, entry);
      this.#forgetLater(nodeId, entry, null);
    }
    if (!entry.bucket.take(nowMs)) {
      throw new FleetError('rate_limited', 'this node asks too often', {
        context: { retry_after_seconds: RETRY_AFTER_SECONDS },
      });
    }
    return entry;
  }

  async #wireOf(
    nodeId: string,
    request: SyncRequest,
    { entry, signal }: { readonly entry: Entry; readonly signal: AbortSignal },
  ): Promise<PollWire> {
    const { poll_id, seq, messages } = request;
    if (entry.wire?.pollId === poll_id) return entry.wire;
    if (seq !== 1 || messages.length === 0) {
      throw new FleetError('poll_unknown', `there is no poll ${poll_id} of this node`);
    }
    if (this.links.draining) throw new FleetError('unavailable', 'the manager is stopping');
    const place = await this.front.enter(() => nodeId, signal);
    let node: NodeIdentity;
    try {
      this.links.requireUncontested(nodeId);
      node = await this.#identify(nodeId);
    } catch (error) {
      place.lost();
      throw error;
    }
    // A repetition of the same request may have come meanwhile.
    if (entry.wire?.pollId === poll_id) {
      place.lost();
      return entry.wire;
    }
    const wire = new PollWire(poll_id);
    entry.wire = wire;
    this.#entries.set(nodeId, entry);
    this.gateway.open({ socket: wire, node, transport: 'poll', pollId: poll_id, place });
    wire.once('close', () => {
      this.#forgetLater(nodeId, entry, wire);
    });
    return wire;
  }

  /** A bucket that has been left alone this long is full again: forgetting it forgives nothing. */
  #forgetLater(nodeId: string, entry: Entry, wire: PollWire | null): void {
    setTimeout(() => {
      if (entry.wire === wire && this.#entries.get(nodeId) === entry) this.#entries.delete(nodeId);
    }, ENDED_MS).unref();
  }

  async #identify(nodeId: string): Promise<NodeIdentity> {
    const node = await this.links.identities.find(nodeId);
    if (node === null || node.revoked) {
      throw new FleetError('jwt_invalid', 'the node is unknown or was revoked');
    }
    return node;
  }
}
