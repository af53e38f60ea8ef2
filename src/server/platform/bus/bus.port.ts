import type { MessageOf, Topic } from './topics.js';

/**
 * What the managers on one database tell each other (DESIGN 3.4). Hints, and nothing that must arrive: SQL is
 * the truth, and whoever missed a message finds it by looking. Nothing here waits, or throws because of a
 * server. Every adapter passes `test/contract/bus.contract.ts`.
 */
export interface Bus {
  /** Whether anybody else could hear. False: telling is for nothing, and costs nothing. */
  readonly isShared: boolean;
  /** From now on what is meant for this id comes here. It replaces the one before. */
  answerTo(id: string): void;
  /**
   * Tells one other manager, or all of them; never oneself. May be lost, doubled, and come out of order. False: it
   * was dropped at once, since nobody listens or it is too much.
   */
  tell<T extends Topic>(topic: T, message: MessageOf<T>, to?: string): boolean;
  /** Registered at start. What a handler throws is logged, and holds up nobody. */
  hear<T extends Topic>(topic: T, handler: (message: MessageOf<T>) => void): void;
  /** Idempotent; afterwards nothing is told or heard. */
  close(): Promise<void>;
}
export const BUS = Symbol('bus');
