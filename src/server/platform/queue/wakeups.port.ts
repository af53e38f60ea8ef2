/**
 * An alarm clock (DESIGN 3.3). It may lose, repeat or reorder alarms: they carry an id and nothing
 * else, whoever is woken looks up in SQL what there is to do, and a sweep finds what was lost.
 */
export interface Wakeups {
  /** Wakes `id` at `atMs` or a little later. A second alarm for the same id replaces the first. */
  arm(id: string, atMs: number): void;
  disarm(id: string): void;
  /** Registered once, before the first alarm. Never called twice at once for the same id. */
  onWake(handler: (id: string) => Promise<void>): void;
  close(): Promise<void>;
}
export const WAKEUPS = Symbol('wakeups');
