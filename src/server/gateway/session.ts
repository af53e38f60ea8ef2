import type { Logger } from 'pino';
import type { ErrorCode } from '../../protocol/index.js';
import {
  CLOSE,
  HEARTBEATS_MISSED_MAX,
  HELLO_TIMEOUT_MS,
  MESSAGE_BURST_MAX,
  MESSAGE_REFILL_PER_SECOND,
  PROTOCOL_VERSION,
  type CloseReason,
  type Events,
  type Hello,
  type ManagerMessage,
  type NodeMessage,
  type PermitRequest,
} from '../../protocol/node/index.js';
import { meters, OTHER, traced } from '../platform/telemetry/index.js';
import { readFrame } from './frames.js';
import type { Place } from './front-door.js';
import type { Links, OpenLink } from './links.js';
import type { NodeIdentity } from './ports.js';
import { TokenBucket } from './token-bucket.js';
import type { LinkClock, Transport, Wire } from './wire.js';

/** A reader that lets this much pile up is cut off; its commands wait in the database. */
const BUFFERED_BYTES_MAX = 1024 * 1024;

/** Pushed before `welcome`: more commands than a welcome tells, and what waits is found again at the next. */
const EARLY_MAX = 256;

/**
 * Messages of one node that are being handled, which for most means waiting for a commit. At so many its socket is
 * read no further until half of them are done: what the database does not take stays with the node, and its kernel.
 */
const UNSETTLED_MAX = 16;

/** How long a peer may take to answer a close. */
const CLOSE_TIMEOUT_MS = 1_000;

/** What the links of one gateway have in common. */
export interface LinkHouse {
  readonly links: Links;
  readonly heartbeatIntervalMs: number;
  readonly log: Logger;
  readonly clock: LinkClock;
  /** Told when a socket has closed, whether its node ever said hello or not. */
  readonly onClosed?: (session: Session) => void;
}

/** What is said of one link when it opens. */
export interface Opening {
  readonly socket: Wire;
  readonly node: NodeIdentity;
  /** `socket` when not given. */
  readonly transport?: Transport;
  /** What the node calls its poll; left out for a socket. */
  readonly pollId?: string;
  /** What it holds of the front door until it is welcome. */
  readonly place?: Place | null;
}

/**
 * One socket and everything about it. Messages are read in order; the first must be `hello`, and
 * nothing else is taken before `welcome` was sent. All timing is by `check`, which the gateway
 * calls for every session from one timer, on the monotonic clock: one that is set must end no link. There are tens of thousands,
 * for weeks: what all have in common they share, and what is over they let go of.
 */
export class Session implements OpenLink {
  readonly id: string;
  readonly node: NodeIdentity;
  readonly transport: Transport;
  readonly #house: LinkHouse;
  readonly #socket: Wire;
  readonly #pollId: string | null;
  /** Until it is welcome. */
  #place: Place | null;
  readonly #bucket: TokenBucket;
  readonly #openedAtMs: number;
  #state: 'new' | 'greeting' | 'open' | 'closed' = 'new';
  #heardAtMs: number;
  #heartbeatMs: number;
  #unsettled = 0;
  #isHeldBack = false;
  #pingedAtMs: number;
  #leaveReason = 'connection_lost';
  /** What was pushed before `welcome`: it must not overtake it. */
  readonly #early: ManagerMessage[] = [];
  #greeting: Promise<void> = Promise.resolve();
  #isRecorded = false;
  /** Made for the first who asks, or at the end. */
  #end: PromiseWithResolvers<null> | null = null;

  constructor(id: string, house: LinkHouse, { socket, node, ...opening }: Opening) {
    this.id = id;
    this.node = node;
    this.#house = house;
    this.#socket = socket;
    this.transport = opening.transport ?? 'socket';
    this.#pollId = opening.pollId ?? null;
    this.#place = opening.place ?? null;
    this.#openedAtMs = house.clock.monotonicMs();
    this.#heardAtMs = this.#openedAtMs;
    this.#heartbeatMs = house.heartbeatIntervalMs;
    this.#pingedAtMs = this.#openedAtMs;
    this.#bucket = new TokenBucket(MESSAGE_BURST_MAX, MESSAGE_REFILL_PER_SECOND, this.#openedAtMs);
    this.#listen(socket);
  }

  #listen(socket: Wire): void {
    socket.on('message', (data, isBinary) => {
      this.#receive(data, isBinary);
    });
    socket.on('pong', () => {
      this.#heardAtMs = this.#house.clock.monotonicMs();
    });
    // ws reports an oversized frame as an error and closes with 1009 by itself.
    socket.on('error', (error) => {
      const isTooLarge = (error as { code?: string }).code === 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH';
      if (isTooLarge) {
        this.#leaveReason = 'frame_too_large';
        this.#house.links.tally('frame_too_large');
      }
      this.#house.log.warn({ nodeId: this.node.nodeId, err: error.message }, 'link error');
    });
    socket.on('close', () => {
      this.#closed();
    });
  }

  /** Resolves when the socket has closed and, for the newest of a node, that is recorded. */
  get ended(): Promise<null> {
    this.#end ??= Promise.withResolvers<null>();
    return this.#end.promise;
  }

  get isRecorded(): boolean {
    return this.#isRecorded;
  }

  get hasGreeted(): boolean {
    return this.#state !== 'new';
  }

  /** Sends now, or right after `welcome`. False when the link is closing or reads too slowly. */
  push(message: ManagerMessage): boolean {
    if (this.#state === 'open') return this.#send(message);
    if (this.#state === 'closed') return false;
    if (this.#early.length >= EARLY_MAX) return false;
    this.#early.push(message);
    return true;
  }

  #send(message: ManagerMessage): boolean {
    const socket = this.#socket;
    if (this.#state === 'closed' || socket.readyState !== socket.OPEN) return false;
    if (socket.bufferedAmount > BUFFERED_BYTES_MAX) {
      this.cutOff();
      return false;
    }
    socket.send(JSON.stringify(message));
    meters.count('bellwether_link_messages_sent_total', message.type);
    return true;
  }

  get unreadBytes(): number {
    return this.#socket.bufferedAmount;
  }

  cutOff(): void {
    this.#house.links.tally('slow_reader');
    this.#leaveReason = 'slow_reader';
    this.#socket.terminate();
  }

  /** A newer link of the node was opened before this one said hello. Its own close is not waited for. */
  giveWay(): void {
    if (this.#state !== 'new') return;
    this.close('superseded');
    this.#socket.terminate();
  }

  /** Idempotent. The node is told why; a peer that does not answer is soon cut off. */
  close(reason: CloseReason): void {
    if (this.#state === 'closed') return;
    const socket = this.#socket;
    this.#house.links.tally(reason);
    this.#leaveReason = reason;
    if (reason === 'heartbeat_lost') {
      socket.terminate();
      return;
    }
    socket.close(CLOSE[reason], reason);
    setTimeout(() => {
      socket.terminate();
    }, CLOSE_TIMEOUT_MS).unref();
  }

  /** Hello in time, heard of within three heartbeats; a quiet peer is pinged first. */
  check(monotonicMs: number): void {
    const socket = this.#socket;
    // Its silence is our doing.
    if (this.#isHeldBack) this.#heardAtMs = monotonicMs;
    if (this.#state === 'new' && monotonicMs - this.#openedAtMs > HELLO_TIMEOUT_MS) {
      this.close('hello_timeout');
      return;
    }
    const quietMs = monotonicMs - this.#heardAtMs;
    if (quietMs > this.#heartbeatMs * HEARTBEATS_MISSED_MAX) {
      this.close('heartbeat_lost');
    } else if (quietMs > this.#heartbeatMs && monotonicMs - this.#pingedAtMs > this.#heartbeatMs) {
      this.#pingedAtMs = monotonicMs;
      socket.ping();
    }
  }

  #receive(data: Buffer, isBinary: boolean): void {
    if (this.#state === 'closed') return;
    this.#heardAtMs = this.#house.clock.monotonicMs();
    if (!this.#bucket.take(this.#heardAtMs)) {
      this.close('message_rate_exceeded');
      return;
    }
    if (isBinary) {
      this.close('frame_binary');
      return;
    }
    const message = this.#parse(data);
    meters.count('bellwether_link_messages_received_total', message?.type ?? OTHER);
    if (message === null) return;
    if (message.type === 'hello' ? this.#state !== 'new' : this.#state !== 'open') {
      this.close('message_out_of_order');
      return;
    }
    this.#began();
    this.#dispatch(message)
      .catch((error: unknown) => {
        this.#house.log.error(
          { nodeId: this.node.nodeId, type: message.type, err: error },
          'message could not be handled; the node will repeat it',
        );
        this.close('internal_error');
      })
      .finally(() => {
        this.#settled();
      });
  }

  #began(): void {
    this.#unsettled += 1;
    if (this.#isHeldBack || this.#unsettled < UNSETTLED_MAX) return;
    this.#isHeldBack = true;
    this.#house.links.tally('held_back');
    this.#socket.pause?.();
  }

  #settled(): void {
    this.#unsettled -= 1;
    if (!this.#isHeldBack || this.#unsettled > UNSETTLED_MAX / 2) return;
    this.#isHeldBack = false;
    this.#heardAtMs = this.#house.clock.monotonicMs();
    this.#socket.resume?.();
  }

  /** Null when the frame was unusable; then it has been answered or the link is being closed. */
  #parse(data: Buffer): NodeMessage | null {
    const frame = readFrame(data);
    if (frame.problem === null) return frame.message;
    if (frame.told !== null) this.#refuse(frame.problem, frame.told);
    // A node of a newer version may say more than this manager knows.
    if (frame.problem === 'message_unknown') this.#house.links.tally('message_unknown');
    else this.close(frame.problem);
    return null;
  }

  #refuse(errorCode: ErrorCode, message: string): void {
    this.#send({ type: 'error', error_code: errorCode, message: message.slice(0, 500) });
  }

  async #dispatch(message: NodeMessage): Promise<void> {
    const { links } = this.#house;
    switch (message.type) {
      case 'hello':
        this.#greeting = this.#greet(message);
        return this.#greeting;
      case 'health':
        links.presence.health(this.node, message);
        return;
      case 'ack':
        return this.#traced(message, [message.command_id], () =>
          links.commands.acked(this.node, message),
        );
      case 'reject':
        return this.#traced(message, [message.command_id], () =>
          links.commands.rejected(this.node, message),
        );
      case 'events':
        return this.#traced(message, commandsIn(message), () => this.#ingest(message));
      case 'permit_request':
        return this.#traced(message, [message.command_id], () => this.#permit(message));
      case 'goodbye':
        this.#leaveReason = `goodbye_${message.reason}`;
        return;
    }
  }

  /** What a node says of a command, linked to what sent it; of no command there is nothing to trace. */
  #traced(
    { type }: NodeMessage,
    commandIds: readonly string[],
    work: () => Promise<void>,
  ): Promise<void> {
    if (commandIds.length === 0) return work();
    const attributes = { 'bellwether.node_id': this.node.nodeId };
    return traced(`node.${type}`, { attributes, commandIds, isRoot: true }, work);
  }

  /**
   * Admitted first, so that from here on pushes and the reading of open commands overlap: a command
   * made meanwhile is read, or pushed, or both. A double does no harm, a gap would.
   */
  async #greet(hello: Hello): Promise<void> {
    const { links, clock } = this.#house;
    this.#place?.resume();
    if (hello.protocol !== PROTOCOL_VERSION) {
      this.close('protocol_unsupported');
      return;
    }
    this.#state = 'greeting';
    const before = links.admit(this);
    const eventsThrough = await links.events.resume(this.node, hello.spool);
    await links.presence.arrived(this.node, this.id, hello, {
      transport: this.transport,
      before: before?.link.transport ?? null,
      takeovers: before?.times ?? 0,
      pollId: this.#pollId,
    });
    this.#isRecorded = true;
    await links.commands.reported(this.node, hello);
    const [checkpoint, commands] = await Promise.all([
      links.checkpoints?.newest() ?? null,
      links.commands.open(this.node),
    ]);
    if (this.#socket.readyState !== this.#socket.OPEN) return;
    this.#state = 'open';
    this.#place?.arrived();
    this.#place = null;
    this.#heartbeatMs *= links.degraded.heartbeatTimes;
    meters.count('bellwether_links_opened_total', this.transport);
    this.#send({
      type: 'welcome',
      session_id: this.id,
      server_time: new Date(clock.now()).toISOString(),
      heartbeat_interval_ms: this.#heartbeatMs,
      events_through: eventsThrough,
      commands: [...commands],
      ...(checkpoint === null ? {} : { audit_checkpoint: checkpoint }),
    });
    for (const message of this.#early.splice(0)) this.#send(message);
  }

  async #ingest(batch: Events): Promise<void> {
    const { through, error } = await this.#house.links.events.ingest(this.node, batch);
    if (error !== null) this.#refuse(error, `events must go on after sequence ${through}`);
    this.#send({ type: 'events_ack', spool_id: batch.spool_id, through });
  }

  async #permit(request: PermitRequest): Promise<void> {
    meters.count('bellwether_permit_requests_total');
    const answer = await this.#house.links.commands.permit(this.node, request);
    const { command_id, ask } = request;
    if (answer.granted) meters.count('bellwether_permits_granted_total');
    else meters.count('bellwether_permits_denied_total', answer.reason);
    this.#send(
      answer.granted
        ? { type: 'permit', command_id, ask, lease_ms: answer.leaseMs }
        : {
            type: 'permit_denied',
            command_id,
            ask,
            reason: answer.reason,
            retry_after_ms: answer.retryAfterMs,
          },
    );
  }

  #over(): void {
    this.#end ??= Promise.withResolvers<null>();
    this.#end.resolve(null);
  }

  #closed(): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.#place?.lost();
    this.#place = null;
    this.#house.onClosed?.(this);
    meters.count('bellwether_links_closed_total', this.#leaveReason);
    const { links, log } = this.#house;
    if (!links.dismiss(this)) {
      this.#over();
      return;
    }
    // Its arrival may still be on the way to the database; leaving comes after it.
    this.#greeting
      .catch(() => undefined)
      .then(() => links.presence.left(this.node, this.id, this.#leaveReason))
      .catch((error: unknown) => {
        log.error({ nodeId: this.node.nodeId, err: error }, 'could not record that a node left');
      })
      .finally(() => {
        this.#over();
      });
  }
}

const commandsIn = ({ events }: Events): string[] => [
  ...new Set(events.flatMap(({ command_id }) => command_id ?? [])),
];
