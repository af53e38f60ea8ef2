/** Where time comes from; specs pass their own. */
export interface Clock {
  /** Milliseconds since 1970. */
  now(): number;
}

/** Injection tokens for what is not a class. */
export const CONFIG = Symbol('config');
export const CLOCK = Symbol('clock');
export const LOGGER = Symbol('logger');
