import { keptForMs, type WorkloadName, type WorkloadView } from '../core/workload/index.js';
import type { Clock, Log } from '../agent/parts/index.js';

export interface LeaversOptions {
  readonly graceMs: number;
  readonly manyGraceMs: number;
  /** How many workloads have a node, gone ones included. */
  readonly known: () => number;
  /** The workload as the API server has it now, by its name; null: it is gone, or takes no part any more. */
  readonly look: (of: WorkloadName) => Promise<WorkloadView | null>;
  readonly mayAct: () => boolean;
  readonly clock: Clock;
  readonly log: Log;
}

/** A workload that no list has any more, and what becomes of its node. */
export interface Leaver {
  readonly of: WorkloadName;
  /** It was asked for by its name, and is not there. */
  readonly onGone?: () => void;
  /** No list has it, and it is there all the same. */
  readonly onThere?: (view: WorkloadView) => void;
  readonly remove: () => Promise<unknown>;
}

interface Waiting extends Leaver {
  /** Null: it is there. */
  goneAtMs: number | null;
  hasBegun: boolean;
  timer: NodeJS.Timeout | null;
  turn: Promise<void>;
}

/**
 * Workloads that seem to be gone. A list alone takes no node out: the workload is asked for by its name, at once and again
 * when its grace is over; and where most of them seem to be gone at once, they have to stay gone for longer. Whoever
 * makes a workload anew meanwhile keeps its node.
 */
export class Leavers {
  readonly #options: LeaversOptions;
  readonly #waiting = new Map<string, Waiting>();
  #isTold = false;

  constructor(options: LeaversOptions) {
    this.#options = options;
  }

  get keys(): Iterable<string> {
    return this.#waiting.keys();
  }

  /** Nothing new for one that is known to be gone. */
  add(key: string, leaver: Leaver): void {
    if (this.#waiting.has(key)) return;
    const waiting = {
      ...leaver,
      goneAtMs: null,
      hasBegun: false,
      timer: null,
      turn: Promise.resolve(),
    };
    this.#waiting.set(key, waiting);
    this.#next(key, waiting, 0);
  }

  /**
   * A list has it again; null when it was not missed. `hasBegun`: its node is being taken out, or that failed in
   * the middle. `ended`: nothing is done with it any more.
   */
  back(key: string): { readonly hasBegun: boolean; readonly ended: Promise<void> } | null {
    const waiting = this.#waiting.get(key);
    if (waiting === undefined) return null;
    this.#waiting.delete(key);
    clearTimeout(waiting.timer ?? undefined);
    return { hasBegun: waiting.hasBegun, ended: waiting.turn };
  }

  async stop(): Promise<void> {
    for (const key of [...this.#waiting.keys()]) await this.back(key)?.ended;
  }

  #next(key: string, waiting: Waiting, ms: number): void {
    waiting.timer = setTimeout(() => {
      waiting.turn = this.#look(key, waiting);
    }, ms);
  }

  /** Never throws. */
  async #look(key: string, waiting: Waiting): Promise<void> {
    const { graceMs, log } = this.#options;
    let nextMs = graceMs;
    try {
      nextMs = (await this.#step(key, waiting)) ?? graceMs;
    } catch (error) {
      log('an orphan cannot be cleared away yet', { workload: key, error: String(error) });
    }
    if (this.#waiting.get(key) === waiting) this.#next(key, waiting, nextMs);
  }

  /** When to look again; null: in its usual time. Throws what the API server and the manager say. */
  async #step(key: string, waiting: Waiting): Promise<number | null> {
    const { clock, look, graceMs, mayAct } = this.#options;
    const view = await look(waiting.of);
    if (this.#waiting.get(key) !== waiting) return null;
    if (view !== null) {
      waiting.goneAtMs = null;
      waiting.onThere?.(view);
      return null;
    }
    if (waiting.goneAtMs === null) waiting.onGone?.();
    waiting.goneAtMs ??= clock.monotonicMs();
    const keptMs = this.#keptMs(waiting.goneAtMs);
    if (keptMs > 0) return Math.min(keptMs, graceMs);
    if (!mayAct()) return null;
    waiting.hasBegun = true;
    await waiting.remove();
    if (this.#waiting.get(key) === waiting) this.#waiting.delete(key);
    return null;
  }

  #keptMs(goneAtMs: number): number {
    const { clock, graceMs, manyGraceMs, known, log } = this.#options;
    const gone = [...this.#waiting.values()].filter((one) => one.goneAtMs !== null).length;
    const counts = { gone, known: known() };
    const goneMs = clock.monotonicMs() - goneAtMs;
    const keptMs = keptForMs(goneMs, counts, { graceMs, manyGraceMs });
    if (keptMs === 0) this.#isTold = false;
    if (keptMs > 0 && goneMs >= graceMs && !this.#isTold) {
      this.#isTold = true;
      log('most workloads seem to be gone at once; their nodes are kept for now', counts);
    }
    return keptMs;
  }
}
