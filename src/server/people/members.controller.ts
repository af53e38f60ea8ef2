import { Controller, Inject } from '@nestjs/common';
import { FleetError } from '../../core/kernel/index.js';
import type { Answer, Input } from '../../protocol/api/index.js';
import { Access, requireSuperAdmin } from '../access/index.js';
import { AuditLog } from '../audit/index.js';
import { Database } from '../platform/database/index.js';
import { Endpoint, Given, pageFrom, readCursor, Who, type Caller } from '../platform/http/index.js';
import { CLOCK, CONFIG, type Clock, type Config } from '../platform/index.js';
import { endAfter, type InvitationRecord } from './invitations.store.js';
import { Stores } from './stores.js';
import { invitationView, memberView } from './views.js';

/** Who holds a role on a group: for its admins and those above. */
@Controller()
export class MembersController {
  constructor(
    private readonly database: Database,
    private readonly stores: Stores,
    private readonly access: Access,
    private readonly audit: AuditLog,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  @Endpoint('members.list')
  async list(
    @Given() { params, query }: Input<'members.list'>,
    @Who() caller: Caller,
  ): Promise<Answer<'members.list'>> {
    await this.access.require(caller, 'member.manage', params.id);
    const after = readCursor(query.cursor);
    const rows = await this.stores.members.ofGroup(params.id, after, query.limit + 1);
    const keyOf = ({ createdAt, userId, source }: (typeof rows)[number]) => ({
      at: createdAt,
      id: `${userId}_${source}`,
    });
    return pageFrom(rows, query.limit, keyOf, memberView);
  }

  /** Nobody gives more than he holds; who could only manage members gives nothing. */
  @Endpoint('members.set')
  async set(
    @Given() { params, body }: Input<'members.set'>,
    @Who() caller: Caller,
  ): Promise<Answer<'members.set'>> {
    const { login, role } = body;
    await this.access.requireToGive(caller, role, params.id);
    const expiresAt = endAfter(this.clock.now(), body.expires_in_days);
    const userId = await this.database.transaction(async (tx) => {
      const user = await this.stores.users.byLogin(login, tx);
      if (user === null) throw new FleetError('not_found', 'no such user');
      const at = { userId: user.id, groupId: params.id, source: 'manual' as const };
      await this.stores.members.set(tx, { ...at, role, expiresAt });
      const ended = await this.stores.invitations.endUnfounded(tx, user.id);
      await this.audit.append(tx, {
        caller,
        action: 'member.set',
        targetKind: 'user',
        targetId: user.id,
        groupId: params.id,
        outcome: 'allowed',
        details: {
          login,
          role,
          expires_in_days: body.expires_in_days,
          source: 'manual',
          ...(ended === 0 ? {} : { invitations_ended: ended }),
        },
      });
      return user.id;
    });
    const members = await this.stores.members.ofUser(userId);
    const made = members.find((one) => one.groupId === params.id && one.source === 'manual');
    if (made === undefined) throw new FleetError('conflict', 'it was taken away meanwhile');
    return memberView(made);
  }

  @Endpoint('members.remove')
  async remove(@Given() { params }: Input<'members.remove'>, @Who() caller: Caller): Promise<void> {
    await this.access.require(caller, 'member.manage', params.id);
    await this.database.transaction(async (tx) => {
      const at = { userId: params.user, groupId: params.id, source: 'manual' as const };
      const role = await this.stores.members.remove(tx, at);
      if (role === null) throw new FleetError('not_found', 'no such member');
      const ended = await this.stores.invitations.endUnfounded(tx, params.user);
      await this.audit.append(tx, {
        caller,
        action: 'member.remove',
        targetKind: 'user',
        targetId: params.user,
        groupId: params.id,
        outcome: 'allowed',
        details: {
          role,
          source: 'manual',
          ...(ended === 0 ? {} : { invitations_ended: ended }),
        },
      });
    });
  }
}

/** Invitations: to a group by its admins, to everything by super admins. */
@Controller()
export class InvitationsController {
  constructor(
    private readonly database: Database,
    private readonly stores: Stores,
    private readonly access: Access,
    private readonly audit: AuditLog,
    @Inject(CONFIG) private readonly config: Config,
  ) {}

  @Endpoint('invitations.list')
  async list(
    @Given() { query }: Input<'invitations.list'>,
    @Who() caller: Caller,
  ): Promise<Answer<'invitations.list'>> {
    const rows = await this.stores.invitations.list({
      groups: await this.access.visibleGroups(caller, 'member.manage'),
      before: readCursor(query.cursor),
      limit: query.limit + 1,
    });
    return pageFrom(rows, query.limit, ({ createdAt: at, id }) => ({ at, id }), invitationView);
  }

  @Endpoint('invitations.create')
  async create(
    @Given() { body }: Input<'invitations.create'>,
    @Who() caller: Caller,
  ): Promise<Answer<'invitations.create'>> {
    const wanted = {
      note: body.note,
      isSuperAdmin: body.super_admin,
      groupId: body.group_id,
      role: body.role,
      userDays: body.user_expires_in_days,
    };
    await this.#require(caller, wanted);
    if (wanted.groupId !== null && wanted.role !== null) {
      await this.access.requireToGive(caller, wanted.role, wanted.groupId);
    }
    const { invitation, secret } = await this.database.transaction(async (tx) => {
      const made = await this.stores.invitations.create(tx, {
        ...wanted,
        invitedBy: caller.id,
        expiresInHours: body.expires_in_hours,
      });
      const { note, super_admin, role, user_expires_in_days } = body;
      await this.audit.append(tx, {
        caller,
        action: 'invitation.create',
        targetKind: 'invitation',
        targetId: made.invitation.id,
        groupId: body.group_id,
        outcome: 'allowed',
        details: { note, super_admin, role, user_expires_in_days },
      });
      return made;
    });
    // Behind `#`: it reaches neither logs nor the `Referer` of anything.
    const link = `${this.config.publicUrl}/#/invitation/${secret}`;
    return { ...invitationView(invitation), secret, link };
  }

  /** One that the caller could not have made is not there. */
  @Endpoint('invitations.revoke')
  async revoke(
    @Given() { params }: Input<'invitations.revoke'>,
    @Who() caller: Caller,
  ): Promise<void> {
    const invitation = await this.stores.invitations.byId(params.id);
    const missing = new FleetError('not_found', 'no such invitation');
    if (invitation === null) throw missing;
    await this.#require(caller, invitation).catch((error: unknown) => {
      throw error instanceof FleetError && error.kind === 'user' ? missing : error;
    });
    await this.database.transaction(async (tx) => {
      if (!(await this.stores.invitations.revoke(tx, params.id))) throw missing;
      await this.audit.append(tx, {
        caller,
        action: 'invitation.revoke',
        targetKind: 'invitation',
        targetId: params.id,
        groupId: invitation.groupId,
        outcome: 'allowed',
        details: { note: invitation.note },
      });
    });
  }

  /** Nobody invites to more than he holds himself: each part of it is asked about. */
  async #require(
    caller: Caller,
    wanted: Pick<InvitationRecord, 'isSuperAdmin' | 'groupId'>,
  ): Promise<void> {
    if (wanted.groupId !== null) await this.access.require(caller, 'member.manage', wanted.groupId);
    if (wanted.isSuperAdmin) requireSuperAdmin(caller);
  }
}
