export { ERROR_CODES, ERRORS, isErrorCode, type ErrorCode, type Severity } from './errors.js';
