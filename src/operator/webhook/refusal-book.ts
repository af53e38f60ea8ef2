import { createHash, randomUUID } from 'node:crypto';
import { toIso } from '../../core/kernel/index.js';
import { keyOf } from '../../core/workload/index.js';
import type { Log } from '../../agent/parts/index.js';
import type { RefusalBox, Refused } from '../refusal-box.js';
import type { Refusal } from './judge.js';

/** So soon the first refusal of its kind goes on its way; and so seldom it is written at most. */
export const FLUSH_MS = 5_000;
/** More of the same is told so often, with its count: a ReplicaSet tries for ever. */
export const AGAIN_MS = 600_000;
/** Kinds of refusal that are kept apart; beyond it they are counted only. */
const KINDS_MAX = 256;

interface Kind {
  waiting: Refused | null;
  toldAtMs: number;
}

export interface RefusalBookOptions {
  readonly box: RefusalBox;
  readonly mode: Refused['mode'];
  readonly clock: { now(): number };
  readonly log: Log;
  readonly flushMs?: number | undefined;
  readonly againMs?: number | undefined;
}

/**
 * Refusals on their way into the box: by workload, image and reason, the first soon, more of the same
 * with a count and seldom. Bounded in memory and in writes, however often somebody tries.
 */
export class RefusalBook {
  readonly #options: RefusalBookOptions;
  readonly #kinds = new Map<string, Kind>();
  #beyond = 0;
  #timer: NodeJS.Timeout | null = null;
  #flushing: Promise<void> = Promise.resolve();

  constructor(options: RefusalBookOptions) {
    this.#options = options;
  }

  start(): void {
    this.#timer = setInterval(() => {
      this.#flushing = this.#flushing.then(() => this.flush());
    }, this.#options.flushMs ?? FLUSH_MS);
    this.#timer.unref();
  }

  /** What waits is written once more. */
  async stop(): Promise<void> {
    if (this.#timer !== null) clearInterval(this.#timer);
    await this.#flushing;
    await this.flush();
  }

  note(refusals: readonly Refusal[]): void {
    for (const refusal of refusals) this.#note(refusal);
  }

  #note({ workload, pod, container, image, code, message }: Refusal): void {
    const of = keyOf(workload);
    const key = createHash('sha256')
      .update(JSON.stringify([of, image, code]))
      .digest('base64url');
    const at = toIso(this.#options.clock.now());
    const kind = this.#kinds.get(key);
    if (kind === undefined && !this.#hasRoom()) {
      this.#beyond += 1;
      return;
    }
    const { waiting = null, toldAtMs = -Infinity } = kind ?? {};
    const first = { id: randomUUID(), workload: of, pod: pod.slice(0, 300), container };
    const { mode } = this.#options;
    const what = { image: image.slice(0, 512), code, message: message.slice(0, 1_000), mode };
    const counted =
      waiting === null
        ? { ...first, ...what, count: 1, first_at: at, last_at: at }
        : { ...waiting, count: waiting.count + 1, last_at: at };
    this.#kinds.set(key, { waiting: counted, toldAtMs });
  }

  /** Kinds that were told long ago, and did not come again, make room. */
  #hasRoom(): boolean {
    if (this.#kinds.size < KINDS_MAX) return true;
    const nowMs = performance.now();
    for (const [key, { waiting, toldAtMs }] of this.#kinds) {
      if (waiting === null && nowMs - toldAtMs > this.#againMs) this.#kinds.delete(key);
    }
    return this.#kinds.size < KINDS_MAX;
  }

  get #againMs(): number {
    return this.#options.againMs ?? AGAIN_MS;
  }

  async flush(): Promise<void> {
    const { box, log } = this.#options;
    const nowMs = performance.now();
    const due = [...this.#kinds.values()].filter(
      ({ waiting, toldAtMs }) => waiting !== null && nowMs - toldAtMs >= this.#againMs,
    );
    const beyond = this.#beyond;
    this.#beyond = 0;
    if (beyond > 0) log('refusals of too many kinds; these are told here only', { count: beyond });
    if (due.length === 0) return;
    const told = due.flatMap((kind) => kind.waiting ?? []);
    for (const kind of due) [kind.waiting, kind.toldAtMs] = [null, nowMs];
    try {
      const left = await box.put(told);
      if (left > 0) log('too many refusals wait for the operator', { count: left });
    } catch (error) {
      log('refusals cannot be handed on', { count: told.length, error: String(error) });
      due.forEach((kind, index) => {
        // What came meanwhile is added to what could not be written.
        const before = told[index] ?? null;
        const since = kind.waiting;
        if (before === null) return;
        kind.toldAtMs = -Infinity;
        kind.waiting =
          since === null
            ? before
            : { ...before, count: before.count + since.count, last_at: since.last_at };
      });
    }
  }
}
