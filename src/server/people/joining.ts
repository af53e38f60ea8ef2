import { Inject, Injectable } from '@nestjs/common';
import { judgePassword } from '../../core/people/index.js';
import { FleetError } from '../../core/kernel/index.js';
import type { Input } from '../../protocol/api/index.js';
import { Refusals, Setup } from '../access/index.js';
import { AuditLog } from '../audit/index.js';
import { Database, type Tx } from '../platform/database/index.js';
import type { Caller } from '../platform/http/index.js';
import { CLOCK, type Clock } from '../platform/index.js';
import { endAfter, type InvitationRecord } from './invitations.store.js';
import { hashPassword } from './password-hash.js';
import type { SessionRecord } from './sessions.store.js';
import { aboutUser, asUser } from './sign-in.js';
import { Stores } from './stores.js';
import type { UserRecord } from './users.store.js';

/** Somebody new, who is in. */
export interface Joined {
  readonly user: UserRecord;
  readonly session: SessionRecord;
  readonly secret: string;
}

/** The hash of a password that may be chosen. Throws `password_weak`. */
export async function hashChosen(password: string, names: readonly string[]): Promise<string> {
  const judged = judgePassword(password, names);
  if (!judged.ok) throw new FleetError(judged.error.code, judged.error.message);
  return hashPassword(judged.value);
}

/** How users come to be: the first one by set-up, the others by an invitation. */
@Injectable()
export class Joining {
  constructor(
    private readonly database: Database,
    private readonly stores: Stores,
    private readonly setup: Setup,
    private readonly refusals: Refusals,
    private readonly audit: AuditLog,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /** Once, with the set-up token. Throws as `Setup.trade` does, and `password_weak`. */
  async firstUser(caller: Caller, body: Input<'setup.first_user'>['body']): Promise<Joined> {
    const { login, name } = body;
    // Judged at once; hashed only when the token is good, so that strangers cost nothing.
    const judged = judgePassword(body.password, [login, name]);
    if (!judged.ok) throw new FleetError(judged.error.code, judged.error.message);
    await this.setup.check(caller, body.setup_token, 'setup.first_user');
    const passwordHash = await hashPassword(judged.value);
    return this.setup.trade(caller, body.setup_token, 'setup.first_user', async (tx) => {
      const wanted = { login, name, passwordHash, isSuperAdmin: true, expiresAt: null };
      const user = await this.stores.users.create(tx, { ...wanted, subject: null });
      return this.#letIn(tx, caller, user, 'cookie', 'set-up');
    });
  }

  /** Throws `invitation_invalid`, `password_weak`, or `conflict` when the login is taken. */
  async accept(caller: Caller, body: Input<'invitations.accept'>['body']): Promise<Joined> {
    const { login, name, secret } = body;
    if (!(await this.stores.invitations.isOpen(secret))) return await this.#refuse(caller);
    const passwordHash = await hashChosen(body.password, [login, name]);
    const joined = await this.database.transaction(async (tx) => {
      const invitation = await this.stores.invitations.take(tx, secret);
      if (invitation === null) return null;
      const expiresAt = endAfter(this.clock.now(), invitation.userDays);
      const { isSuperAdmin } = invitation;
      const wanted = { login, name, passwordHash, isSuperAdmin, expiresAt, subject: null };
      const user = await this.stores.users.create(tx, wanted);
      await this.#asInvited(tx, caller, user, invitation);
      return this.#letIn(tx, caller, user, body.as, 'invitation');
    });
    return joined ?? (await this.#refuse(caller));
  }

  #refuse(caller: Caller): Promise<never> {
    const error = new FleetError('invitation_invalid', 'wrong, used, revoked or expired');
    return this.refusals.refuse(caller, error, 'invitations.accept');
  }

  /** What somebody gets was decided by whoever invited him, and by nothing that he sends. */
  async #asInvited(
    tx: Tx,
    caller: Caller,
    user: UserRecord,
    { groupId, role, id }: InvitationRecord,
  ): Promise<void> {
    if (groupId === null || role === null) return;
    const expiresAt = null;
    await this.stores.members.set(tx, {
      userId: user.id,
      groupId,
      role,
      source: 'manual',
      expiresAt,
    });
    await this.audit.append(tx, {
      ...aboutUser(asUser(caller, user), 'member.set', user.id, { role, invitation_id: id }),
      groupId,
    });
  }

  async #letIn(
    tx: Tx,
    caller: Caller,
    user: UserRecord,
    as: 'cookie' | 'token',
    how: string,
  ): Promise<Joined> {
    const details = { how, login: user.login, super_admin: user.isSuperAdmin };
    const self = asUser(caller, user);
    await this.audit.append(tx, aboutUser(self, 'user.create', user.id, details));
    await this.audit.append(tx, aboutUser(self, 'session.sign_in', user.id, { how }));
    await this.stores.users.signedIn(tx, user.id);
    return { user, ...(await this.stores.sessions.create(tx, user, as, caller)) };
  }
}
