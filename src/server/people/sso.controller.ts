import { Controller, Req, Res } from '@nestjs/common';
import type { Request, Response } from 'express';
import { FleetError } from '../../core/kernel/index.js';
import type { Input } from '../../protocol/api/index.js';
import { AuditLog } from '../audit/index.js';
import { Database } from '../platform/database/index.js';
import { Endpoint, Given, networkOf, Who, type Caller } from '../platform/http/index.js';
import { Cookies } from './cookies.js';
import { Oidc, readTrip, tripText, type SsoTrip } from './oidc.js';
import type { OidcSettings } from './oidc-file.js';
import type { Joined } from './joining.js';
import { aboutUser } from './sign-in.js';
import { Sso } from './sso.js';
import { SignInTries, type Counted } from './tries.store.js';

/** To the OpenID provider and back. */
@Controller()
export class SsoController {
  constructor(
    private readonly oidc: Oidc,
    private readonly sso: Sso,
    private readonly cookies: Cookies,
    private readonly tries: SignInTries,
    private readonly database: Database,
    private readonly audit: AuditLog,
  ) {}

  @Endpoint('sso.start')
  async start(@Who() caller: Caller, @Res() response: Response): Promise<void> {
    const { url, trip } = await this.oidc.start(caller.requestId);
    this.cookies.set(response, 'sso', tripText(trip));
    response.status(302).setHeader('Location', url.href).end();
  }

  /** Nothing is asked of the provider for a browser that was not sent there from here. */
  @Endpoint('sso.callback')
  async callback(
    @Given() { query }: Input<'sso.callback'>,
    @Who() caller: Caller,
    @Req() request: Request,
    @Res() response: Response,
  ): Promise<void> {
    const { settings } = this.oidc;
    if (settings === null) {
      throw new FleetError('sso_not_configured', 'there is no OpenID provider here');
    }
    const trip = readTrip(this.cookies.read(request, 'sso'));
    // Any page can send any browser here: what began nowhere must not use up the tries of those who sign in.
    const kind = trip !== null && query.state === trip.state ? 'sso' : 'sso from nowhere';
    const counted: Counted[] = [{ pace: 'address', about: `${kind} ${networkOf(caller.ip)}` }];
    await this.tries.take(counted);
    this.cookies.clear(response, 'sso');
    const joined = await this.#enter(caller, request, { trip, query, settings });
    await this.database.transaction((tx) => this.tries.succeeded(tx, counted));
    this.cookies.set(response, 'session', joined.secret);
    response.status(302).setHeader('Location', '/').end();
  }

  async #enter(
    caller: Caller,
    request: Request,
    given: {
      readonly trip: SsoTrip | null;
      readonly query: Input<'sso.callback'>['query'];
      readonly settings: OidcSettings;
    },
  ): Promise<Joined> {
    const { trip, query, settings } = given;
    try {
      if (trip === null || query.code === undefined || query.state !== trip.state) {
        throw new FleetError('sso_failed', 'this sign-in did not begin in this browser');
      }
      const search = new URL(request.originalUrl, 'http://localhost').search;
      const identity = await this.oidc.finish(search, trip, caller.requestId);
      return await this.sso.enter(caller, identity, settings);
    } catch (error) {
      if (!(error instanceof FleetError) || error.kind !== 'user') throw error;
      const details = { how: 'sso', error_code: error.code };
      await this.database.transaction((tx) =>
        this.audit.append(tx, aboutUser(caller, 'session.sign_in', '', details, 'refused')),
      );
      throw error;
    }
  }
}
