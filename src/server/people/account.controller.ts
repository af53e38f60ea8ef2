import { Controller, Res } from '@nestjs/common';
import type { Response } from 'express';
import { base32, otpauthUri } from '../../core/people/index.js';
import { FleetError } from '../../core/kernel/index.js';
import type { Answer, Input } from '../../protocol/api/index.js';
import { AuditLog } from '../audit/index.js';
import { Database } from '../platform/database/index.js';
import { Endpoint, Given, Who, type Caller } from '../platform/http/index.js';
import { Entrance } from './entrance.js';
import { hashChosen } from './joining.js';
import { aboutUser, SignIn } from './sign-in.js';
import { Stores } from './stores.js';

/** What authenticator programs show above the code. */
const ISSUER = 'Bellwether';

/** What protects the own account. A session alone changes nothing of it: the password is asked again. */
@Controller()
export class AccountController {
  constructor(
    private readonly database: Database,
    private readonly signing: SignIn,
    private readonly entrance: Entrance,
    private readonly stores: Stores,
    private readonly audit: AuditLog,
  ) {}

  /** Every session ends and every browser is forgotten; this one starts anew. */
  @Endpoint('account.password')
  async password(
    @Given() { body }: Input<'account.password'>,
    @Who() caller: Caller,
    @Res({ passthrough: true }) response: Response,
  ): Promise<Answer<'account.password'>> {
    const { user, session } = await this.entrance.present(caller);
    requireLocal(user);
    await this.signing.confirm(caller, user, body.current);
    if (body.new === body.current) {
      throw new FleetError('password_weak', 'take another one than before');
    }
    const hash = await hashChosen(body.new, [user.login, user.name]);
    const made = await this.database.transaction(async (tx) => {
      await this.stores.users.setPassword(tx, user.id, hash);
      await this.stores.devices.forgetAll(tx, user.id);
      const ended = await this.stores.sessions.endAll(tx, user.id);
      const details = { sessions_ended: ended };
      await this.audit.append(tx, aboutUser(caller, 'user.password', user.id, details));
      return this.stores.sessions.create(tx, user, session.kind, caller);
    });
    return this.entrance.welcome(response, user, made);
  }

  @Endpoint('account.begin_factor')
  async begin(
    @Given() { body }: Input<'account.begin_factor'>,
    @Who() caller: Caller,
  ): Promise<Answer<'account.begin_factor'>> {
    const { user } = await this.entrance.present(caller);
    requireLocal(user);
    await this.signing.confirm(caller, user, body.password);
    const secret = await this.database.transaction(async (tx) => {
      await this.audit.append(tx, aboutUser(caller, 'factor.begin', user.id));
      return this.stores.factors.begin(tx, user);
    });
    return { secret: base32(secret), uri: otpauthUri(secret, user.login, ISSUER) };
  }

  @Endpoint('account.confirm_factor')
  async confirm(
    @Given() { body }: Input<'account.confirm_factor'>,
    @Who() caller: Caller,
  ): Promise<Answer<'account.confirm_factor'>> {
    const { user } = await this.entrance.present(caller);
    const counted = await this.signing.countCode(user);
    const codes = await this.database.transaction(async (tx) => {
      const made = await this.stores.factors.confirm(tx, user, body.code);
      if (made === null) throw wrongCode();
      await counted.right(tx);
      await this.audit.append(tx, aboutUser(caller, 'factor.confirm', user.id));
      return made;
    });
    return { recovery_codes: [...codes] };
  }

  @Endpoint('account.remove_factor')
  async remove(
    @Given() { body }: Input<'account.remove_factor'>,
    @Who() caller: Caller,
  ): Promise<void> {
    const { user } = await this.entrance.present(caller);
    if (user.factorSecret === null) {
      throw new FleetError('conflict', 'there is no second factor');
    }
    await this.signing.confirm(caller, user, body.password);
    const counted = await this.signing.countCode(user);
    await this.database.transaction(async (tx) => {
      if ((await this.stores.factors.spend(tx, user, body.code)) === null) throw wrongCode();
      await counted.right(tx);
      await this.stores.factors.remove(tx, user.id);
      await this.audit.append(tx, aboutUser(caller, 'factor.remove', user.id, { by: 'owner' }));
    });
  }
}

const wrongCode = (): FleetError =>
  new FleetError('second_factor_wrong', 'the code is wrong, or was used before');

function requireLocal(user: { readonly passwordHash: string | null }): void {
  if (user.passwordHash === null) {
    throw new FleetError(
      'conflict',
      'this user signs in at the OpenID provider, without a password',
    );
  }
}
