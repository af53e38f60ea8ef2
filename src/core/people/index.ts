export { claimValues, rolesOfClaims, type ClaimRule } from './claims.js';
export {
  isShowable,
  LOGIN_LENGTH_MAX,
  LOGIN_LENGTH_MIN,
  parseLogin,
  skeletonOf,
} from './login-name.js';
export {
  judgePassword,
  normalPassword,
  PASSWORD_LENGTH_MAX,
  PASSWORD_LENGTH_MIN,
} from './password.js';
export {
  base32,
  codeOf,
  otpauthUri,
  stepAt,
  stepOfCode,
  TOTP_SECRET_BYTES,
  TOTP_STEP_MS,
} from './totp.js';
export { oneMore, PACES, waitAfter, type Pace, type PaceName, type Tries } from './waiting.js';
