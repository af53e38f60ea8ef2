import { Injectable } from '@nestjs/common';
import type { Request, Response } from 'express';
import type { Grant } from '../../core/access/index.js';
import type { Sql } from '../platform/database/index.js';
import type { Caller } from '../platform/http/index.js';

/** Who a session belongs to, and whether this request may change something in his name. */
export interface KnownPerson {
  readonly caller: Caller;
  /** Throws `csrf_invalid` when the request does not prove that it comes from our own page. */
  requireCsrf(): void;
}

/** What the guard asks of the module `people`, which comes later and registers here. */
export interface PeoplePort {
  /** The person of the session cookie; null without one that works. May renew the cookie. */
  ofCookie(request: Request, response: Response, stranger: Caller): Promise<KnownPerson | null>;
  /** The person of a bearer token that was made by signing in; null when it is unknown or over. */
  ofToken(secret: string, stranger: Caller): Promise<Caller | null>;
  /** What a signed-in person holds at this moment; null when his session is over. */
  grantsNow(caller: Caller): Promise<readonly Grant[] | null>;
  /** What a person holds at this moment, signed in or not; null when he may not come in, or is unknown. */
  grantsOf(userId: string): Promise<readonly Grant[] | null>;
  /** Those of these sessions that have not ended. */
  working(sessionIds: readonly string[]): Promise<readonly string[]>;
  /** Whether a user could still administer this installation. */
  hasSuperAdmin(sql: Sql): Promise<boolean>;
}

/** The door to it. Until somebody registers, there are no people. */
@Injectable()
export class People implements Omit<PeoplePort, 'hasSuperAdmin'> {
  #port: PeoplePort | null = null;

  use(port: PeoplePort): void {
    this.#port = port;
  }

  async ofCookie(
    request: Request,
    response: Response,
    stranger: Caller,
  ): Promise<KnownPerson | null> {
    return this.#port === null ? null : this.#port.ofCookie(request, response, stranger);
  }

  async ofToken(secret: string, stranger: Caller): Promise<Caller | null> {
    return this.#port === null ? null : this.#port.ofToken(secret, stranger);
  }

  async grantsNow(caller: Caller): Promise<readonly Grant[] | null> {
    return this.#port === null ? null : this.#port.grantsNow(caller);
  }

  async grantsOf(userId: string): Promise<readonly Grant[] | null> {
    return this.#port === null ? null : this.#port.grantsOf(userId);
  }

  async working(sessionIds: readonly string[]): Promise<readonly string[]> {
    return this.#port === null ? [] : this.#port.working(sessionIds);
  }
}
