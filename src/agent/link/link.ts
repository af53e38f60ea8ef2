import { randomUUID, type KeyObject } from 'node:crypto';
import { WebSocket, type RawData } from 'ws';
import {
  CLOSE,
  EVENTS_PER_BATCH_MAX,
  HEARTBEAT_INTERVAL_MS,
  HEARTBEATS_MISSED_MAX,
  HELLO_TIMEOUT_MS,
  LINK_PATH,
  makeNodeToken,
  MANAGER_FRAME_BYTES_MAX,
  ManagerMessage,
  NODE_FRAME_BYTES_MAX,
  SUBPROTOCOL,
  type Goodbye,
  type Health,
  type Hello,
  type NodeEvent,
  type NodeMessage,
  type Welcome,
} from '../../protocol/node/index.js';
import type { Spool } from '../report/index.js';
import { Backoff } from './backoff.js';

/** Room for the envelope around a batch of events. */
const BATCH_BYTES_MAX = NODE_FRAME_BYTES_MAX - 1_024;

export type SpooledNodeEvent = Omit<NodeEvent, 'seq'>;

export interface LinkOptions {
  readonly manager: string;
  readonly nodeId: string;
  readonly key: KeyObject;
  readonly spool: Spool<SpooledNodeEvent>;
  readonly hello: () => Promise<Omit<Hello, 'type' | 'protocol' | 'last_session' | 'spool'>>;
  readonly health: () => Promise<Omit<Health, 'type' | 'spool_backlog'>>;
  /** Answers when the command is durable; what it sends back is the ack or reject. */
  readonly onCommand: (command: Welcome['commands'][number]) => Promise<NodeMessage>;
  readonly onPermit: (commandId: string, leaseMs: number) => void;
  readonly onPermitDenied: (commandId: string, retryMs: number) => void;
  readonly onState?: (state: LinkState) => void;
  readonly clock: { now(): number; monotonicMs(): number };
  readonly random: () => number;
  readonly log: (message: string, fields?: Record<string, unknown>) => void;
}
export type LinkState = 'connecting' | 'connected' | 'waiting';

/** One socket, from connect to close. */
interface Connection {
  readonly socket: WebSocket;
  readonly startedAtMs: number;
  heardAtMs: number;
  welcomedAtMs: number | null;
  heartbeatMs: number;
  /** The sequence that the batch in flight ends with; 0 when none is. */
  inFlight: number;
  /** The highest sequence that was sent and acknowledged here. */
  through: number;
}

/**
 * The node's side of the link. It connects, says hello, and repeats whatever the manager has not
 * acknowledged; when the socket breaks it comes back, for ever. Nothing that the manager does, or
 * fails to do, reaches the service from here: only commands do, and those the updater judges.
 */
export class Link {
  readonly #options: LinkOptions;
  readonly #backoff: Backoff;
  #connection: Connection | null = null;
  #timer: NodeJS.Timeout | null = null;
  #beat: NodeJS.Timeout | null = null;
  #lastSession: string | null = null;
  #stopped = false;
  #closed: () => void = () => undefined;

  constructor(options: LinkOptions) {
    this.#options = options;
    this.#backoff = new Backoff(options.random);
  }

  start(): void {
    this.#connect();
  }

  /** Says goodbye and closes; resolves when the socket is gone, within two seconds. */
  async stop(reason: Goodbye['reason']): Promise<void> {
    this.#stopped = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    const connection = this.#connection;
    if (connection === null) return;
    const gone = new Promise<void>((resolve) => {
      this.#closed = resolve;
    });
    this.#send({ type: 'goodbye', reason });
    connection.socket.close(1000);
    const timer = setTimeout(() => {
      connection.socket.terminate();
    }, 2_000);
    await gone;
    clearTimeout(timer);
  }

  /** New events are in the spool. */
  pump(): void {
    const connection = this.#connection;
    if (connection?.welcomedAtMs == null || connection.inFlight > 0) return;
    const { spool } = this.#options;
    const events: NodeEvent[] = [];
    let bytes = 0;
    for (const { seq, event } of spool.read(connection.through, EVENTS_PER_BATCH_MAX)) {
      const full = { seq, ...event };
      bytes += Buffer.byteLength(JSON.stringify(full)) + 1;
      if (events.length > 0 && bytes > BATCH_BYTES_MAX) break;
      events.push(full);
    }
    const last = events.at(-1);
    if (last === undefined) return;
    connection.inFlight = last.seq;
    this.#send({ type: 'events', spool_id: spool.id, events });
  }

  /** Asks for leave to swap. Lost without a connection: the updater asks again. */
  askPermit(commandId: string, service: string, version: string): void {
    this.#send({ type: 'permit_request', command_id: commandId, service, version });
  }

  #connect(): void {
    const { manager, nodeId, key, clock, log, onState } = this.#options;
    onState?.('connecting');
    const { origin } = new URL(manager);
    const token = makeNodeToken({ nodeId, origin, key, nowMs: clock.now(), jti: randomUUID() });
    const socket = new WebSocket(`${origin.replace(/^http/, 'ws')}${LINK_PATH}`, SUBPROTOCOL, {
      headers: { authorization: `Bearer ${token}` },
      handshakeTimeout: HELLO_TIMEOUT_MS,
      maxPayload: MANAGER_FRAME_BYTES_MAX,
      perMessageDeflate: false,
      followRedirects: false,
    });
    const now = clock.monotonicMs();
    const connection: Connection = {
      socket,
      startedAtMs: now,
      heardAtMs: now,
      welcomedAtMs: null,
      heartbeatMs: HEARTBEAT_INTERVAL_MS,
      inFlight: 0,
      through: 0,
    };
    this.#connection = connection;
    const heard = (): void => {
      connection.heardAtMs = clock.monotonicMs();
    };
    socket.on('ping', heard);
    socket.on('pong', heard);
    socket.on('open', () => void this.#greet(connection));
    socket.on('message', (data, isBinary) => {
      heard();
      if (!isBinary) this.#receive(connection, data);
    });
    socket.on('error', (error) => {
      log('link error', { error: error.message });
    });
    socket.on('close', (code) => {
      this.#lost(connection, code);
    });
  }

  async #greet(connection: Connection): Promise<void> {
    const { spool, hello, log } = this.#options;
    try {
      this.#send({
        type: 'hello',
        protocol: 1,
        ...(await hello()),
        last_session: this.#lastSession,
        spool: { id: spool.id, first_seq: spool.firstSeq, next_seq: spool.nextSeq },
      });
    } catch (error) {
      log('hello failed', { error: String(error) });
      connection.socket.terminate();
      return;
    }
    setTimeout(() => {
      if (connection.welcomedAtMs === null) connection.socket.terminate();
    }, HELLO_TIMEOUT_MS).unref();
  }

  #receive(connection: Connection, data: RawData): void {
    const { log } = this.#options;
    let json: unknown;
    try {
      json = JSON.parse((data as Buffer).toString('utf8'));
    } catch {
      log('a frame was not JSON and is ignored');
      return;
    }
    const parsed = ManagerMessage.safeParse(json);
    if (!parsed.success) {
      const type = String((json as { type?: unknown } | null)?.type).slice(0, 64);
      log('a message could not be used and is ignored', { type });
      return;
    }
    this.#handle(connection, parsed.data);
  }

  #handle(connection: Connection, message: ManagerMessage): void {
    const { onPermit, onPermitDenied, log } = this.#options;
    if (connection.welcomedAtMs === null && message.type !== 'welcome') return;
    switch (message.type) {
      case 'welcome':
        this.#welcomed(connection, message);
        return;
      case 'command':
        void this.#obey(message.command);
        return;
      case 'permit':
        onPermit(message.command_id, message.lease_ms);
        return;
      case 'permit_denied':
        onPermitDenied(message.command_id, message.retry_after_ms);
        return;
      case 'events_ack':
        if (message.spool_id === this.#options.spool.id)
          void this.#acked(connection, message.through);
        return;
      case 'reconnect':
        this.#backoff.slot(message.after_ms);
        connection.socket.close(1000);
        return;
      case 'error':
        log('the manager could not use a message', {
          error_code: message.error_code,
          message: message.message,
        });
    }
  }

  #welcomed(connection: Connection, welcome: Welcome): void {
    const { clock, random, spool, onState } = this.#options;
    if (connection.welcomedAtMs !== null) return;
    connection.welcomedAtMs = clock.monotonicMs();
    connection.heartbeatMs = welcome.heartbeat_interval_ms;
    connection.through = welcome.events_through;
    this.#lastSession = welcome.session_id;
    onState?.('connected');
    void spool.acknowledge(welcome.events_through);
    this.#scheduleBeat(connection, welcome.heartbeat_interval_ms * random());
    for (const command of welcome.commands) void this.#obey(command);
    this.pump();
  }

  async #obey(command: Welcome['commands'][number]): Promise<void> {
    try {
      this.#send(await this.#options.onCommand(command));
    } catch (error) {
      // Not answered, so the manager tells it again.
      this.#options.log('command failed', { command: command.command_id, error: String(error) });
    }
  }

  async #acked(connection: Connection, through: number): Promise<void> {
    connection.through = through;
    connection.inFlight = 0;
    await this.#options.spool.acknowledge(through);
    this.pump();
  }

  #scheduleBeat(connection: Connection, delayMs: number): void {
    this.#beat = setTimeout(() => {
      void this.#heartbeat(connection);
    }, delayMs);
  }

  async #heartbeat(connection: Connection): Promise<void> {
    const { clock, health, random, spool, log } = this.#options;
    if (this.#connection !== connection) return;
    const quietMs = clock.monotonicMs() - connection.heardAtMs;
    if (quietMs > connection.heartbeatMs * HEARTBEATS_MISSED_MAX) {
      log('nothing heard of the manager; connecting anew', { quiet_ms: Math.round(quietMs) });
      connection.socket.terminate();
      return;
    }
    const report = await health().catch(() => null);
    if (report !== null) this.#send({ type: 'health', ...report, spool_backlog: spool.backlog });
    connection.socket.ping();
    this.#scheduleBeat(connection, connection.heartbeatMs * (0.9 + 0.2 * random()));
  }

  #send(message: NodeMessage): void {
    const socket = this.#connection?.socket;
    if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
  }

  #lost(connection: Connection, code: number): void {
    if (this.#connection !== connection) return;
    const { clock, log, onState } = this.#options;
    this.#connection = null;
    if (this.#beat !== null) clearTimeout(this.#beat);
    this.#closed();
    if (this.#stopped) return;
    if (connection.welcomedAtMs !== null) {
      this.#backoff.sessionLasted(clock.monotonicMs() - connection.welcomedAtMs);
    }
    const waitMs = this.#backoff.next(code === CLOSE.revoked);
    onState?.('waiting');
    log('link closed', { code, next_try_ms: Math.round(waitMs) });
    this.#timer = setTimeout(() => {
      this.#connect();
    }, waitMs);
  }
}
