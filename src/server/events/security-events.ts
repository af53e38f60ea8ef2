import { Inject, Injectable, type OnModuleDestroy } from '@nestjs/common';
import type { Logger } from 'pino';
import { MINUTE_MS, SECOND_MS } from '../../core/kernel/index.js';
import { EVENT_TYPES } from '../../protocol/index.js';
import { Refusals, type Refused } from '../access/index.js';
import { CLOCK, Database, LOGGER, type Clock } from '../platform/index.js';
import { EventLog } from './event-log.js';
import type { NewEvent } from './event-rows.js';
import { ROOT_GROUP } from './root-group.js';

/** The first of a kind from an address is told at once, the rest of this time as one number. */
const WINDOW_MS = MINUTE_MS;
const LOOK_MS = 10 * SECOND_MS;
/** Addresses told one by one at a time; more of them share one window a kind. */
const WINDOWS_MAX = 200;
const MANY_ADDRESSES = 'many';

interface Window {
  readonly first: Refused;
  readonly sinceMs: number;
  more: number;
}

const MESSAGES: Readonly<Record<Refused['kind'], string>> = {
  credential_refused: 'An unknown or expired API token was refused',
  revoked_token_used: 'A revoked API token was used',
  link_refused: 'A node token was refused',
  sign_in_failed: 'A sign-in failed',
};

/**
 * What SIEM teams watch for, in the same log as everything else: wrong credentials, however they came. Nobody
 * can flood the log by them: at most one event a minute for each kind and address, and one with a count.
 */
@Injectable()
export class SecurityEvents implements OnModuleDestroy {
  readonly #windows = new Map<string, Window>();
  readonly #writing = new Set<Promise<void>>();
  readonly #timer: NodeJS.Timeout;

  constructor(
    refusals: Refusals,
    private readonly database: Database,
    private readonly log: EventLog,
    @Inject(CLOCK) private readonly clock: Clock,
    @Inject(LOGGER) private readonly logger: Logger,
  ) {
    refusals.onRefused((refused) => this.#heard(refused));
    this.#timer = setInterval(() => this.look(), LOOK_MS).unref();
  }

  /** What was counted and not told yet is told before the end. */
  async onModuleDestroy(): Promise<void> {
    clearInterval(this.#timer);
    for (const window of this.#windows.values()) this.#tellMore(window);
    this.#windows.clear();
    await Promise.all(this.#writing);
  }

  /** Ends the windows whose time is up. */
  look(): void {
    const nowMs = this.clock.now();
    for (const [key, window] of this.#windows) {
      if (nowMs - window.sinceMs < WINDOW_MS) continue;
      this.#windows.delete(key);
      this.#tellMore(window);
    }
  }

  #heard(refused: Refused): void {
    this.look();
    const about = refused.token?.id ?? refused.ip;
    const known = this.#windows.get(`${refused.kind} ${about}`);
    const isFull = known === undefined && this.#windows.size >= WINDOWS_MAX;
    const key = `${refused.kind} ${isFull ? MANY_ADDRESSES : about}`;
    const window = known ?? this.#windows.get(key);
    if (window !== undefined) {
      window.more += 1;
      return;
    }
    const first = isFull ? { ...refused, ip: MANY_ADDRESSES } : refused;
    this.#windows.set(key, { first, sinceMs: this.clock.now(), more: 0 });
    const { kind, token } = refused;
    this.#write({
      type: kind,
      severity: EVENT_TYPES[kind].severity,
      groupId: token?.groupId ?? ROOT_GROUP,
      message: `${MESSAGES[kind]} (${first.ip})`,
      details: {
        error_code: refused.errorCode,
        ip: first.ip,
        target: refused.target,
        ...(token === undefined ? {} : { token_id: token.id, token_name: token.name }),
      },
    });
  }

  #tellMore({ first, sinceMs, more }: Window): void {
    if (more === 0) return;
    this.#write({
      type: 'security_events_counted',
      severity: 'warning',
      groupId: first.token?.groupId ?? ROOT_GROUP,
      message: `${more} more of ${first.kind} from ${first.ip}`,
      details: { of: first.kind, ip: first.ip, count: more, since_ms: sinceMs },
    });
  }

  /** Nobody waits for it: who was refused has been answered. */
  #write(event: Omit<NewEvent, 'category' | 'nodeId' | 'at'>): void {
    const at = this.clock.now();
    const writing = this.database
      .transaction(async (tx) => {
        this.log.append(tx, [{ ...event, category: 'security', nodeId: null, at }]);
      })
      .catch((error: unknown) => {
        this.logger.error({ err: error, type: event.type }, 'a security event was not stored');
      })
      .finally(() => this.#writing.delete(writing));
    this.#writing.add(writing);
  }
}
