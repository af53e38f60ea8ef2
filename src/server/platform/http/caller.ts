import type { Grant } from '../../../core/access/index.js';

/** Who is calling. The guard makes it once a request; handlers get it with `@Who()`. */
export interface Caller {
  readonly kind: 'token' | 'user' | 'system' | 'node' | 'anonymous';
  /** Id of the API token, user or node; the name of the part for `system`; empty for `anonymous`. */
  readonly id: string;
  readonly name: string;
  readonly grants: readonly Grant[];
  /** Of a signed-in person. */
  readonly sessionId?: string;
  readonly requestId: string;
  readonly ip: string;
  /** What the program calls itself; anybody can write it. */
  readonly userAgent?: string;
}

/** The manager itself, for what it does unasked. `part` is one word such as `rollouts`. */
export const systemCaller = (part: string): Caller => ({
  kind: 'system',
  id: part,
  name: part,
  grants: [{ role: 'super_admin' }],
  requestId: '',
  ip: '',
});
