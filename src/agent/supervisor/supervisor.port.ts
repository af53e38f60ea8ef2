/** Another program on this machine that runs services and starts them again: systemd, supervisord, OpenRC. */
export interface Supervisor {
  /** How things stand at this moment. Rejects when that cannot be found out, which is no end. */
  look(): Promise<Seen>;
  /** Has the service started, and does not wait until it is ready. Idempotent. */
  start(): Promise<void>;
  /** Asks for the end, and need not wait for it. Idempotent. */
  stop(): Promise<void>;
  /** Ends by force what `stop` did not, also what is left of a run that has ended. Idempotent. */
  kill(seen: Seen): Promise<void>;
}

export interface Seen {
  /**
   * `ready`: runs, and has said so where it has to. `starting`, `stopping`: there is a process.
   * `waiting`: it has ended and the supervisor starts it again. `ended`: it does not.
   */
  readonly state: 'ready' | 'starting' | 'stopping' | 'waiting' | 'ended';
  readonly pid: number | null;
  /** How often it ended by itself since it was last started on purpose; null when nobody counts. */
  readonly ends: number | null;
  /** Names this run of it, another at each start; null when it cannot be told. */
  readonly run: string | null;
  /** In words, how it ended last. */
  readonly how: string;
}

export const isUp = ({ state }: Seen): boolean =>
  state === 'ready' || state === 'starting' || state === 'stopping';

/** How often a service ended by itself between two looks at it. */
export function endsBetween(before: Seen, now: Seen): number {
  if (before.ends !== null && now.ends !== null && now.ends > before.ends) {
    return now.ends - before.ends;
  }
  // Nobody counted, or somebody else started it on purpose: then what was there is gone, once.
  if (!isUp(before)) return 0;
  const isSameRun = before.run === null || before.run === now.run;
  return isUp(now) && isSameRun ? 0 : 1;
}
