import { Controller, Inject } from '@nestjs/common';
import { FleetError } from '../../core/kernel/index.js';
import type { Answer, Input } from '../../protocol/api/index.js';
import { ApiTokens, OpenRequests, requireSuperAdmin } from '../access/index.js';
import { AuditLog } from '../audit/index.js';
import { Database, type Tx } from '../platform/database/index.js';
import { Endpoint, Given, pageFrom, readCursor, Who, type Caller } from '../platform/http/index.js';
import { CLOCK, type Clock } from '../platform/index.js';
import { endAfter } from './invitations.store.js';
import { aboutUser } from './sign-in.js';
import { Stores } from './stores.js';
import type { UserRecord } from './users.store.js';
import { memberView, userView } from './views.js';

/** Users as super admins see and change them. */
@Controller()
export class UsersController {
  constructor(
    private readonly database: Database,
    private readonly stores: Stores,
    private readonly tokens: ApiTokens,
    private readonly open: OpenRequests,
    private readonly audit: AuditLog,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  @Endpoint('users.list')
  async list(@Given() { query }: Input<'users.list'>): Promise<Answer<'users.list'>> {
    const rows = await this.stores.users.list(readCursor(query.cursor), query.limit + 1);
    const nowMs = this.clock.now();
    return pageFrom(
      rows,
      query.limit,
      ({ createdAt: at, id }) => ({ at, id }),
      (user) => userView(user, nowMs),
    );
  }

  @Endpoint('users.show')
  async show(@Given() { params }: Input<'users.show'>): Promise<Answer<'users.show'>> {
    const user = await this.stores.users.byId(params.id);
    if (user === null) throw noSuchUser();
    const members = await this.stores.members.ofUser(user.id);
    return { ...userView(user, this.clock.now()), members: members.map(memberView) };
  }

  @Endpoint('users.update')
  async update(
    @Given() { params, body }: Input<'users.update'>,
    @Who() caller: Caller,
  ): Promise<Answer<'users.update'>> {
    const { name, super_admin: isSuperAdmin, expires_in_days: days } = body;
    if (isSuperAdmin === true) requireSuperAdmin(caller);
    return this.#change(params.id, caller, async (tx, user) => {
      const changed = await this.stores.users.update(tx, user, {
        ...(name === undefined ? {} : { name }),
        ...(isSuperAdmin === undefined ? {} : { isSuperAdmin }),
        ...(days === undefined ? {} : { expiresAt: endAfter(this.clock.now(), days) }),
      });
      const demoted = isSuperAdmin === false ? await this.#demoted(tx, caller, user) : {};
      const invitations = await this.stores.invitations.endUnfounded(tx, user.id);
      const { expiresAt } = changed;
      if (expiresAt !== null) tx.afterCommit(() => this.open.shortenPerson(user.id, expiresAt));
      const details = {
        ...body,
        ...demoted,
        ...(invitations === 0 ? {} : { invitations_ended: invitations }),
      };
      await this.audit.append(tx, aboutUser(caller, 'user.update', user.id, details));
      return changed;
    });
  }

  /** Idempotent; nothing is written for one who is disabled already. */
  @Endpoint('users.disable')
  async disable(
    @Given() { params }: Input<'users.disable'>,
    @Who() caller: Caller,
  ): Promise<Answer<'users.disable'>> {
    return this.#change(params.id, caller, async (tx, user) => {
      if (user.disabledAt !== null) return user;
      const changed = await this.stores.users.update(tx, user, { disabledAt: this.clock.now() });
      await this.stores.sessions.endAll(tx, user.id);
      await this.stores.devices.forgetAll(tx, user.id);
      // What is nearly done may end; streams are cut at the next look.
      tx.afterCommit(() => this.open.shortenPerson(user.id, this.clock.now()));
      const ended = await this.stores.invitations.endUnfounded(tx, user.id);
      const details = {
        login: user.login,
        ...(ended === 0 ? {} : { invitations_ended: ended }),
      };
      await this.audit.append(tx, aboutUser(caller, 'user.disable', user.id, details));
      return changed;
    });
  }

  /** Idempotent. */
  @Endpoint('users.enable')
  async enable(
    @Given() { params }: Input<'users.enable'>,
    @Who() caller: Caller,
  ): Promise<Answer<'users.enable'>> {
    return this.#change(params.id, caller, async (tx, user) => {
      if (user.disabledAt === null) return user;
      const changed = await this.stores.users.update(tx, user, { disabledAt: null });
      const details = { login: user.login };
      await this.audit.append(tx, aboutUser(caller, 'user.enable', user.id, details));
      return changed;
    });
  }

  @Endpoint('users.sign_out')
  async signOut(
    @Given() { params }: Input<'users.sign_out'>,
    @Who() caller: Caller,
  ): Promise<void> {
    await this.database.transaction(async (tx) => {
      const user = await this.#find(tx, params.id, caller);
      const details = { sessions_ended: await this.stores.sessions.endAll(tx, user.id) };
      await this.audit.append(tx, aboutUser(caller, 'user.sign_out', user.id, details));
    });
  }

  @Endpoint('users.reset_factor')
  async resetFactor(
    @Given() { params }: Input<'users.reset_factor'>,
    @Who() caller: Caller,
  ): Promise<void> {
    await this.database.transaction(async (tx) => {
      const user = await this.#find(tx, params.id, caller);
      await this.stores.factors.remove(tx, user.id);
      await this.stores.sessions.endAll(tx, user.id);
      await this.audit.append(tx, aboutUser(caller, 'factor.remove', user.id, { by: 'admin' }));
    });
  }

  /** What he gave away as a super admin goes with it: only super admins make tokens. */
  async #demoted(tx: Tx, caller: Caller, user: UserRecord): Promise<{ tokens_ended: number }> {
    if (!user.isSuperAdmin) return { tokens_ended: 0 };
    const ids = await this.tokens.revokeOf(tx, user.id);
    tx.afterCommit(() => {
      for (const id of ids) this.open.cut(id, caller.requestId);
    });
    return { tokens_ended: ids.length };
  }

  /** One change at a time to who is a super admin; whoever would be the last one stays. */
  async #change(
    id: string,
    caller: Caller,
    work: (tx: Tx, user: UserRecord) => Promise<UserRecord>,
  ): Promise<Answer<'users.update'>> {
    const changed = await this.database.transaction(async (tx) => {
      await this.stores.users.lockSuperAdmins(tx);
      const user = await this.#find(tx, id, caller);
      const next = await work(tx, user);
      await this.stores.users.keepSuperAdmin(tx, user);
      return next;
    });
    return userView(changed, this.clock.now());
  }

  /** Super admins are changed by their like; who may manage users is not one by that. */
  async #find(tx: Tx, id: string, caller: Caller): Promise<UserRecord> {
    const user = await this.stores.users.byId(id, tx);
    if (user === null) throw noSuchUser();
    if (user.isSuperAdmin) requireSuperAdmin(caller);
    return user;
  }
}

const noSuchUser = (): FleetError => new FleetError('not_found', 'no such user');
