import { Injectable, type CanActivate, type ExecutionContext } from '@nestjs/common';
import type { Request, Response } from 'express';
import { FleetError } from '../../core/kernel/index.js';
import { NodeAuthenticator } from '../gateway/index.js';
import {
  ipOf,
  requestIdOf,
  routeOf,
  setCaller,
  setRoute,
  type Caller,
} from '../platform/http/index.js';
import { Attempts } from './attempts.js';
import { Credentials, NEVER, refusalOf, type FoundRoute } from './credentials.js';
import { People } from './people.port.js';
import { Refusals } from './refusals.js';
import { Traffic, type Known } from './traffic.js';

/**
 * The one guard. Each request is refused unless its route is a row of `ROUTES` and the caller
 * holds the permission of that row somewhere; where exactly, the handler asks `Access`.
 */
@Injectable()
export class Guard implements CanActivate {
  constructor(
    private readonly credentials: Credentials,
    private readonly nodes: NodeAuthenticator,
    private readonly refusals: Refusals,
    private readonly attempts: Attempts,
    private readonly traffic: Traffic,
    private readonly people: People,
  ) {}

  async canActivate(context: ExecutionContext): Promise<boolean> {
    const found = context.getType() === 'http' ? routeOf(context.getHandler()) : null;
    if (found === null) {
      throw new FleetError('insufficient_role', 'nobody may call a route outside of the table');
    }
    const { name, route } = found;
    const request = context.switchToHttp().getRequest<Request>();
    const stranger: Caller = {
      kind: 'anonymous',
      id: '',
      name: '',
      grants: [],
      requestId: requestIdOf(request),
      ip: ipOf(request),
      userAgent: request.headers['user-agent'] ?? '',
    };
    // Known from here on, so that a refusal too can be told with its address.
    setCaller(request, stranger);
    setRoute(request, name);
    if (route.permission === 'public') return true;
    const { authorization } = request.headers;
    const response = context.switchToHttp().getResponse<Response>();
    if (authorization === undefined || authorization === '') {
      await this.#person(request, response, stranger, found);
    } else if (route.permission === 'node') {
      setCaller(request, await this.#node(stranger, authorization, name));
    } else {
      const known = await this.credentials.ofBearer(authorization, stranger, name);
      await this.#admit(request, response, known, found);
    }
    return true;
  }

  /** Whoever comes without a token: a person with a cookie, or nobody. */
  async #person(
    request: Request,
    response: Response,
    stranger: Caller,
    found: FoundRoute,
  ): Promise<void> {
    const { name, route } = found;
    const isForNodes = route.permission === 'node';
    const person = isForNodes ? null : await this.people.ofCookie(request, response, stranger);
    if (person === null) {
      const expected = isForNodes ? 'a node token' : 'an API token';
      throw new FleetError('unauthenticated', `send ${expected}`);
    }
    if (route.method !== 'GET') {
      try {
        person.requireCsrf();
      } catch (error) {
        await this.attempts.refused(name, request, person.caller, error);
        throw error;
      }
    }
    await this.#admit(request, response, { caller: person.caller, expiresAt: NEVER }, found);
  }

  /** Throws when the caller may not call this route anywhere, or calls too often. */
  async #admit(
    request: Request,
    response: Response,
    known: Known,
    found: FoundRoute,
  ): Promise<void> {
    const { caller } = known;
    this.traffic.spend(caller.id, response, found.name);
    const refusal = refusalOf(caller, found);
    if (refusal !== null) {
      await this.attempts.refused(found.name, request, caller, refusal);
      throw refusal;
    }
    setCaller(request, caller);
    this.traffic.follow(known, response);
  }

  async #node(stranger: Caller, authorization: string, route: string): Promise<Caller> {
    try {
      const { nodeId } = await this.nodes.authenticate(authorization);
      return { ...stranger, kind: 'node', id: nodeId, name: nodeId };
    } catch (error) {
      if (!(error instanceof FleetError) || error.kind !== 'user') throw error;
      return await this.refusals.refuse(stranger, error, route);
    }
  }
}
