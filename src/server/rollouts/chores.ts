import type { Instant } from '../../core/kernel/index.js';

/** One thing to see to. Safe to do twice. */
export interface Task {
  readonly what: string;
  readonly run: () => Promise<void>;
}
/** What is looked for in a sweep besides. One that rejects holds no other up. */
export interface Chore {
  readonly what: string;
  readonly find: (now: Instant) => Promise<readonly Task[]>;
}
export const CHORES = Symbol('chores');
