import { Inject, Injectable } from '@nestjs/common';
import { GROUP_ROLES, type GroupRole } from '../../core/access/index.js';
import { FleetError } from '../../core/kernel/index.js';
import { isShowable, parseLogin, rolesOfClaims } from '../../core/people/index.js';
import { Groups } from '../access/index.js';
import { AuditLog } from '../audit/index.js';
import { Database, type Tx } from '../platform/database/index.js';
import type { Caller } from '../platform/http/index.js';
import { CLOCK, newId, type Clock } from '../platform/index.js';
import type { Identity } from './oidc.js';
import type { OidcSettings } from './oidc-file.js';
import type { Joined } from './joining.js';
import { aboutUser, asUser } from './sign-in.js';
import { Stores } from './stores.js';
import { isActive, type UserRecord } from './users.store.js';

/**
 * Whom a provider sends. People are known by issuer and subject and by nothing else: a name or an
 * address that somebody chose over there never opens an account that is here.
 */
@Injectable()
export class Sso {
  constructor(
    private readonly database: Database,
    private readonly stores: Stores,
    private readonly groups: Groups,
    private readonly audit: AuditLog,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /**
   * Lets somebody in with the roles that the claims give now: those of before are gone. Throws
   * `sso_no_access` when nothing is left, after what was there has been taken away.
   */
  async enter(caller: Caller, identity: Identity, settings: OidcSettings): Promise<Joined> {
    const roles = await this.#rolesOf(identity, settings);
    const joined = await this.database.transaction(async (tx) => {
      const known = await this.stores.users.bySubject(tx, identity.issuer, identity.subject);
      if (known === null && roles.size === 0) return null;
      const user = known ?? (await this.#create(tx, caller, identity));
      await this.#setRoles(tx, caller, user, roles);
      const grants = await this.stores.members.grantsOf(user, tx);
      const isIn = isActive(user, this.clock.now()) && grants.length > 0;
      if (!isIn) {
        await this.stores.sessions.endAll(tx, user.id);
        return null;
      }
      await this.stores.users.signedIn(tx, user.id);
      await this.audit.append(
        tx,
        aboutUser(asUser(caller, user), 'session.sign_in', user.id, { how: 'sso' }),
      );
      return { user, ...(await this.stores.sessions.create(tx, user, 'cookie', caller)) };
    });
    if (joined === null) throw new FleetError('sso_no_access', 'no group of yours gives access');
    return joined;
  }

  /** Without groups that are not there: a line too much in the file must not shut everybody out. */
  async #rolesOf(
    { groups }: Identity,
    { rules }: OidcSettings,
  ): Promise<ReadonlyMap<string, GroupRole>> {
    const roles = new Map(rolesOfClaims(groups, rules, GROUP_ROLES));
    for (const groupId of roles.keys()) {
      if ((await this.groups.find(groupId)) === null) roles.delete(groupId);
    }
    return roles;
  }

  async #create(tx: Tx, caller: Caller, identity: Identity): Promise<UserRecord> {
    const { issuer, subject } = identity;
    const parsed = parseLogin(identity.wantedLogin);
    const spare = `sso-${newId('x').slice(2, 14)}`;
    const named = parsed.ok ? parsed.value : spare;
    const name = isShowable(identity.name) ? identity.name.slice(0, 128) : named;
    const wanted = {
      name: name.normalize('NFC').toWellFormed(),
      isSuperAdmin: false,
      expiresAt: null,
      passwordHash: null,
      subject: { issuer, subject },
    };
    const user = await this.stores.users
      .create(tx, { ...wanted, login: named })
      .catch((error: unknown) => {
        // The name is taken, by somebody else: this one gets another.
        if (!(error instanceof FleetError) || error.code !== 'conflict') throw error;
        return this.stores.users.create(tx, { ...wanted, login: spare });
      });
    const details = { how: 'sso', login: user.login, super_admin: false };
    await this.audit.append(tx, aboutUser(caller, 'user.create', user.id, details));
    return user;
  }

  async #setRoles(
    tx: Tx,
    caller: Caller,
    { id: userId }: UserRecord,
    roles: ReadonlyMap<string, GroupRole>,
  ): Promise<void> {
    const members = await this.stores.members.ofUser(userId, tx);
    const before = members.filter(({ source }) => source === 'sso');
    const source = 'sso' as const;
    for (const { groupId, role } of before.filter((one) => !roles.has(one.groupId))) {
      await this.stores.members.remove(tx, { userId, groupId, source });
      const entry = aboutUser(caller, 'member.remove', userId, { role, source });
      await this.audit.append(tx, { ...entry, groupId });
    }
    for (const [groupId, role] of roles) {
      if (before.some((one) => one.groupId === groupId && one.role === role)) continue;
      await this.stores.members.set(tx, { userId, groupId, source, role, expiresAt: null });
      const entry = aboutUser(caller, 'member.set', userId, { role, source });
      await this.audit.append(tx, { ...entry, groupId });
    }
    const ended = await this.stores.invitations.endUnfounded(tx, userId);
    if (ended === 0) return;
    const details = { invitations_ended: ended, source };
    await this.audit.append(tx, aboutUser(caller, 'invitation.revoke', userId, details));
  }
}
