import { Injectable, type CanActivate, type ExecutionContext } from '@nestjs/common';
import type { Request, Response } from 'express';
import { holdsAnywhere, requiredRole, type Permission } from '../../core/access/index.js';
import { FleetError } from '../../core/kernel/index.js';
import { NodeAuthenticator } from '../gateway/index.js';
import { ipOf, requestIdOf, routeOf, setCaller, type Caller } from '../platform/http/index.js';
import type { Route, RouteName } from '../../protocol/api/index.js';
import { Attempts } from './attempts.js';
import { People } from './people.port.js';
import { Refusals } from './refusals.js';
import { ApiTokens, grantOf } from './tokens.store.js';
import { Traffic, type Known } from './traffic.js';

/** Sessions are looked at with each request; what they begin is short. */
const NEVER = Number.MAX_SAFE_INTEGER;
const BEARER = /^Bearer +([^\s]{1,4096}) *$/i;

interface FoundRoute {
  readonly name: RouteName;
  readonly route: Route;
}

/** All that is left to a person who has to set up a second factor first. */
const WITHOUT_FACTOR: ReadonlySet<RouteName> = new Set([
  'session.show',
  'session.sign_out',
  'account.begin_factor',
  'account.confirm_factor',
]);

/** Why a caller may not call a route at all; null when he may, somewhere. */
function refusalOf(caller: Caller, { name, route }: FoundRoute): FleetError | null {
  const { permission, isPersonal } = route;
  if (caller.lacksFactor === true && !WITHOUT_FACTOR.has(name)) {
    return new FleetError('second_factor_missing', 'set up a second factor first');
  }
  if ((permission === 'person' || isPersonal === true) && caller.kind !== 'user') {
    return new FleetError('person_required', 'sign in as a person; this is no API token');
  }
  if (permission === 'person') return null;
  if (holdsAnywhere(caller.grants, permission as Permission)) return null;
  const role = requiredRole(permission as Permission);
  return new FleetError('insufficient_role', `this needs the role ${role}`, {
    context: { required_role: role },
  });
}

/**
 * The one guard. Each request is refused unless its route is a row of `ROUTES` and the caller
 * holds the permission of that row somewhere; where exactly, the handler asks `Access`.
 */
@Injectable()
export class Guard implements CanActivate {
  constructor(
    private readonly tokens: ApiTokens,
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
    if (route.permission === 'public') return true;
    const { authorization } = request.headers;
    const response = context.switchToHttp().getResponse<Response>();
    if (authorization === undefined || authorization === '') {
      await this.#person(request, response, stranger, found);
    } else if (route.permission === 'node') {
      setCaller(request, await this.#node(stranger, authorization, name));
    } else {
      const known = await this.#token(stranger, authorization, name);
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
    this.traffic.spend(caller.id, response);
    const refusal = refusalOf(caller, found);
    if (refusal !== null) {
      await this.attempts.refused(found.name, request, caller, refusal);
      throw refusal;
    }
    setCaller(request, caller);
    this.traffic.follow(known, response);
  }

  async #token(stranger: Caller, authorization: string, route: string): Promise<Known> {
    const secret = BEARER.exec(authorization)?.[1];
    if (secret?.startsWith('bwl_') === true) {
      const person = await this.people.ofToken(secret, stranger);
      if (person !== null) return { caller: person, expiresAt: NEVER };
    }
    const token = secret === undefined ? null : await this.tokens.authenticate(secret, stranger.ip);
    if (token === null) {
      const error = new FleetError(
        'unauthenticated',
        'the API token is unknown, revoked or expired',
      );
      return await this.refusals.refuse(stranger, error, route);
    }
    const { id, name, expiresAt } = token;
    const makerId = token.makerId ?? id;
    return {
      caller: { ...stranger, kind: 'token', id, name, grants: [grantOf(token)], makerId },
      expiresAt,
    };
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
