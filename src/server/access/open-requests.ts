import { Inject, Injectable, type OnApplicationShutdown } from '@nestjs/common';
import type { Response } from 'express';
import { SECOND_MS } from '../../core/kernel/index.js';
import { CLOCK, type Clock } from '../platform/index.js';

/** How often it is looked for credentials that ran out while their answer was still being sent. */
const LOOK_MS = 2 * SECOND_MS;

interface OpenRequest {
  readonly response: Response;
  readonly requestId: string;
  /** Who stands behind the credential. */
  readonly personId: string;
  expiresAt: number;
}

/**
 * Requests that are being answered, by the credential that opened them: a long export or upload must
 * not outlive its credential by more than seconds. What is cut ends in the middle, so that nobody takes it
 * for whole.
 */
@Injectable()
export class OpenRequests implements OnApplicationShutdown {
  readonly #open = new Map<string, Set<OpenRequest>>();
  #timer: NodeJS.Timeout | null = null;

  constructor(@Inject(CLOCK) private readonly clock: Clock) {}

  /** Credentials with an answer under way. */
  get size(): number {
    return this.#open.size;
  }

  /** Forgets it by itself when the answer is out, or the caller has gone. */
  add(
    credentialId: string,
    request: {
      readonly response: Response;
      readonly requestId: string;
      readonly personId: string;
      readonly expiresAt: number;
    },
  ): void {
    if (request.response.closed) return;
    const one: OpenRequest = { ...request };
    const known = this.#open.get(credentialId) ?? new Set();
    this.#open.set(credentialId, known.add(one));
    one.response.once('close', () => {
      known.delete(one);
      if (known.size === 0 && this.#open.get(credentialId) === known) {
        this.#open.delete(credentialId);
      }
    });
    this.#timer ??= setInterval(() => this.look(), LOOK_MS).unref();
  }

  /** Cuts all of a credential but the request that says so, which still has to be answered. */
  cut(credentialId: string, exceptRequestId = ''): void {
    for (const one of this.#open.get(credentialId) ?? []) {
      if (one.requestId !== exceptRequestId) one.response.destroy();
    }
  }

  /** The credential ends earlier than it was known to. */
  shorten(credentialId: string, expiresAt: number): void {
    for (const one of this.#open.get(credentialId) ?? []) {
      one.expiresAt = Math.min(one.expiresAt, expiresAt);
    }
  }

  /** Somebody ends earlier than it was known, and with him what is answered to sessions and tokens of his. */
  shortenPerson(personId: string, expiresAt: number): void {
    for (const one of this.#ofPerson(personId)) one.expiresAt = Math.min(one.expiresAt, expiresAt);
  }

  *#ofPerson(personId: string): Iterable<OpenRequest> {
    for (const requests of this.#open.values()) {
      for (const one of requests) if (one.personId === personId) yield one;
    }
  }

  /** Cuts what belongs to credentials that have run out. */
  look(): void {
    const nowMs = this.clock.now();
    for (const requests of this.#open.values()) {
      for (const one of requests) if (one.expiresAt <= nowMs) one.response.destroy();
    }
  }

  onApplicationShutdown(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
  }
}
