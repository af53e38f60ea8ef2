import { Injectable, type CanActivate, type ExecutionContext } from '@nestjs/common';
import type { Request } from 'express';
import { holdsAnywhere, requiredRole } from '../../core/access/index.js';
import { FleetError } from '../../core/kernel/index.js';
import { NodeAuthenticator } from '../gateway/index.js';
import { ipOf, requestIdOf, routeOf, setCaller, type Caller } from '../platform/http/index.js';
import { Attempts } from './attempts.js';
import { Refusals } from './refusals.js';
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
    const caller = await this.#token(stranger, authorization, name);
    if (!holdsAnywhere(caller.grants, route.permission)) {
      const role = requiredRole(route.permission);
      const refusal = new FleetError('insufficient_role', `this needs the role ${role}`, {
        context: { required_role: role },
      });
      await this.attempts.refused(name, request, caller, refusal);
      throw refusal;
    }
    setCaller(request, caller);
    return true;
  }

  async #token(stranger: Caller, authorization: string, route: string): Promise<Caller> {
    const secret = BEARER.exec(authorization)?.[1];
    const token = secret === undefined ? null : await this.tokens.authenticate(secret);
    if (token === null) {
      const error = new FleetError(
        'unauthenticated',
        'the API token is unknown, revoked or expired',
      );
      return await this.refusals.refuse(stranger, error, route);
    }
    return {
      ...stranger,
      kind: 'token',
      id: token.id,
      name: token.name,
      grants: [grantOf(token)],
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
