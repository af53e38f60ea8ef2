import { ERRORS, isErrorCode } from '../protocol/index.js';

/** What the program ends with; scripts rely on it. `docs/cli.md` has the same table. */
export const EXIT = {
  ok: 0,
  failed: 1,
  usage: 2,
  network: 3,
  notFound: 4,
  notAllowed: 5,
  conflict: 6,
  rolloutBad: 7,
  timeLimit: 8,
  differs: 9,
} as const;

export const EXIT_MEANINGS: Readonly<Record<keyof typeof EXIT, string>> = {
  ok: 'done',
  failed:
    'refused or failed in a way that has no number of its own; the code in brackets says which',
  usage: 'the command line was not understood; nothing was done',
  network: 'no manager was reached, or the connection broke; nothing is known to have changed',
  notFound: 'what was named is not there, or is not for you to see',
  notAllowed: 'no such sign-in, or not allowed: the token is unknown, ended, or may not do this',
  conflict: 'it exists already, changed meanwhile, or is in a state in which this cannot be done',
  rolloutBad: 'the rollout that was waited for paused, ended otherwise, or left nodes behind',
  timeLimit: 'the time of --timeout is over; what was begun goes on',
  differs: '`diff` found differences; only that command ends so',
};

const BY_CODE: Readonly<Record<string, number>> = {
  cli_usage: EXIT.usage,
  manager_unreachable: EXIT.network,
  unavailable: EXIT.network,
  rollout_incomplete: EXIT.rolloutBad,
  wait_timed_out: EXIT.timeLimit,
};
const BY_STATUS: Readonly<Record<number, number>> = {
  401: EXIT.notAllowed,
  403: EXIT.notAllowed,
  404: EXIT.notFound,
  409: EXIT.conflict,
  412: EXIT.conflict,
};

/** The exit code for an error code: by itself, else by the status that it has over HTTP. */
export function exitCodeOf(code: string): number {
  const own = Object.hasOwn(BY_CODE, code) ? BY_CODE[code] : undefined;
  if (own !== undefined) return own;
  const status = isErrorCode(code) ? ERRORS[code].http : null;
  return (status === null ? undefined : BY_STATUS[status]) ?? EXIT.failed;
}
