/**
 * An alarm clock (DESIGN 3.3). It may lose, repeat or reorder alarms: they carry an id and nothing
 * else, whoever is woken looks up in SQL what there is to do, and a sweep finds what was lost.
 * Nothing here waits for a server or throws because of one.
 * Every adapter passes `test/contract/wakeups.contract.ts`.
 */
export interface Wakeups {
  /**
   * Wakes `id` at `atMs` (epoch) or a little later; at once when that has passed. A second alarm for
   * the same id replaces the first. One that comes due while `id` is being handled waits for that.
   */
  arm(id: string, atMs: number): void;
  disarm(id: string): void;
  /**
   * Registered once, before the first alarm. Never called twice at once for the same id. When it
   * rejects, the alarm rings again after 1 s, then 2 s, 4 s … 60 s, unless a new one was armed.
   */
  onWake(handler: (id: string) => Promise<void>): void;
  /** How many ids the keeper of the alarms was not told of yet; left out where there is none. */
  readonly unsent?: number;
  /** Waits for the handlers that run. Nothing rings afterwards, and `arm` does nothing. */
  close(): Promise<void>;
}
export const WAKEUPS = Symbol('wakeups');
