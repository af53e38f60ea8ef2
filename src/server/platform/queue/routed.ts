import { invariant } from '../../../core/kernel/index.js';
import type { Wakeups } from './wakeups.port.js';

type Handler = (id: string) => Promise<void>;

/**
 * One alarm clock for several rooms: who is woken is told by what the id begins with, such as `sch_`. Ids of no
 * room that registered are for whoever called `onWake`. An alarm that rings before its room has registered
 * is lost, as alarms may be: the sweep finds it.
 */
export class RoutedWakeups implements Wakeups {
  readonly #inner: Wakeups;
  readonly #routes = new Map<string, Handler>();

  constructor(inner: Wakeups) {
    this.#inner = inner;
  }

  /** Registered once for each prefix, at the start. */
  route(prefix: string, handler: Handler): void {
    invariant(!this.#routes.has(prefix), `a wake-up handler of ${prefix} is registered twice`);
    this.#routes.set(prefix, handler);
  }

  onWake(handler: Handler): void {
    this.#inner.onWake((id) => (this.#routes.get(id.slice(0, id.indexOf('_') + 1)) ?? handler)(id));
  }

  arm(id: string, atMs: number): void {
    this.#inner.arm(id, atMs);
  }

  disarm(id: string): void {
    this.#inner.disarm(id);
  }

  close(): Promise<void> {
    return this.#inner.close();
  }
}
