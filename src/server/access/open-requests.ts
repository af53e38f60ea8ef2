import { Inject, Injectable, type OnApplicationShutdown } from '@nestjs/common';
import type { Response } from 'express';
import { SECOND_MS } from '../../core/kernel/index.js';
import type { Logger } from 'pino';
import { CLOCK, LOGGER, type Clock } from '../platform/index.js';
import { People } from './people.port.js';
import { ApiTokens } from './tokens.store.js';

/** How often it is looked for credentials that ended while their answer was still being sent. */
const LOOK_MS = 2 * SECOND_MS;
/** Ids in one statement. */
const IDS_MAX = 500;

interface OpenRequest {
  readonly response: Response;
  readonly requestId: string;
  /** Who stands behind the credential. */
  readonly personId: string;
  readonly openedAt: number;
  expiresAt: number;
}

/**
 * Requests that are being answered, by the credential that opened them (an API token, or the session of a
 * person): a long export or upload must not outlive it by more than seconds, whoever ended it, here or in
 * another manager. What is cut ends in the middle, so that nobody takes it for whole.
 */
@Injectable()
export class OpenRequests implements OnApplicationShutdown {
  readonly #open = new Map<string, Set<OpenRequest>>();
  #timer: NodeJS.Timeout | null = null;
  #looking: Promise<void> = Promise.resolve();

  constructor(
    private readonly tokens: ApiTokens,
    private readonly people: People,
    @Inject(CLOCK) private readonly clock: Clock,
    @Inject(LOGGER) private readonly log: Logger,
  ) {}

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
    const one: OpenRequest = { ...request, openedAt: this.clock.now() };
    const known = this.#open.get(credentialId) ?? new Set();
    this.#open.set(credentialId, known.add(one));
    one.response.once('close', () => {
      known.delete(one);
      if (known.size === 0 && this.#open.get(credentialId) === known) {
        this.#open.delete(credentialId);
      }
    });
    this.#timer ??= setInterval(() => {
      this.#looking = this.#looking.then(() => this.look());
    }, LOOK_MS).unref();
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

  /** Cuts what belongs to credentials that have run out, or were ended anywhere. Never rejects. */
  async look(): Promise<void> {
    const nowMs = this.clock.now();
    const asked: string[] = [];
    for (const [id, requests] of this.#open) {
      for (const one of requests) if (one.expiresAt <= nowMs) one.response.destroy();
      // What has only just begun was asked about at its beginning.
      if ([...requests].some((one) => nowMs - one.openedAt >= LOOK_MS)) asked.push(id);
    }
    try {
      for (let start = 0; start < asked.length; start += IDS_MAX) {
        await this.#cutEnded(asked.slice(start, start + IDS_MAX));
      }
    } catch (error) {
      this.log.warn({ err: error }, 'it could not be looked for credentials that have ended');
    }
  }

  async onApplicationShutdown(): Promise<void> {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
    await this.#looking;
  }

  async #cutEnded(ids: readonly string[]): Promise<void> {
    const isSession = (id: string): boolean => id.startsWith('ses_');
    const working = new Set([
      ...(await this.tokens.working(ids.filter((id) => !isSession(id)))),
      ...(await this.people.working(ids.filter(isSession))),
    ]);
    for (const id of ids) if (!working.has(id)) this.cut(id);
  }
}
