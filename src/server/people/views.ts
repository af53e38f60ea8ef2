import type { Grant } from '../../core/access/index.js';
import { toIso } from '../../core/kernel/index.js';
import type { Answer } from '../../protocol/api/index.js';
import type { InvitationRecord } from './invitations.store.js';
import type { MemberRecord } from './members.store.js';
import type { SessionRecord } from './sessions.store.js';
import { isActive, type UserRecord } from './users.store.js';

const isoOrNull = (at: number | null): string | null => (at === null ? null : toIso(at));

/** People hold roles; permissions by name are for tokens. */
export const grantsView = (grants: readonly Grant[]): Answer<'session.show'>['grants'] =>
  grants.flatMap((grant) =>
    'role' in grant
      ? [{ role: grant.role, group_id: 'groupId' in grant ? grant.groupId : null }]
      : [],
  );

export function userView(user: UserRecord, nowMs: number): Answer<'users.list'>['items'][number] {
  const notActive = user.disabledAt === null ? 'expired' : 'disabled';
  return {
    id: user.id,
    login: user.login,
    name: user.name,
    super_admin: user.isSuperAdmin,
    kind: user.kind,
    has_second_factor: user.factorSecret !== null,
    status: isActive(user, nowMs) ? 'active' : notActive,
    created_at: toIso(user.createdAt),
    expires_at: isoOrNull(user.expiresAt),
    last_sign_in_at: isoOrNull(user.lastSignInAt),
  };
}

export const sessionView = (
  session: SessionRecord,
  thisId: string | undefined,
): Answer<'sessions.list'>['items'][number] => ({
  id: session.id,
  kind: session.kind,
  is_this: session.id === thisId,
  created_at: toIso(session.createdAt),
  used_at: toIso(session.usedAt),
  expires_at: toIso(session.expiresAt),
  ip: session.ip,
  user_agent: session.userAgent,
});

export const memberView = (member: MemberRecord): Answer<'members.set'> => ({
  user_id: member.userId,
  login: member.login,
  name: member.name,
  group_id: member.groupId,
  role: member.role,
  source: member.source,
  expires_at: isoOrNull(member.expiresAt),
});

export const invitationView = (
  invitation: InvitationRecord,
): Answer<'invitations.list'>['items'][number] => ({
  id: invitation.id,
  note: invitation.note,
  super_admin: invitation.isSuperAdmin,
  group_id: invitation.groupId,
  role: invitation.role,
  invited_by: invitation.invitedBy,
  created_at: toIso(invitation.createdAt),
  expires_at: toIso(invitation.expiresAt),
});
