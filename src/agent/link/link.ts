import { randomUUID, type KeyObject } from 'node:crypto';
import {
  CLOSE,
  LINK_PATH,
  makeNodeToken,
  PROTOCOL_VERSION,
  type Goodbye,
  type Health,
  type Hello,
  type IndexNews,
  type NodeMessage,
  type Permit,
  type PermitDenied,
  type PermitRequest,
} from '../../protocol/node/index.js';
import type { Spool } from '../report/index.js';
import { Backoff } from './backoff.js';
import {
  Connection,
  type Clock,
  type Ending,
  type IncomingCommand,
  type Log,
} from './connection.js';

export type LinkState = 'connecting' | 'connected' | 'waiting' | 'stopped';

export interface LinkOptions {
  /** Where the manager is; its origin is the audience of every token. */
  readonly manager: string;
  readonly nodeId: string;
  readonly key: KeyObject;
  readonly spool: Spool;
  readonly hello: () => Promise<Omit<Hello, 'type' | 'protocol' | 'last_session' | 'spool'>>;
  readonly health: () => Promise<Omit<Health, 'type' | 'spool_backlog'>>;
  /** Answers when the command is durable; what it gives back is the `ack` or `reject`. */
  readonly onCommand: (command: IncomingCommand) => Promise<NodeMessage>;
  readonly onPermit: (permit: Permit) => void;
  readonly onPermitDenied: (denied: PermitDenied) => void;
  readonly onIndexNews?: (news: IndexNews) => void;
  /** The spool was begun anew because it was set back; the place to tell it. */
  readonly onSetBack?: () => Promise<void>;
  readonly onState?: (state: LinkState) => void;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Log;
  /** For specs: the base of the back-off, and how long answers may take. */
  readonly timing?: { readonly reconnectBaseMs?: number; readonly answerTimeoutMs?: number };
}

/**
 * The node's side of the link. It connects, says hello, and repeats whatever the manager has not
 * acknowledged; when the socket breaks it comes back, for ever. Nothing that the manager does, or
 * fails to do, reaches a service from here: only commands do, and those the updater judges.
 */
export class Link {
  readonly #options: LinkOptions;
  readonly #backoff: Backoff;
  #connection: Connection | null = null;
  #timer: NodeJS.Timeout | null = null;
  #lastSession: string | null = null;
  #isStopped = false;

  constructor(options: LinkOptions) {
    this.#options = options;
    this.#backoff = new Backoff({
      random: options.random,
      ...(options.timing?.reconnectBaseMs === undefined
        ? {}
        : { baseMs: options.timing.reconnectBaseMs }),
    });
  }

  start(): void {
    this.#connect();
  }

  /** Says goodbye and closes; resolves when the socket is gone, within two seconds. Idempotent. */
  async stop(reason: Goodbye['reason']): Promise<void> {
    this.#isStopped = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#connection?.close(reason);
    await this.#connection?.ended;
    this.#options.onState?.('stopped');
  }

  /** New events are in the spool. */
  pump(): void {
    this.#connection?.pump();
  }

  /** Asks for leave to swap. False without a connection: then the updater must ask again. */
  askPermit(wanted: Omit<PermitRequest, 'type'>): boolean {
    return this.#connection?.send({ type: 'permit_request', ...wanted }) ?? false;
  }

  #connect(): void {
    const { log, onState } = this.#options;
    if (this.#isStopped) return;
    onState?.('connecting');
    try {
      this.#connection = this.#open();
    } catch (error) {
      log('the link cannot be opened', { error: String(error) });
      this.#waitAndConnect(this.#backoff.next());
      return;
    }
    void this.#connection.ended.then((ending) => {
      this.#lost(ending);
    });
  }

  #open(): Connection {
    const { manager, nodeId, key, spool, hello, health, clock, timing, onState } = this.#options;
    const { origin } = new URL(manager);
    const { onCommand, onPermit, onPermitDenied, random, log } = this.#options;
    return new Connection({
      url: `${origin.replace(/^http/, 'ws')}${LINK_PATH}`,
      // A fresh one for every try: the manager takes each once.
      token: makeNodeToken({ nodeId, origin, key, nowMs: clock.now(), jti: randomUUID() }),
      spool,
      hello: async () => ({
        type: 'hello',
        protocol: PROTOCOL_VERSION,
        ...(await hello()),
        last_session: this.#lastSession,
        spool: { id: spool.id, first_seq: spool.firstSeq, next_seq: spool.nextSeq },
      }),
      health: async () => ({ type: 'health', ...(await health()), spool_backlog: spool.backlog }),
      onCommand,
      onPermit,
      onPermitDenied,
      onIndexNews: (news) => this.#options.onIndexNews?.(news),
      onWelcome: (welcome) => {
        this.#lastSession = welcome.session_id;
        this.#backoff.welcomed();
        onState?.('connected');
      },
      onSetBack: () => this.#options.onSetBack?.() ?? Promise.resolve(),
      onSlot: (afterMs) => {
        this.#backoff.slot(afterMs);
      },
      clock,
      random,
      log,
      ...(timing?.answerTimeoutMs === undefined ? {} : { answerTimeoutMs: timing.answerTimeoutMs }),
    });
  }

  #lost({ code, welcomedForMs, refusal, isForGap }: Ending): void {
    this.#connection = null;
    if (this.#isStopped) return;
    if (welcomedForMs !== null) this.#backoff.sessionLasted(welcomedForMs);
    if (code === CLOSE.revoked) this.#backoff.revoked();
    if (refusal !== null) this.#backoff.atLeast(refusal.retryAfterMs);
    this.#waitAndConnect(isForGap ? this.#backoff.soon() : this.#backoff.next(), code);
  }

  #waitAndConnect(waitMs: number, code?: number): void {
    const { log, onState } = this.#options;
    onState?.('waiting');
    log('the link is closed', { code: code ?? null, next_try_ms: Math.round(waitMs) });
    this.#timer = setTimeout(() => {
      this.#connect();
    }, waitMs);
  }
}
