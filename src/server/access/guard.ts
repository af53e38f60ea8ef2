import { Injectable, type CanActivate, type ExecutionContext } from '@nestjs/common';
import type { Request, Response } from 'express';
import { holdsAnywhere, requiredRole } from '../../core/access/index.js';
import { FleetError } from '../../core/kernel/index.js';
import { NodeAuthenticator } from '../gateway/index.js';
import { ipOf, requestIdOf, routeOf, setCaller, type Caller } from '../platform/http/index.js';
import { Attempts } from './attempts.js';
import { OpenRequests } from './open-requests.js';
import { Refusals } from './refusals.js';
import { RequestRates } from './request-rates.js';
import { ApiTokens, grantOf } from './tokens.store.js';

const BEARER = /^Bearer +([^\s]{1,4096}) *$/i;

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
    private readonly open: OpenRequests,
    private readonly rates: RequestRates,
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
    if (authorization === undefined || authorization === '') {
      const expected = route.permission === 'node' ? 'a node token' : 'an API token';
      throw new FleetError('unauthenticated', `send ${expected}`);
    }
    if (route.permission === 'node') {
      setCaller(request, await this.#node(stranger, authorization, name));
      return true;
    }
    const { caller, expiresAt } = await this.#token(stranger, authorization, name);
    const response = context.switchToHttp().getResponse<Response>();
    this.rates.spend(caller.id, response);
    if (!holdsAnywhere(caller.grants, route.permission)) {
      const role = requiredRole(route.permission);
      const refusal = new FleetError('insufficient_role', `this needs the role ${role}`, {
        context: { required_role: role },
      });
      await this.attempts.refused(name, request, caller, refusal);
      throw refusal;
    }
    setCaller(request, caller);
    this.open.add(caller.id, { response, requestId: caller.requestId, expiresAt });
    return true;
  }

  async #token(
    stranger: Caller,
    authorization: string,
    route: string,
  ): Promise<{ readonly caller: Caller; readonly expiresAt: number }> {
    const secret = BEARER.exec(authorization)?.[1];
    const token = secret === undefined ? null : await this.tokens.authenticate(secret, stranger.ip);
    if (token === null) {
      const error = new FleetError(
        'unauthenticated',
        'the API token is unknown, revoked or expired',
      );
      return await this.refusals.refuse(stranger, error, route);
    }
    const { id, name, expiresAt } = token;
    return {
      caller: { ...stranger, kind: 'token', id, name, grants: [grantOf(token)] },
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
