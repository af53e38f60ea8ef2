import { Controller, Req, Res } from '@nestjs/common';
import type { Request, Response } from 'express';
import { FleetError } from '../../core/kernel/index.js';
import type { Answer, Input } from '../../protocol/api/index.js';
import { AuditLog } from '../audit/index.js';
import { Database } from '../platform/database/index.js';
import { Endpoint, Given, Who, type Caller } from '../platform/http/index.js';
import { Cookies } from './cookies.js';
import { Entrance } from './entrance.js';
import { Joining } from './joining.js';
import { aboutUser, asUser, SignIn } from './sign-in.js';
import { Stores } from './stores.js';
import { sessionView } from './views.js';

/** Coming in: by set-up, by invitation, with a password. */
@Controller()
export class EntranceController {
  constructor(
    private readonly joining: Joining,
    private readonly signing: SignIn,
    private readonly entrance: Entrance,
    private readonly cookies: Cookies,
    private readonly stores: Stores,
    private readonly audit: AuditLog,
  ) {}

  @Endpoint('setup.first_user')
  async firstUser(
    @Given() { body }: Input<'setup.first_user'>,
    @Who() caller: Caller,
    @Req() request: Request,
    @Res({ passthrough: true }) response: Response,
  ): Promise<Answer<'setup.first_user'>> {
    this.cookies.requireOwnSite(request);
    const joined = await this.joining.firstUser(caller, body);
    return this.entrance.welcome(response, joined.user, joined);
  }

  @Endpoint('invitations.accept')
  async accept(
    @Given() { body }: Input<'invitations.accept'>,
    @Who() caller: Caller,
    @Req() request: Request,
    @Res({ passthrough: true }) response: Response,
  ): Promise<Answer<'invitations.accept'>> {
    this.cookies.requireOwnSite(request);
    const joined = await this.joining.accept(caller, body);
    return this.entrance.welcome(response, joined.user, joined);
  }

  @Endpoint('session.sign_in')
  async signIn(
    @Given() { body }: Input<'session.sign_in'>,
    @Who() caller: Caller,
    @Req() request: Request,
    @Res({ passthrough: true }) response: Response,
  ): Promise<Answer<'session.sign_in'>> {
    this.cookies.requireOwnSite(request);
    const user = await this.stores.users.byLogin(body.login);
    const sent = this.cookies.read(request, 'device');
    // Asked for a stranger too, so that it takes as long.
    const isKnown = await this.stores.devices.isKnown(sent, user?.id ?? '');
    const device = isKnown ? sent : null;
    const made = await this.signing.enter(body, { caller, user, device }, async (tx, own, how) => {
      await this.stores.users.signedIn(tx, own.id);
      await this.audit.append(
        tx,
        aboutUser(asUser(caller, own), 'session.sign_in', own.id, { how }),
      );
      const session = await this.stores.sessions.create(tx, own, body.as, caller);
      if (body.as === 'token') return { own, ...session };
      return { own, ...session, device: await this.stores.devices.remember(tx, own.id, device) };
    });
    return this.entrance.welcome(response, made.own, made);
  }
}

/** The own sessions. */
@Controller()
export class SessionsController {
  constructor(
    private readonly database: Database,
    private readonly entrance: Entrance,
    private readonly cookies: Cookies,
    private readonly stores: Stores,
    private readonly audit: AuditLog,
  ) {}

  @Endpoint('session.show')
  async show(@Who() caller: Caller): Promise<Answer<'session.show'>> {
    const { user, session } = await this.entrance.present(caller);
    return this.entrance.me(user, session);
  }

  @Endpoint('session.sign_out')
  async signOut(
    @Who() caller: Caller,
    @Res({ passthrough: true }) response: Response,
  ): Promise<void> {
    await this.database.transaction(async (tx) => {
      if (await this.stores.sessions.end(tx, caller.id, caller.sessionId ?? '')) {
        await this.audit.append(tx, aboutUser(caller, 'session.sign_out', caller.id));
      }
    });
    this.cookies.clear(response, 'session');
  }

  @Endpoint('sessions.list')
  async list(@Who() caller: Caller): Promise<Answer<'sessions.list'>> {
    const sessions = await this.stores.sessions.ofUser(caller.id);
    return { items: sessions.map((session) => sessionView(session, caller.sessionId)) };
  }

  /** Only among the own ones: another's is not there. */
  @Endpoint('sessions.revoke')
  async revoke(
    @Given() { params }: Input<'sessions.revoke'>,
    @Who() caller: Caller,
  ): Promise<void> {
    await this.database.transaction(async (tx) => {
      if (!(await this.stores.sessions.end(tx, caller.id, params.id))) {
        throw new FleetError('not_found', 'no such session');
      }
      const details = { session_id: params.id };
      await this.audit.append(tx, aboutUser(caller, 'session.revoke', caller.id, details));
    });
  }
}
