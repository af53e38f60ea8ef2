import { Inject, Injectable } from '@nestjs/common';
import type { Response } from 'express';
import { FleetError, MINUTE_MS, SECOND_MS } from '../../core/kernel/index.js';
import { CLOCK, CONFIG, type Clock, type Config } from '../platform/index.js';

/** Credentials remembered; beyond it the longest unused are forgotten, which only forgives them. */
const CREDENTIALS_MAX = 10_000;

/**
 * How fast one credential may call: so many requests a minute, all at once if it likes, so that one script
 * that runs wild leaves room for others. Told in the headers `RateLimit-Policy` and `RateLimit` (draft 10
 * of the IETF's httpapi group) with each answer, and `Retry-After` when it is too much.
 */
@Injectable()
export class RequestRates {
  readonly #spent = new Map<string, { count: number; atMs: number }>();

  constructor(
    @Inject(CONFIG) private readonly config: Pick<Config, 'requestsPerMinute'>,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /** Counts one request. Throws `rate_limited`. */
  spend(credentialId: string, response: Pick<Response, 'setHeader'>): void {
    const most = this.config.requestsPerMinute;
    const nowMs = this.clock.now();
    const msEach = MINUTE_MS / most;
    const known = this.#spent.get(credentialId) ?? { count: 0, atMs: nowMs };
    const left = Math.max(0, known.count - Math.max(0, nowMs - known.atMs) / msEach);
    const isTooMuch = left + 1 > most;
    const count = isTooMuch ? left : left + 1;
    // Set anew, so that the Map stays in order of last use.
    this.#spent.delete(credentialId);
    this.#spent.set(credentialId, { count, atMs: nowMs });
    const oldest = this.#spent.keys().next().value;
    if (this.#spent.size > CREDENTIALS_MAX && oldest !== undefined) this.#spent.delete(oldest);
    const fullInSeconds = Math.ceil((count * msEach) / SECOND_MS);
    response.setHeader('RateLimit-Policy', `"token";q=${most};w=${MINUTE_MS / SECOND_MS}`);
    response.setHeader('RateLimit', `"token";r=${Math.floor(most - count)};t=${fullInSeconds}`);
    if (!isTooMuch) return;
    const waitMs = (left + 1 - most) * msEach;
    throw new FleetError('rate_limited', `this token may make ${most} requests a minute`, {
      context: { retry_after_seconds: Math.max(1, Math.ceil(waitMs / SECOND_MS)) },
    });
  }
}
