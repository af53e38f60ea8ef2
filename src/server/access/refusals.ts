import { Inject, Injectable } from '@nestjs/common';
import { FleetError, SECOND_MS } from '../../core/kernel/index.js';
import { AuditLog } from '../audit/index.js';
import type { RefusalRecorder, RefusedPeer } from '../gateway/index.js';
import { Database } from '../platform/database/index.js';
import { networkOf, type Caller } from '../platform/http/index.js';
import { CLOCK, type Clock } from '../platform/index.js';

/** Wrong credentials that one address may send in a row before it has to wait. */
export const REFUSALS_BURST_MAX = 20;
/** After the burst, one more is looked at this often. */
export const REFUSAL_REFILL_MS = 3 * SECOND_MS;
/** Addresses remembered; beyond it the oldest are forgotten, which only forgives them. */
const ADDRESSES_MAX = 10_000;

/** What was refused, for whoever tells of it. */
export interface Refused {
  readonly kind: 'credential_refused' | 'revoked_token_used' | 'link_refused' | 'sign_in_failed';
  readonly ip: string;
  /** What was asked for: a route, or the link. */
  readonly target: string;
  readonly errorCode: string;
  /** A token that was revoked, when it was one. */
  readonly token?: { readonly id: string; readonly name: string; readonly groupId: string | null };
}

interface Bucket {
  tokens: number;
  filledAtMs: number;
}

/**
 * What happens when a credential is wrong: it is audited, never with the credential, and counted
 * by address (a /64 of IPv6 is one). Good credentials are never slowed down, so nobody can lock out a neighbour behind
 * the same proxy; the limit keeps a flood from filling the audit log.
 */
@Injectable()
export class Refusals implements RefusalRecorder {
  readonly #buckets = new Map<string, Bucket>();
  readonly #listeners: ((refused: Refused) => void)[] = [];

  constructor(
    private readonly database: Database,
    private readonly audit: AuditLog,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /** Hears of every refusal, also of those that are too many to be audited. Must not throw. */
  onRefused(listener: (refused: Refused) => void): void {
    this.#listeners.push(listener);
  }

  /** For what is refused elsewhere, such as a wrong password. */
  tell(refused: Refused): void {
    for (const listener of this.#listeners) listener(refused);
  }

  /** Always throws: `error` itself, or `rate_limited` once the address has used up its burst. */
  async refuse(
    caller: Caller,
    error: FleetError,
    target: string,
    token: Refused['token'] | null = null,
  ): Promise<never> {
    const isLink = target === 'link' || error.code.startsWith('jwt_');
    const kind = isLink ? 'link_refused' : 'credential_refused';
    const refused = { ip: caller.ip, target, errorCode: error.code };
    this.tell(
      token === null ? { ...refused, kind } : { ...refused, kind: 'revoked_token_used', token },
    );
    const waitMs = this.#take(networkOf(caller.ip));
    if (waitMs > 0) {
      throw new FleetError('rate_limited', 'too many wrong credentials from this address', {
        context: { retry_after_seconds: Math.ceil(waitMs / SECOND_MS) },
      });
    }
    await this.database.transaction((tx) =>
      this.audit.append(tx, {
        caller,
        action: 'auth.refused',
        targetKind: 'route',
        targetId: target,
        groupId: null,
        outcome: 'refused',
        details: { error_code: error.code },
      }),
    );
    throw error;
  }

  /** The same for a link that was refused in its upgrade, which is answered by the gateway. */
  async refused({ ip, userAgent, requestId, error }: RefusedPeer): Promise<void> {
    const caller: Caller = {
      kind: 'anonymous',
      id: '',
      name: '',
      grants: [],
      requestId,
      ip,
      userAgent,
    };
    await this.refuse(caller, error, 'link').catch((told: unknown) => {
      const isTold = told === error || (told instanceof FleetError && told.code === 'rate_limited');
      if (!isTold) throw told;
    });
  }

  /** Takes one try; returns how long to wait when there is none. */
  #take(ip: string): number {
    const nowMs = this.clock.now();
    const known = this.#buckets.get(ip);
    const filled = known === undefined ? Infinity : (nowMs - known.filledAtMs) / REFUSAL_REFILL_MS;
    const tokens = Math.min(REFUSALS_BURST_MAX, (known?.tokens ?? 0) + filled);
    // Set anew, so that the Map stays in order of last use.
    this.#buckets.delete(ip);
    const granted = tokens >= 1;
    this.#buckets.set(ip, { tokens: granted ? tokens - 1 : tokens, filledAtMs: nowMs });
    this.#forget(nowMs);
    return granted ? 0 : Math.max(1, (1 - tokens) * REFUSAL_REFILL_MS);
  }

  #forget(nowMs: number): void {
    for (const [ip, bucket] of this.#buckets) {
      const isFull = nowMs - bucket.filledAtMs > REFUSALS_BURST_MAX * REFUSAL_REFILL_MS;
      if (!isFull && this.#buckets.size <= ADDRESSES_MAX) return;
      this.#buckets.delete(ip);
    }
  }
}
