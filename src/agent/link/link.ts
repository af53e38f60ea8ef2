import { randomUUID, type KeyObject } from 'node:crypto';
import {
  CLOSE,
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
import type { Transport } from './carrier.js';
import {
  Connection,
  type Clock,
  type Ending,
  type IncomingCommand,
  type Log,
} from './connection.js';
import { openCarrier } from './open-carrier.js';
import type { Reach } from './reach.js';
import { Ways, type Way } from './ways.js';

export type LinkState = 'connecting' | 'connected' | 'waiting' | 'stopped';

/** What goes with a state: the way that is used, or tried next, and when that is. */
export interface LinkNews {
  readonly way: Way;
  /** With `waiting` only. */
  readonly nextTryMs: number | null;
}

/** A close without a close frame: somebody in between, or the machine of the manager, cut it. */
const CUT_OFF = 1006;

export interface LinkOptions {
  /** Where the manager is; its origin is the audience of every token. */
  readonly manager: string;
  /** Where it is reached, in order; `manager` alone when not given. */
  readonly managerUrls?: readonly string[] | undefined;
  /** By socket where that works and else by polls, when not given. */
  readonly transport?: Transport | 'auto' | undefined;
  readonly reach?: Reach | undefined;
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
  /** The newest checkpoint of the manager's audit log, out of a `welcome`. */
  readonly onCheckpoint?: (note: string) => void;
  readonly onState?: (state: LinkState, news?: LinkNews) => void;
  /** The way that carries the link now; null when none does. */
  readonly onWay?: (way: Way | null) => void;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Log;
  /** For specs: the base of the back-off, how long answers may take, and the like. */
  readonly timing?: {
    readonly reconnectBaseMs?: number;
    readonly answerTimeoutMs?: number;
    /** When a better way is looked for; `PROBE_BASE_MS` when not given. */
    readonly probeBaseMs?: number;
    readonly pollWaitMs?: number;
  };
}

interface Try {
  readonly way: Way;
  readonly connection: Connection;
}

/**
 * The node's side of the link. It connects, says hello, and repeats whatever the manager has not
 * acknowledged; when the socket breaks it comes back, for ever. Where a socket does not work it polls;
 * while it is on such a way it looks for a better one beside it, and moves over without a gap.
 * Nothing that the manager does, or fails to do, reaches a service from here: only commands do, and
 * those the updater judges.
 */
export class Link {
  readonly #options: LinkOptions;
  readonly #backoff: Backoff;
  readonly #ways: Ways;
  #now: Try | null = null;
  /** A better way that is being looked at; it takes over when it is welcomed. */
  #probe: Try | null = null;
  #timer: NodeJS.Timeout | null = null;
  #probeTimer: NodeJS.Timeout | null = null;
  #lastSession: string | null = null;
  #isStopped = false;

  constructor(options: LinkOptions) {
    this.#options = options;
    const { manager, managerUrls = [manager], transport = 'auto', timing, random } = options;
    this.#backoff = new Backoff({
      random,
      ...(timing?.reconnectBaseMs === undefined ? {} : { baseMs: timing.reconnectBaseMs }),
    });
    this.#ways = new Ways({
      origins: [...new Set(managerUrls.map((url) => new URL(url).origin))],
      transport,
      random,
      ...(timing?.probeBaseMs === undefined ? {} : { probeBaseMs: timing.probeBaseMs }),
    });
  }

  /** Where the manager was reached last, or will be tried next: the place for downloads. */
  get origin(): string {
    return (this.#now?.way ?? this.#ways.next()).origin;
  }

  start(): void {
    this.#connect();
  }

  /** Says goodbye and closes; resolves when the socket is gone, within two seconds. Idempotent. */
  async stop(reason: Goodbye['reason']): Promise<void> {
    this.#isStopped = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    if (this.#probeTimer !== null) clearTimeout(this.#probeTimer);
    const tries = [this.#now, this.#probe].filter((one) => one !== null);
    this.#probe?.connection.close(null);
    this.#now?.connection.close(reason);
    await Promise.all(tries.map(({ connection }) => connection.ended));
    this.#options.onState?.('stopped');
  }

  /**
   * Does not wait any longer for its next try. False where the manager itself said when to come back:
   * that is not for a person on the node to change. True, and nothing more, while it is open.
   */
  hurry(): boolean {
    if (this.#isStopped || this.#now !== null || this.#timer === null) return !this.#isStopped;
    if (this.#backoff.isToldToWait) return false;
    clearTimeout(this.#timer);
    this.#connect();
    return true;
  }

  /** Something changed that the manager goes by: it need not wait for the next report. Never rejects. */
  async tellHealth(): Promise<void> {
    await this.#now?.connection.tellHealth();
  }

  /** New events are in the spool. */
  pump(): void {
    this.#now?.connection.pump();
  }

  /** Asks for leave to swap. False without a connection: then the updater must ask again. */
  askPermit(wanted: Omit<PermitRequest, 'type'>): boolean {
    return this.#now?.connection.send({ type: 'permit_request', ...wanted }) ?? false;
  }

  #connect(): void {
    const { log, onState } = this.#options;
    if (this.#isStopped) return;
    const way = this.#ways.next();
    onState?.('connecting', { way, nextTryMs: null });
    try {
      this.#now = this.#open(way);
    } catch (error) {
      log('the link cannot be opened', { ...way, error: String(error) });
      this.#ways.failed(way, true);
      this.#waitAndConnect(this.#backoff.next());
    }
  }

  #open(way: Way): Try {
    const { manager, nodeId, key, spool, hello, health, clock, timing } = this.#options;
    const { onCommand, onPermit, onPermitDenied, random, log, reach = {} } = this.#options;
    const { origin } = new URL(manager);
    const connection = new Connection({
      carrier: openCarrier({
        way,
        reach,
        // A fresh one for every try, and every poll: the manager takes each once.
        token: () => makeNodeToken({ nodeId, origin, key, nowMs: clock.now(), jti: randomUUID() }),
        random,
        answerTimeoutMs: timing?.answerTimeoutMs,
        pollWaitMs: timing?.pollWaitMs,
      }),
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
      onWelcome: ({ session_id, audit_checkpoint: note }) => {
        this.#lastSession = session_id;
        if (note !== undefined) this.#options.onCheckpoint?.(note);
        this.#welcomed(one);
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
    const one: Try = { way, connection };
    void connection.ended.then((ending) => {
      if (this.#probe === one) this.#notBetter(one);
      else if (this.#now === one) this.#lost(one, ending);
    });
    return one;
  }

  #welcomed(one: Try): void {
    const { log, onState, onWay } = this.#options;
    const before = this.#now;
    if (this.#probe === one) {
      this.#probe = null;
      this.#now = one;
      log('a better way to the manager carries the link', { ...one.way });
    }
    this.#ways.welcomed(one.way);
    this.#backoff.welcomed();
    onWay?.(one.way);
    onState?.('connected', { way: one.way, nextTryMs: null });
    // The manager has closed it already: the newest wins there.
    if (before !== one) before?.connection.close(null);
    this.#probeLater();
  }

  #probeLater(): void {
    if (this.#probeTimer !== null) clearTimeout(this.#probeTimer);
    this.#probeTimer = null;
    if (this.#isStopped || this.#now === null || this.#ways.better(this.#now.way) === null) return;
    this.#probeTimer = setTimeout(() => {
      this.#lookForBetter();
    }, this.#ways.probeInMs());
    this.#probeTimer.unref();
  }

  #lookForBetter(): void {
    const way = this.#now === null ? null : this.#ways.better(this.#now.way);
    if (way === null || this.#isStopped || this.#probe !== null) return;
    this.#ways.probed();
    try {
      this.#probe = this.#open(way);
    } catch (error) {
      this.#options.log('a way to the manager cannot be opened', { ...way, error: String(error) });
      this.#probeLater();
    }
  }

  #notBetter({ way }: Try): void {
    this.#probe = null;
    this.#options.log('a better way to the manager does not work yet', { ...way });
    this.#probeLater();
  }

  #lost({ way }: Try, ending: Ending): void {
    const { code, welcomedForMs, refusal, isForGap } = ending;
    this.#now = null;
    const probe = this.#probe;
    this.#probe = null;
    this.#options.onWay?.(null);
    if (probe !== null && code === CLOSE.superseded) {
      // By ourselves: the better way has said hello, and its welcome is on the way.
      this.#now = probe;
      return;
    }
    probe?.connection.close(null);
    if (this.#isStopped) return;
    if (this.#probeTimer !== null) clearTimeout(this.#probeTimer);
    let isOtherAtHand = false;
    if (welcomedForMs === null) {
      isOtherAtHand = this.#ways.failed(way, refusal?.isByManager !== true);
    } else {
      this.#backoff.sessionLasted(welcomedForMs);
      this.#ways.ended(way, { lastedMs: welcomedForMs, isCut: code === CUT_OFF });
    }
    if (code === CLOSE.revoked) this.#backoff.revoked();
    if (refusal?.isSlot === true) this.#backoff.slotOfQueue(refusal.retryAfterMs);
    else if (refusal !== null) this.#backoff.atLeast(refusal.retryAfterMs);
    const isSoon = isForGap || (isOtherAtHand && (refusal?.retryAfterMs ?? 0) === 0);
    this.#waitAndConnect(isSoon ? this.#backoff.soon() : this.#backoff.next(), code);
  }

  #waitAndConnect(waitMs: number, code?: number): void {
    const { log, onState } = this.#options;
    onState?.('waiting', { way: this.#ways.next(), nextTryMs: waitMs });
    log('the link is closed', {
      code: code ?? null,
      next_try_ms: Math.round(waitMs),
      next_way: `${this.#ways.next().transport} ${this.#ways.next().origin}`,
    });
    this.#timer = setTimeout(() => {
      this.#connect();
    }, waitMs);
  }
}
