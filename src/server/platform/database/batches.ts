import { setTimeout as sleep } from 'node:timers/promises';
import { FleetError } from '../../../core/kernel/index.js';

/** Works of one commit, or questions of one statement. */
export const WORKS_PER_COMMIT_MAX = {
  /** Some ten ms in one go, in which the process does nothing else; and one wait for the disk. */
  sqlite: 64,
  /** Whoever holds a row for many costs hardly more than for few: each statement is a way to the server and back. With 64, the row of a rollout of thirty thousand was always held. */
  postgres: 256,
} as const;

interface Waiting<Item, Result> {
  readonly item: Item;
  readonly sinceMs: number;
  readonly answer: PromiseWithResolvers<Result>;
}

/** Answers each item. */
export interface Asked<Item, Result> {
  ask(item: Item): Promise<Result>;
}

export interface BatchRules<Item, Result> {
  /** In one go. */
  readonly most: number;
  /** Of those with the same key, one in each batch, in the order in which they came. Left out: all are different. */
  readonly keyOf?: ((item: Item) => string) | undefined;
  /**
   * A batch begins no sooner than so long after the one before it: where one follows the other they grow, and what each costs
   * for itself is shared by more. Whoever comes alone does not wait. Left out: at once.
   */
  readonly everyMs?: number;
  /**
   * For what is worth less the longer it waits: its answer when it need not wait any longer, asked whenever a batch is taken. Null for an item that
   * waits as long as it takes.
   */
  readonly early?: (item: Item) => (() => Result | null) | null;
  /** Called when nobody waits any more and nothing is under way. */
  readonly onIdle?: () => void;
}

/**
 * What many callers ask is done together: whatever came in the same turn of the event loop, and while the batch before it was
 * under way. One batch at a time; items in the order of the calls. `run` answers in the order of its items.
 *
 * When a batch throws, each of its items is run again by itself, so that one cannot spoil it for the others; so `run` must be
 * safe to repeat. Where the database itself is away all of them hear so: each alone would wait as long as all of them did.
 */
export class Batches<Item, Result> implements Asked<Item, Result> {
  readonly #run: (items: readonly Item[]) => Promise<readonly Result[]>;
  readonly #rules: BatchRules<Item, Result>;
  #waiting: Waiting<Item, Result>[] = [];
  #isBusy = false;
  #beganMs = -Infinity;

  constructor(
    run: (items: readonly Item[]) => Promise<readonly Result[]>,
    rules: BatchRules<Item, Result>,
  ) {
    this.#run = run;
    this.#rules = rules;
  }

  ask(item: Item): Promise<Result> {
    const answer = Promise.withResolvers<Result>();
    this.#waiting.push({ item, sinceMs: performance.now(), answer });
    if (!this.#isBusy) void this.#drain();
    return answer.promise;
  }

  /** Since when the one waits that waits longest for its batch to begin; null when nobody does. */
  get oldestMs(): number | null {
    return this.#waiting[0]?.sinceMs ?? null;
  }

  /** Never rejects. */
  async #drain(): Promise<void> {
    this.#isBusy = true;
    while (this.#waiting.length > 0) {
      // What came in the same turn of the event loop goes together.
      await new Promise((resolve) => setImmediate(resolve));
      const restMs = this.#beganMs + (this.#rules.everyMs ?? 0) - performance.now();
      if (restMs > 0) await sleep(restMs);
      this.#beganMs = performance.now();
      const batch = this.#take();
      if (batch.length > 0) await this.#do(batch);
    }
    this.#isBusy = false;
    this.#rules.onIdle?.();
  }

  #take(): readonly Waiting<Item, Result>[] {
    const { most, keyOf, early } = this.#rules;
    if (early !== undefined) return this.#takePerishable(early);
    if (keyOf === undefined) return this.#waiting.splice(0, most);
    const taken = new Map<string, Waiting<Item, Result>>();
    const left: Waiting<Item, Result>[] = [];
    for (const one of this.#waiting) {
      const key = keyOf(one.item);
      if (taken.size >= most || taken.has(key)) left.push(one);
      else taken.set(key, one);
    }
    this.#waiting = left;
    return [...taken.values()];
  }

  /**
   * Whoever has an early answer gets it. Where more are left than a batch takes, those that perish have half of it and what the others leave, the
   * newest first: in the order of the calls each would have its turn when it is hardly worth anything any more.
   */
  #takePerishable(
    earlyOf: (item: Item) => (() => Result | null) | null,
  ): readonly Waiting<Item, Result>[] {
    const left: Waiting<Item, Result>[] = [];
    const perishable = new Set<Waiting<Item, Result>>();
    for (const one of this.#waiting) {
      const early = earlyOf(one.item);
      const answer = early?.() ?? null;
      if (answer !== null) {
        one.answer.resolve(answer);
        continue;
      }
      left.push(one);
      if (early !== null) perishable.add(one);
    }
    const { most } = this.#rules;
    const half = Math.min(perishable.size, Math.floor(most / 2));
    const lasting = left.filter((one) => !perishable.has(one)).slice(0, most - half);
    const newest = [...perishable].slice(-(most - lasting.length));
    const taken = new Set([...lasting, ...newest]);
    this.#waiting = left.filter((one) => !taken.has(one));
    return left.filter((one) => taken.has(one));
  }

  async #do(batch: readonly Waiting<Item, Result>[]): Promise<void> {
    try {
      const results = await this.#run(batch.map(({ item }) => item));
      batch.forEach(({ answer }, index) => {
        answer.resolve(results[index] as Result);
      });
    } catch (error) {
      const isAway = error instanceof FleetError && error.code === 'unavailable';
      if (isAway || batch.length === 1) for (const { answer } of batch) answer.reject(error);
      else for (const one of batch) await this.#do([one]);
    }
  }
}
