import { Injectable } from '@nestjs/common';
import {
  holdsAnywhere,
  requiredRole,
  type Grant,
  type Permission,
} from '../../core/access/index.js';
import { FleetError } from '../../core/kernel/index.js';
import { ROUTES, type Route, type RouteName } from '../../protocol/api/index.js';
import { Database } from '../platform/database/index.js';
import type { Caller } from '../platform/http/index.js';
import { People } from './people.port.js';
import { Refusals } from './refusals.js';
import { ApiTokens, grantOf } from './tokens.store.js';
import type { Known } from './traffic.js';

/** Sessions are looked at with each request; what they begin is short, or asks `grantsNow`. */
export const NEVER = Number.MAX_SAFE_INTEGER;
const BEARER = /^Bearer +([^\s]{1,4096}) *$/i;

/** All that is left to a person who has to set up a second factor first. */
const WITHOUT_FACTOR: ReadonlySet<RouteName> = new Set([
  'session.show',
  'session.sign_out',
  'account.begin_factor',
  'account.confirm_factor',
]);

/** A row of `ROUTES` with its name. */
export interface FoundRoute {
  readonly name: RouteName;
  readonly route: Route;
}

/** Why a caller may not call a route at all; null when he may, somewhere. */
export function refusalOf(caller: Caller, { name, route }: FoundRoute): FleetError | null {
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

/** Who somebody is by what he sends, and what he holds as time goes on. */
@Injectable()
export class Credentials {
  constructor(
    private readonly database: Database,
    private readonly tokens: ApiTokens,
    private readonly refusals: Refusals,
    private readonly people: People,
  ) {}

  /** Throws `unauthenticated` or `rate_limited`; `target` is what the audit log says of it. */
  async ofBearer(authorization: string, stranger: Caller, target: string): Promise<Known> {
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
      const revoked = secret === undefined ? null : await this.tokens.revokedOf(secret);
      return await this.refusals.refuse(stranger, error, target, revoked);
    }
    const { id, name, expiresAt } = token;
    const makerId = token.makerId ?? id;
    return {
      caller: { ...stranger, kind: 'token', id, name, grants: [grantOf(token)], makerId },
      expiresAt,
    };
  }

  /** Throws `insufficient_role` when the caller has the permission of the route nowhere. */
  require(caller: Caller, route: RouteName): void {
    const refusal = refusalOf(caller, { name: route, route: ROUTES[route] });
    if (refusal !== null) throw refusal;
  }

  /**
   * What a caller holds at this moment; null when his credential was revoked or has run out. For what goes
   * on for longer than a request: he may have lost a role meanwhile, perhaps through another manager.
   */
  async grantsNow(caller: Caller): Promise<readonly Grant[] | null> {
    if (caller.kind === 'user') return this.people.grantsNow(caller);
    if (caller.kind !== 'token') return null;
    return this.#ofToken(caller.id);
  }

  /** The same of somebody who is not calling: for what goes on by the rights of its maker. */
  async grantsOf({ kind, id }: Pick<Caller, 'kind' | 'id'>): Promise<readonly Grant[] | null> {
    if (kind === 'user') return this.people.grantsOf(id);
    return kind === 'token' ? this.#ofToken(id) : null;
  }

  async #ofToken(id: string): Promise<readonly Grant[] | null> {
    const token = await this.tokens.find(this.database.read, id);
    const [working] = await this.tokens.working([id]);
    return token === null || working === undefined ? null : [grantOf(token)];
  }
}
