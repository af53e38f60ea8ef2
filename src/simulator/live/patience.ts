import { setTimeout as sleep } from 'node:timers/promises';
import { ApiProblem, NoAnswer } from './parts.js';

const WAIT_MS_MAX = 60_000;
/** A connection that was kept open may be closed at the very moment at which it is used again. */
const UNREACHED_MAX = 5;

/**
 * Calls until there is an answer: comes slower when the manager asks for it, and some times again when it
 * was not reached. So only for what may be done twice.
 */
export async function patiently<T>(call: () => Promise<T>): Promise<T> {
  let unreached = 0;
  for (let waitMs = 500; ; waitMs = Math.min(WAIT_MS_MAX, waitMs * 2)) {
    try {
      return await call();
    } catch (error) {
      const isSlowedDown = error instanceof ApiProblem && error.code === 'rate_limited';
      const isUnreached = error instanceof NoAnswer && error.kind === 'unreachable';
      unreached += isUnreached ? 1 : 0;
      if (!isSlowedDown && (!isUnreached || unreached > UNREACHED_MAX)) throw error;
      await sleep(waitMs);
    }
  }
}
