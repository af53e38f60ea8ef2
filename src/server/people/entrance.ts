import { Inject, Injectable } from '@nestjs/common';
import type { Request, Response } from 'express';
import type { Grant } from '../../core/access/index.js';
import { FleetError, toIso } from '../../core/kernel/index.js';
import type { Answer } from '../../protocol/api/index.js';
import type { KnownPerson, PeoplePort } from '../access/index.js';
import { AuditLog } from '../audit/index.js';
import { Database, type Sql } from '../platform/database/index.js';
import type { Caller } from '../platform/http/index.js';
import { CLOCK, CONFIG, type Clock, type Config } from '../platform/index.js';
import { Cookies } from './cookies.js';
import type { FoundSession, SessionRecord } from './sessions.store.js';
import { Stores } from './stores.js';
import type { UserRecord } from './users.store.js';
import { grantsView } from './views.js';

type Me = Answer<'session.show'>;

/** Whoever can do something for a whole group, or for everybody. */
const isAdmin = (grant: Grant): boolean =>
  'role' in grant && (grant.role === 'admin' || grant.role === 'super_admin');

const needsFactor = (who: Config['secondFactorFor'], grants: readonly Grant[]): boolean =>
  who === 'everybody' || (who === 'admins' && grants.some(isAdmin));

/** Who somebody is, told from cookie or token; what the guard asks of people. */
@Injectable()
export class Entrance implements PeoplePort {
  constructor(
    private readonly database: Database,
    private readonly stores: Stores,
    private readonly cookies: Cookies,
    private readonly audit: AuditLog,
    @Inject(CONFIG) private readonly config: Pick<Config, 'secondFactorFor'>,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  async ofCookie(
    request: Request,
    response: Response,
    stranger: Caller,
  ): Promise<KnownPerson | null> {
    const secret = this.cookies.read(request, 'session');
    if (secret === null) return null;
    const found = await this.stores.sessions.find(secret, 'cookie');
    if (found === 'reused') await this.#reused(secret, stranger);
    if (found === null || found === 'reused') {
      this.cookies.clear(response, 'session');
      return null;
    }
    await this.stores.sessions.touch(found.session);
    if (found.isStale) {
      const next = await this.stores.sessions.rotate(found.session.id, secret);
      if (next !== null) this.cookies.set(response, 'session', next);
    }
    return {
      caller: await this.#caller(found, stranger),
      requireCsrf: () => this.cookies.requireCsrf(request, found.session.csrf),
    };
  }

  async ofToken(secret: string, stranger: Caller): Promise<Caller | null> {
    const found = await this.stores.sessions.find(secret, 'token');
    if (found === null || found === 'reused') return null;
    await this.stores.sessions.touch(found.session);
    return this.#caller(found, stranger);
  }

  async grantsNow({ id, sessionId }: Caller): Promise<readonly Grant[] | null> {
    const user = await this.stores.sessions.holderOf(sessionId ?? '');
    if (user === null || user.id !== id) return null;
    return this.stores.members.grantsOf(user);
  }

  async grantsOf(userId: string): Promise<readonly Grant[] | null> {
    const user = await this.stores.users.byId(userId);
    if (user === null || user.disabledAt !== null) return null;
    if (user.expiresAt !== null && user.expiresAt <= this.clock.now()) return null;
    const grants = await this.stores.members.grantsOf(user);
    // As with each request: whoever has yet to set up a second factor may do nothing.
    const lacksFactor = user.passwordHash !== null && user.factorSecret === null;
    return lacksFactor && needsFactor(this.config.secondFactorFor, grants) ? [] : grants;
  }

  working(sessionIds: readonly string[]): Promise<readonly string[]> {
    return this.stores.sessions.working(sessionIds);
  }

  hasSuperAdmin(sql: Sql): Promise<boolean> {
    return this.stores.users.hasSuperAdmin(sql);
  }

  /** What holds is read with each request: what was taken away is gone with the next one. */
  async #caller({ user, session }: FoundSession, stranger: Caller): Promise<Caller> {
    const grants = await this.stores.members.grantsOf(user);
    const lacksFactor = user.couldLackFactor && needsFactor(this.config.secondFactorFor, grants);
    return {
      ...stranger,
      kind: 'user',
      id: user.id,
      name: user.login,
      // Twice: the guard lets nothing through, and there would be no right to use.
      grants: lacksFactor ? [] : grants,
      lacksFactor,
      sessionId: session.id,
    };
  }

  /** Two hold one session, and one of them has no business with it: it ends for both. */
  async #reused(secret: string, stranger: Caller): Promise<void> {
    await this.database.transaction(async (tx) => {
      const session = await this.stores.sessions.endReused(tx, secret);
      if (session === null) return;
      await this.audit.append(tx, {
        caller: stranger,
        action: 'session.reuse',
        targetKind: 'user',
        targetId: session.userId,
        groupId: null,
        outcome: 'refused',
        details: { session_id: session.id },
      });
    });
  }

  /** The user and the session of a caller. Throws when either ended since the guard looked. */
  async present(caller: Caller): Promise<{ user: UserRecord; session: SessionRecord }> {
    const user = await this.stores.users.byId(caller.id);
    const session = await this.stores.sessions.byId(caller.sessionId ?? '');
    if (user === null || session === null) {
      throw new FleetError('unauthenticated', 'the session is over');
    }
    return { user, session };
  }

  /** What a person is told about himself. */
  async me(user: UserRecord, session: SessionRecord): Promise<Me> {
    const grants = await this.stores.members.grantsOf(user);
    const codesLeft = await this.stores.factors.recoveryCodesLeft(user.id);
    return {
      user: {
        id: user.id,
        login: user.login,
        name: user.name,
        has_password: user.passwordHash !== null,
        has_second_factor: user.factorSecret !== null,
        recovery_codes_left: codesLeft,
        expires_at: user.expiresAt === null ? null : toIso(user.expiresAt),
      },
      grants: grantsView(grants),
      second_factor_missing:
        user.passwordHash !== null &&
        user.factorSecret === null &&
        needsFactor(this.config.secondFactorFor, grants),
      session: { id: session.id, expires_at: toIso(session.expiresAt) },
      csrf: session.kind === 'cookie' ? session.csrf : null,
    };
  }

  /** The answer to whoever just came in: a cookie, or the token in the answer. */
  async welcome(
    response: Response,
    user: UserRecord,
    made: { readonly session: SessionRecord; readonly secret: string; readonly device?: string },
  ): Promise<Answer<'session.sign_in'>> {
    const { session, secret, device } = made;
    const isCookie = session.kind === 'cookie';
    if (isCookie) this.cookies.set(response, 'session', secret);
    if (isCookie && device !== undefined) this.cookies.set(response, 'device', device);
    return { ...(await this.me(user, session)), token: isCookie ? null : secret };
  }
}
