export { covers, decide, holdsAnywhere, scopeOf, type Denial } from './decide.js';
export {
  grantAllows,
  GROUP_ROLES,
  PERMISSIONS,
  PLATFORM_ROLES,
  requiredRole,
  roleAllows,
  WHOLE_PERMISSIONS,
  type Grant,
  type GroupRole,
  type Permission,
  type PlatformRole,
  type Role,
} from './permissions.js';
