import type { IncomingMessage } from 'node:http';
import { z } from 'zod';
import {
  ACK_TIMEOUT_MS,
  HEARTBEATS_MISSED_MAX,
  HELLO_TIMEOUT_MS,
  ManagerMessage,
  type Goodbye,
  type Health,
  type Hello,
  type NodeMessage,
  type Permit,
  type IndexNews,
  type PermitDenied,
  type Welcome,
} from '../../protocol/node/index.js';
import type { Spool } from '../report/index.js';
import { isErrorCode } from '../../protocol/index.js';
import { OPEN, type Carrier } from './carrier.js';
import { EventPump } from './event-pump.js';

/** What is told about a refused upgrade is a problem document; more than this is not read. */
const REFUSAL_BYTES_MAX = 16 * 1024;
/** A manager that sends more commands than this at once is not answered for the rest. */
const COMMANDS_AT_ONCE_MAX = 256;
/** A peer that reads this slowly gets no more health reports until it has caught up. */
const BUFFERED_BYTES_MAX = 1024 * 1024;
/** Whoever asks on and does not read the answers is cut off: all of them at once are below half of it. */
const UNREAD_BYTES_MAX = 2 * BUFFERED_BYTES_MAX;
/** How long a peer may take to answer a close. */
const CLOSE_TIMEOUT_MS = 2_000;

export type Clock = { now(): number; monotonicMs(): number };
export type Log = (message: string, fields?: Readonly<Record<string, unknown>>) => void;
export type IncomingCommand = Welcome['commands'][number];

export interface ConnectionOptions {
  /** Opened when the connection is made. */
  readonly carrier: Carrier;
  readonly spool: Spool;
  readonly hello: () => Promise<Hello>;
  readonly health: () => Promise<Health>;
  readonly onCommand: (command: IncomingCommand) => Promise<NodeMessage>;
  readonly onPermit: (permit: Permit) => void;
  readonly onPermitDenied: (denied: PermitDenied) => void;
  readonly onIndexNews: (news: IndexNews) => void;
  readonly onWelcome: (welcome: Welcome) => void;
  readonly onSetBack: () => Promise<void>;
  /** The manager asked to come back at this time. */
  readonly onSlot: (afterMs: number) => void;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Log;
  /** `HELLO_TIMEOUT_MS` when not given: for connecting, and then for `welcome`. */
  readonly answerTimeoutMs?: number;
}

/** How a connection ended. */
export interface Ending {
  /** Close code of the WebSocket; 1006 when there was none. */
  readonly code: number;
  /** How long it was welcome; null when it never was. */
  readonly welcomedForMs: number | null;
  /** Set when the upgrade was refused by HTTP. */
  readonly refusal: {
    readonly status: number;
    readonly retryAfterMs: number;
    /** The manager itself said no; otherwise somebody in between did. */
    readonly isByManager: boolean;
    /** It has too many nodes at the door at once, and `retryAfterMs` is the slot of this one. */
    readonly isSlot: boolean;
  } | null;
  /** It was closed to tell the manager a new `first_seq`. */
  readonly isForGap: boolean;
}

const Envelope = z.looseObject({ type: z.string() });
const Problem = z.looseObject({ code: z.string().max(64), detail: z.string().max(500) });

/**
 * One socket from connect to close. Whatever comes in is checked, and what cannot be used is
 * logged and ignored: a bad message of the manager never ends more than this connection.
 */
export class Connection {
  readonly #options: ConnectionOptions;
  readonly #socket: Carrier;
  readonly #pump: EventPump;
  readonly #ended = Promise.withResolvers<Ending>();
  #helloFirstSeq = 0;
  #welcomedAtMs: number | null = null;
  #heardAtMs: number;
  #heartbeatMs = 0;
  #commandsAtOnce = 0;
  #refusal: Ending['refusal'] = null;
  #isForGap = false;
  #answerTimer: NodeJS.Timeout | null = null;
  #beatTimer: NodeJS.Timeout | null = null;
  #lifeTimer: NodeJS.Timeout | null = null;

  constructor(options: ConnectionOptions) {
    this.#options = options;
    this.#heardAtMs = options.clock.monotonicMs();
    this.#socket = options.carrier;
    this.#pump = new EventPump({
      spool: options.spool,
      send: (batch) => this.#transmit(batch),
      onGap: () => {
        this.#gap();
      },
      clock: options.clock,
      log: options.log,
    });
    this.#listen();
  }

  /** Resolves when the socket is gone; never rejects. */
  get ended(): Promise<Ending> {
    return this.#ended.promise;
  }

  /** False when it cannot be sent now: not welcome yet, or not any more. */
  send(message: NodeMessage): boolean {
    return this.#welcomedAtMs !== null && this.#transmit(message);
  }

  /** New events are in the spool. */
  pump(): void {
    this.#pump.pump();
  }

  /** Idempotent. Says goodbye when somebody listens; a peer that does not answer is cut off. */
  close(reason: Goodbye['reason'] | null): void {
    if (reason !== null) this.send({ type: 'goodbye', reason });
    this.#socket.close(1000);
    setTimeout(() => {
      this.#socket.terminate();
    }, CLOSE_TIMEOUT_MS).unref();
  }

  #listen(): void {
    const socket = this.#socket;
    const { log } = this.#options;
    const heard = (): void => {
      this.#heardAtMs = this.#options.clock.monotonicMs();
    };
    socket.on('open', () => {
      heard();
      void this.#greet();
    });
    socket.on('ping', () => {
      heard();
      // The socket itself has answered.
      this.#isUnread();
    });
    socket.on('pong', heard);
    socket.on('message', (data, isBinary) => {
      heard();
      if (isBinary) log('a binary frame is ignored', { error_code: 'frame_binary' });
      else this.#receive(data);
    });
    socket.on('unexpected-response', (_request, response) => {
      void this.#refused(response);
    });
    socket.on('error', (error) => {
      // The refusal said it better.
      if (this.#refusal === null) {
        const { code } = error as { code?: string };
        log('link error', { error: error.message, ...(code === undefined ? {} : { code }) });
      }
    });
    socket.on('close', (code) => {
      this.#closed(code);
    });
  }

  async #refused(response: IncomingMessage): Promise<void> {
    const status = response.statusCode ?? 0;
    const retryAfterMs = Number(response.headers['retry-after'] ?? 0) * 1000 || 0;
    this.#refusal = { status, retryAfterMs, isByManager: false, isSlot: false };
    const chunks: Buffer[] = [];
    let length = 0;
    try {
      for await (const chunk of response as AsyncIterable<Buffer>) {
        length += chunk.length;
        if (length > REFUSAL_BYTES_MAX) break;
        chunks.push(chunk);
      }
    } catch {
      // What came is all there is to tell.
    }
    const problem = Problem.safeParse(parseJson(Buffer.concat(chunks)));
    const isByManager = isErrorCode(problem.data?.code ?? '');
    const isSlot = problem.data?.code === 'manager_busy' && retryAfterMs > 0;
    this.#refusal = { status, retryAfterMs, isByManager, isSlot };
    const { code: error_code, detail } = problem.data ?? { code: 'unavailable', detail: '' };
    this.#options.log('the manager refused the link', { status, error_code, detail });
    this.#socket.terminate();
  }

  async #greet(): Promise<void> {
    const { hello, log, answerTimeoutMs = HELLO_TIMEOUT_MS } = this.#options;
    this.#answerTimer = setTimeout(() => {
      log('no welcome came in time', { error_code: 'hello_timeout' });
      this.#socket.terminate();
    }, answerTimeoutMs);
    try {
      const message = await hello();
      this.#helloFirstSeq = message.spool.first_seq;
      this.#transmit(message);
    } catch (error) {
      log('hello could not be made', { error: String(error) });
      this.#socket.terminate();
    }
  }

  #receive(data: Buffer): void {
    const { log } = this.#options;
    const json = parseJson(data);
    const parsed = ManagerMessage.safeParse(json);
    if (parsed.success) {
      this.#handle(parsed.data);
      return;
    }
    const envelope = Envelope.safeParse(json);
    const issue = parsed.error.issues[0];
    log('a message that cannot be used is ignored', {
      type: envelope.success ? envelope.data.type.slice(0, 64) : null,
      problem: `${issue?.path.join('.') ?? ''}: ${issue?.message ?? ''}`.slice(0, 200),
    });
  }

  #handle(message: ManagerMessage): void {
    const { onPermit, onPermitDenied, onIndexNews, onSlot, spool, log } = this.#options;
    const isEarly = this.#welcomedAtMs === null;
    if (isEarly && !['welcome', 'reconnect', 'error'].includes(message.type)) {
      log('a message before welcome is ignored', { type: message.type });
      return;
    }
    switch (message.type) {
      case 'welcome':
        if (isEarly) this.#welcomed(message);
        return;
      case 'command':
        void this.#obey(message.command);
        return;
      case 'permit':
        onPermit(message);
        return;
      case 'permit_denied':
        onPermitDenied(message);
        return;
      case 'index_news':
        onIndexNews(message);
        return;
      case 'events_ack':
        if (message.spool_id === spool.id) this.#acked(message.through);
        return;
      case 'reconnect':
        onSlot(message.after_ms);
        this.close('restart');
        return;
      case 'error':
        log('the manager could not use a message', {
          error_code: message.error_code,
          detail: message.message,
        });
    }
  }

  #acked(through: number): void {
    this.#pump.acked(through).catch((error: unknown) => {
      this.#options.log('the spool cannot be tidied', { error: String(error) });
      this.#pump.pump();
    });
  }

  #welcomed(welcome: Welcome): void {
    const { clock, random, spool, onWelcome, log } = this.#options;
    if (this.#answerTimer !== null) clearTimeout(this.#answerTimer);
    this.#welcomedAtMs = clock.monotonicMs();
    this.#heartbeatMs = welcome.heartbeat_interval_ms;
    onWelcome(welcome);
    // The first one anywhere in the interval: nodes that came together do not beat together.
    this.#beatTimer = setTimeout(() => void this.#beat(), this.#heartbeatMs * random());
    this.#lifeTimer = setInterval(() => {
      this.#checkLife();
    }, this.#heartbeatMs / 2);
    for (const command of welcome.commands) void this.#obey(command);
    if (welcome.events_through >= spool.nextSeq) {
      // The manager holds numbers that this spool never gave: it was set back. Under its old id,
      // new events would pass for ones that are stored.
      log('the spool was set back; it is begun anew', { error_code: 'events_lost' });
      void spool
        .renew()
        .then(() => this.#options.onSetBack())
        .catch((error: unknown) => {
          log('the spool cannot be begun anew', { error: String(error) });
        })
        .finally(() => {
          this.close(null);
        });
      return;
    }
    this.#pump.start(welcome.events_through).catch((error: unknown) => {
      log('the spool cannot be tidied', { error: String(error) });
      this.close(null);
    });
  }

  #gap(): void {
    const { spool, log } = this.#options;
    // Said already in this session: saying it again would change nothing.
    if (spool.firstSeq <= this.#helloFirstSeq) {
      log('the manager does not take the gap in the events', { first_seq: spool.firstSeq });
      return;
    }
    this.#isForGap = true;
    this.close('restart');
  }

  async #obey(command: IncomingCommand): Promise<void> {
    const { log, onCommand } = this.#options;
    const { command_id } = command;
    if (this.#commandsAtOnce >= COMMANDS_AT_ONCE_MAX) {
      log('too many commands at once; one is ignored', { command_id });
      return;
    }
    this.#commandsAtOnce += 1;
    const late = setTimeout(() => {
      log('a command is not answered in time', { command_id });
    }, ACK_TIMEOUT_MS);
    late.unref();
    try {
      this.send(await onCommand(command));
    } catch (error) {
      // Not answered: it stays open, and the manager tells it again at the next hello.
      log('a command failed', { command_id, error: String(error) });
    } finally {
      clearTimeout(late);
      this.#commandsAtOnce -= 1;
    }
  }

  /** Besides the reports that go by the clock. Nothing while nobody is welcome: `hello` tells the same. */
  async tellHealth(): Promise<void> {
    const { health, log } = this.#options;
    try {
      const report = await health();
      if (this.#socket.bufferedAmount < BUFFERED_BYTES_MAX) this.send(report);
    } catch (error) {
      log('health could not be told', { error: String(error) });
    }
  }

  async #beat(): Promise<void> {
    const { random } = this.#options;
    await this.tellHealth();
    if (this.#socket.readyState !== OPEN) return;
    const delayMs = this.#heartbeatMs * (0.9 + 0.2 * random());
    this.#beatTimer = setTimeout(() => void this.#beat(), delayMs);
  }

  /** Health is not answered, so a quiet manager is pinged before it is taken for gone. */
  #checkLife(): void {
    const quietMs = this.#options.clock.monotonicMs() - this.#heardAtMs;
    if (quietMs > this.#heartbeatMs * HEARTBEATS_MISSED_MAX) {
      this.#options.log('nothing was heard of the manager for three heartbeats', {
        error_code: 'heartbeat_lost',
      });
      this.#socket.terminate();
    } else if (quietMs > this.#heartbeatMs / 2 && this.#socket.readyState === OPEN) {
      this.#socket.ping();
    }
  }

  #transmit(message: NodeMessage): boolean {
    if (this.#socket.readyState !== OPEN || this.#isUnread()) return false;
    this.#socket.send(JSON.stringify(message));
    return true;
  }

  /** Ends the connection of a peer that lets answers pile up here. */
  #isUnread(): boolean {
    if (this.#socket.bufferedAmount <= UNREAD_BYTES_MAX) return false;
    this.#options.log('the manager does not read what it asks for', { error_code: 'unavailable' });
    this.#socket.terminate();
    return true;
  }

  #closed(code: number): void {
    for (const timer of [this.#answerTimer, this.#beatTimer, this.#lifeTimer]) {
      if (timer !== null) clearTimeout(timer);
    }
    this.#pump.stop();
    const at = this.#welcomedAtMs;
    this.#ended.resolve({
      code,
      welcomedForMs: at === null ? null : this.#options.clock.monotonicMs() - at,
      refusal: this.#refusal,
      isForGap: this.#isForGap,
    });
  }
}

function parseJson(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8')) as unknown;
  } catch {
    return undefined;
  }
}
