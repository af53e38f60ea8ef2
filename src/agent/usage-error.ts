/** 0 done; 78 wrong configuration (sysexits.h); the rest is ours. */
export const EXIT = {
  done: 0,
  failed: 1,
  usage: 2,
  /** The manager cannot be reached. */
  unreachable: 3,
  /** No agent runs here, or it does not answer. */
  notRunning: 4,
  /** Refused by what is so on this node; nothing was changed. */
  refused: 5,
  /** `status --is-up-to-date`: something is under way. */
  pending: 6,
  config: 78,
} as const;

/** The command line is wrong; told together with the usage. */
export class UsageError extends Error {}
