import { err, ok, type Refusal, type Result } from '../kernel/index.js';

export const LOGIN_LENGTH_MIN = 2;
export const LOGIN_LENGTH_MAX = 64;

const LOGIN = /^[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?$/;

/**
 * A login name as it is stored: lower case. Refuses everything outside of ASCII before the case is
 * folded: `toLowerCase` makes a plain `k` of the Kelvin sign.
 */
export function parseLogin(text: string): Result<string, Refusal<'invalid_request'>> {
  const refused = (message: string): Result<never, Refusal<'invalid_request'>> =>
    err({ code: 'invalid_request', message });
  if (!/^[\u0020-\u007e]*$/.test(text)) {
    return refused('take letters a to z, digits, dot, hyphen and underscore');
  }
  const login = text.trim().toLowerCase();
  if (login.length < LOGIN_LENGTH_MIN || login.length > LOGIN_LENGTH_MAX) {
    return refused(`take ${LOGIN_LENGTH_MIN} to ${LOGIN_LENGTH_MAX} characters`);
  }
  if (!LOGIN.test(login)) {
    return refused('take letters a to z, digits, dot, hyphen and underscore between them');
  }
  return ok(login);
}

/**
 * What a login name looks like at a glance. Two people must not share it: `adm1n` and `admin`,
 * `rnary` and `mary`, `j.doe` and `jdoe` would be taken for one another.
 */
export const skeletonOf = (login: string): string =>
  login
    .replace(/[._-]/g, '')
    .replace(/[1i|]/g, 'l')
    .replace(/0/g, 'o')
    .replace(/5/g, 's')
    .replace(/rn/g, 'm')
    .replace(/vv/g, 'w');

/** Whether a display name can be shown: no controls, nothing unseen, nothing that turns the line. */
export const isShowable = (name: string): boolean =>
  name.trim() !== '' && !/[\p{C}\p{Zl}\p{Zp}]/u.test(name);
