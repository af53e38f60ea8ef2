/** Held on a group and on every group below it; each role may do all that the one before may. */
export const GROUP_ROLES = ['viewer', 'operator', 'admin'] as const;
export type GroupRole = (typeof GROUP_ROLES)[number];

/** Held on the whole installation. `release` is for pipelines: it publishes and sees releases. */
export const PLATFORM_ROLES = ['super_admin', 'release'] as const;
export type PlatformRole = (typeof PLATFORM_ROLES)[number];

export type Role = PlatformRole | GroupRole;

/**
 * A role and where it is held; or permissions by name, for a machine that needs less than any role:
 * on a group and below it, or everywhere (`groupId` null).
 */
export type Grant =
  | { readonly role: PlatformRole }
  | { readonly role: GroupRole; readonly groupId: string }
  | { readonly permissions: readonly Permission[]; readonly groupId: string | null };

interface PermissionRow {
  /** The lowest group role that has it; null when no group role does. */
  readonly groupRole: GroupRole | null;
  /** Whether the `release` role has it. */
  readonly release: boolean;
}

const fromRole = (groupRole: GroupRole): PermissionRow => ({ groupRole, release: false });

/**
 * Who may do what. Whatever is not granted here is refused; `super_admin` holds every row and so
 * needs no column. `admin` is asked for where one call changes who belongs to a group or what a
 * whole group runs; one machine at a time is work for an `operator`.
 */
const TABLE = {
  'token.manage': { groupRole: null, release: false },
  'user.manage': { groupRole: null, release: false },
  'member.manage': fromRole('admin'),
  'group.view': fromRole('viewer'),
  'group.manage': fromRole('admin'),
  'quota.manage': { groupRole: null, release: false },
  'node.view': fromRole('viewer'),
  'node.enroll': fromRole('admin'),
  'node.upgrade': fromRole('operator'),
  'group.upgrade': fromRole('admin'),
  'release.view': { groupRole: 'viewer', release: true },
  'release.publish': { groupRole: null, release: true },
  'rollout.view': fromRole('viewer'),
  'rollout.control': fromRole('operator'),
  'event.view': fromRole('viewer'),
  'sink.manage': fromRole('admin'),
  'audit.view': fromRole('admin'),
  // Numbers of the whole installation: for a super admin, and for tokens that hold it everywhere.
  'metrics.view': { groupRole: null, release: false },
} as const satisfies Record<string, PermissionRow>;

export type Permission = keyof typeof TABLE;

export const PERMISSIONS = Object.keys(TABLE) as readonly Permission[];

/** Whether a role, wherever it is held, has the permission. */
export function roleAllows(role: Role, permission: Permission): boolean {
  const row: PermissionRow = TABLE[permission];
  if (role === 'super_admin') return true;
  if (role === 'release') return row.release;
  return row.groupRole !== null && GROUP_ROLES.indexOf(role) >= GROUP_ROLES.indexOf(row.groupRole);
}

/**
 * Permissions on what belongs to no group: users and releases are those of the whole installation. Held on
 * a group they would be held on everything, so there they are worth nothing.
 */
export const WHOLE_PERMISSIONS: readonly Permission[] = ['user.manage', 'release.publish'];

/** Whether a grant, wherever it is held, has the permission. */
export function grantAllows(grant: Grant, permission: Permission): boolean {
  if ('role' in grant) return roleAllows(grant.role, permission);
  if (grant.groupId !== null && WHOLE_PERMISSIONS.includes(permission)) return false;
  return PERMISSIONS.includes(permission) && grant.permissions.includes(permission);
}

/** The lowest role that has the permission, to be told to whoever lacks it. */
export function requiredRole(permission: Permission): Role {
  const row: PermissionRow = TABLE[permission];
  return row.groupRole ?? (row.release ? 'release' : 'super_admin');
}
