import type { Grant } from '../../../core/access/index.js';

/** Who is calling. The guard makes it once a request; handlers get it with `@Who()`. */
export interface Caller {
  readonly kind: 'token' | 'user' | 'system' | 'node' | 'anonymous';
  /** Id of the API token, user or node; the name of the part for `system`; empty for `anonymous`. */
  readonly id: string;
  readonly name: string;
  readonly grants: readonly Grant[];
  /** Of a token: the person who made it, directly or by other tokens. See `personBehind`. */
  readonly makerId?: string;
  /** A person who has to set up a second factor before anything else. */
  readonly lacksFactor?: boolean;
  /** Of a signed-in person. */
  readonly sessionId?: string;
  readonly requestId: string;
  readonly ip: string;
  /** What the program calls itself; anybody can write it. */
  readonly userAgent?: string;
}

/**
 * Who answers for what a caller does. A user, all of his tokens and what those made are one person;
 * what came of the set-up token is one too.
 */
export const personBehind = ({ id, makerId }: Pick<Caller, 'id' | 'makerId'>): string =>
  makerId ?? id;

/** The manager itself, for what it does unasked. `part` is one word such as `rollouts`. */
export const systemCaller = (part: string): Caller => ({
  kind: 'system',
  id: part,
  name: part,
  grants: [{ role: 'super_admin' }],
  requestId: '',
  ip: '',
});
