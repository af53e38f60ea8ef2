import { useEffect, useState, useSyncExternalStore } from 'react';
import type { Answer } from '../../../client/index.js';
import { CELL_LETTERS } from '../../../core/rollout/index.js';
import { api } from '../../app/api.js';

/** Once a second while it moves: as the eye follows, and however many events there are. */
const EVERY_MS = 1_000;
const EVERY_MS_AT_REST = 10_000;

export const STATES: readonly string[] = Object.values(CELL_LETTERS);
const INDEX_OF_LETTER = new Map(Object.keys(CELL_LETTERS).map((letter, index) => [letter, index]));

/** Cells of one rollout as they were last. Arrays go together: cell n is `ids[n]`. */
export interface Cells {
  readonly ids: readonly string[];
  readonly waves: Uint16Array;
  /** Places in `STATES`. */
  readonly states: Uint8Array;
  /** Cells of each wave, in their order. */
  readonly ofWave: readonly Uint32Array[];
  /** Where each cell stands in the order of its wave. */
  readonly positions: Uint32Array;
  /** How many are in each state, by its place in `STATES`. */
  readonly counts: readonly number[];
  /** More nodes than are drawn. */
  readonly beyond: number;
}

type News = Answer<'rollouts.cells'>;
/** Which cells changed; null: draw all anew. */
export type OnChange = (changed: readonly number[] | null) => void;

/**
 * Keeps the cells of one rollout, and asks for changes only. Whoever draws is told which cells changed;
 * whoever counts reads `snapshot`. Not in the cache of answers: that would copy 50 000 cells each second.
 */
export class CellStore {
  #cells: Cells | null = null;
  #version: number | undefined;
  #places = new Map<string, number>();
  #error: Error | null = null;
  readonly #drawers = new Set<OnChange>();
  readonly #readers = new Set<() => void>();

  /** Asked often while it is. */
  isMoving = true;

  constructor(readonly id: string) {}

  /** The state of one node now, where it is drawn. */
  stateOf(nodeId: string): string | undefined {
    const place = this.#places.get(nodeId);
    return place === undefined ? undefined : STATES[this.#cells?.states[place] ?? 0];
  }

  readonly snapshot = (): Cells | null => this.#cells;
  readonly problem = (): Error | null => this.#error;

  readonly subscribe = (tell: () => void): (() => void) => {
    this.#readers.add(tell);
    return () => void this.#readers.delete(tell);
  };

  onChange(draw: OnChange): () => void {
    this.#drawers.add(draw);
    return () => void this.#drawers.delete(draw);
  }

  /** Asks until `signal`; an error is kept until an answer comes. */
  async follow(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        const query = this.#version === undefined ? {} : { since: this.#version };
        const given = { params: { id: this.id }, query };
        const news = await api.call('rollouts.cells', given, { signal });
        // Reading 50 000 names and putting them in place are two tasks, so that neither is long.
        await pauseOf(0, signal);
        this.#take(news);
      } catch (error) {
        if (isOver(signal)) return;
        this.#fail(error as Error);
      }
      // A tab that nobody looks at asks seldom.
      const isWatched = document.visibilityState === 'visible';
      await pauseOf(this.isMoving && isWatched ? EVERY_MS : EVERY_MS_AT_REST, signal);
    }
  }

  #fail(error: Error): void {
    this.#error = error;
    this.#tell();
  }

  #take(news: News): void {
    this.#error = null;
    const before = this.#version;
    this.#version = news.version;
    if (!news.whole && (before === news.version || news.ids.length === 0)) return;
    const changed = news.whole ? null : this.#change(news);
    if (news.whole) this.#place(news);
    for (const draw of this.#drawers) draw(changed);
    this.#tell();
  }

  #tell(): void {
    for (const tell of this.#readers) tell();
  }

  #place({ ids, waves, states, beyond }: News): void {
    const places = new Map<string, number>();
    const letters = new Uint8Array(ids.length);
    const positions = new Uint32Array(ids.length);
    const lists: (number[] | undefined)[] = [];
    for (let place = 0; place < ids.length; place += 1) {
      places.set(ids[place] ?? '', place);
      letters[place] = INDEX_OF_LETTER.get(states[place] ?? '') ?? 0;
      const list = (lists[waves[place] ?? 0] ??= []);
      positions[place] = list.length;
      list.push(place);
    }
    this.#places = places;
    this.#cells = {
      ids,
      waves: Uint16Array.from(waves),
      states: letters,
      ofWave: Array.from(lists, (list) => Uint32Array.from(list ?? [])),
      positions,
      counts: countsOf(letters),
      beyond,
    };
  }

  /** Null: a node came that was not there before; everything is read anew. */
  #change({ ids, states }: News): readonly number[] | null {
    if (this.#cells === null) return null;
    const { states: now } = this.#cells;
    const changed: number[] = [];
    for (const [index, id] of ids.entries()) {
      const place = this.#places.get(id);
      // A newcomer: the next answer is whole.
      if (place === undefined) {
        this.#version = undefined;
        continue;
      }
      const state = INDEX_OF_LETTER.get(states[index] ?? '') ?? 0;
      if (now[place] === state) continue;
      now[place] = state;
      changed.push(place);
    }
    this.#cells = { ...this.#cells, counts: countsOf(now) };
    return changed;
  }
}

function countsOf(states: Uint8Array): number[] {
  const counts = STATES.map(() => 0);
  // By index: an iterator over 50 000 states takes several times as long.
  for (let place = 0; place < states.length; place += 1) {
    const state = states[place] ?? 0;
    counts[state] = (counts[state] ?? 0) + 1;
  }
  return counts;
}

/** Asked anew each time: it changes while one waits. */
const isOver = (signal: AbortSignal): boolean => signal.aborted;

const pauseOf = (ms: number, signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    const timer = setTimeout(done, ms);
    function done(): void {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    }
    signal.addEventListener('abort', done);
  });

/** The cells of a rollout, kept fresh while the page is open. A page of another rollout is another page. */
export function useCells(
  id: string,
  isMoving: boolean,
): { readonly store: CellStore; readonly cells: Cells | null; readonly error: Error | null } {
  const [store] = useState(() => new CellStore(id));
  useEffect(() => {
    store.isMoving = isMoving;
  }, [store, isMoving]);
  useEffect(() => {
    const ended = new AbortController();
    void store.follow(ended.signal);
    return () => ended.abort();
  }, [store]);
  const cells = useSyncExternalStore(store.subscribe, store.snapshot);
  const error = useSyncExternalStore(store.subscribe, store.problem);
  return { store, cells, error };
}
