import type { Answer, Call } from '../../../client/index.js';
import { ApiProblem } from '../../../client/index.js';
import { api } from '../../app/api.js';
import { eventsIn } from '../../app/sse.js';

export type Event = Answer<'events.list'>['items'][number];
export type EventFilter = Omit<
  NonNullable<Call<'events.list'>['query']>,
  'after' | 'before' | 'order' | 'limit'
>;

/** Rows that follow by themselves; older ones come back as one scrolls. */
export const LIVE_ROWS_MAX = 2_000;
/** Rows that a page holds at all, however far one scrolls: then the time is to be narrowed. */
export const ROWS_MAX = 20_000;
const PAGE_ROWS = 100;
const RETRY_MIN_MS = 500;
const RETRY_MAX_MS = 15_000;
/** A tab that is not shown draws no frames, and must not gather without end. */
const HIDDEN_DRAW_MS = 1_000;

/** An event that is read when it is drawn: of ten thousand in a second, few are. */
export class FeedRow {
  #event: Event | null;
  readonly #text: string;
  constructor(
    readonly id: number,
    given: Event | string,
  ) {
    this.#event = typeof given === 'string' ? null : given;
    this.#text = typeof given === 'string' ? given : '';
  }
  get event(): Event {
    return (this.#event ??= JSON.parse(this.#text) as Event);
  }
}

export interface FeedState {
  /** Newest first, without a gap between any two that fit the filter. */
  readonly rows: readonly FeedRow[];
  readonly isLoading: boolean;
  readonly isLoadingMore: boolean;
  readonly hasMore: boolean;
  readonly error: Error | null;
  /** Why the tail is not followed at the moment. */
  readonly tailError: Error | null;
  readonly tail: 'off' | 'connecting' | 'live';
  /** Events that came and wait above the list, because it is paused or being read. */
  readonly waiting: number;
  /** Events that came too fast to be drawn, since the page was opened. They are in the log. */
  readonly notDrawn: number;
}

const EMPTY: FeedState = {
  rows: [],
  isLoading: true,
  isLoadingMore: false,
  hasMore: false,
  error: null,
  tailError: null,
  tail: 'off',
  waiting: 0,
  notDrawn: 0,
};

/**
 * The events of one filter: what is there, newest first, and what comes. However fast they come, at most
 * `LIVE_ROWS_MAX` are held of those that came, and the list changes once a frame.
 */
export class EventFeed {
  #ended = new AbortController();
  readonly #listeners = new Set<() => void>();
  readonly #filter: EventFilter;
  #state: FeedState = EMPTY;
  /** Came, and is not in the list yet; the newest `LIVE_ROWS_MAX` of `#came`. */
  #fresh: FeedRow[] = [];
  #came = 0;
  #frame: (() => void) | null = null;
  #isHeld = false;

  constructor(filter: EventFilter) {
    this.#filter = filter;
  }

  readonly subscribe = (tell: () => void): (() => void) => {
    this.#listeners.add(tell);
    return () => void this.#listeners.delete(tell);
  };
  readonly state = (): FeedState => this.#state;

  /** Reads the newest page; `isFollowing`: and then whatever comes after it, without a gap. */
  async start(isFollowing: boolean): Promise<void> {
    this.#ended = new AbortController();
    const { signal } = this.#ended;
    try {
      const head = await api.call('events.list', { query: { order: 'newest', limit: 1 } });
      const newest = head.items[0]?.id ?? 0;
      const page = await this.#page(newest + 1);
      this.#set({ ...page, isLoading: false });
      if (isFollowing) await this.#follow(newest);
    } catch (error) {
      if (!signal.aborted) this.#set({ isLoading: false, error: error as Error });
    }
  }

  stop(): void {
    this.#ended.abort();
    this.#frame?.();
  }

  /** Held: what comes waits above. Let go, it comes into the list at once. */
  hold(isHeld: boolean): void {
    if (this.#isHeld === isHeld) return;
    this.#isHeld = isHeld;
    this.#draw();
  }

  readonly more = (): void => {
    const { rows, hasMore, isLoadingMore } = this.#state;
    const last = rows.at(-1);
    if (!hasMore || isLoadingMore || last === undefined) return;
    this.#set({ isLoadingMore: true });
    this.#page(last.id)
      .then((page) => {
        // The list was cut or begun anew meanwhile: what came does not join it.
        const isNext = this.#state.rows.at(-1)?.id === last.id;
        this.#set({
          isLoadingMore: false,
          ...(isNext
            ? {
                rows: [...this.#state.rows, ...page.rows],
                hasMore: page.hasMore && this.#state.rows.length < ROWS_MAX,
              }
            : {}),
        });
      })
      .catch((error: unknown) => {
        if (!this.#ended.signal.aborted)
          this.#set({ isLoadingMore: false, hasMore: false, error: error as Error });
      });
  };

  async #page(before: number): Promise<Pick<FeedState, 'rows' | 'hasMore'>> {
    const { items, next_before: next } = await api.call(
      'events.list',
      { query: { ...this.#filter, order: 'newest', limit: PAGE_ROWS, before } },
      { signal: this.#ended.signal },
    );
    return { rows: items.map((event) => new FeedRow(event.id, event)), hasMore: next !== null };
  }

  /** Every end of the stream is followed by another try, from where it came to. */
  async #follow(newest: number): Promise<void> {
    const { signal } = this.#ended;
    let after = newest;
    for (let failures = 0; !isOver(signal); failures += 1) {
      this.#set({ tail: 'connecting' });
      try {
        const query = { ...this.#filter, after };
        const response = await api.open('events.stream', { query }, { signal });
        this.#set({ tail: 'live', tailError: null });
        failures = 0;
        for await (const { id, data, event } of eventsIn(response, signal)) {
          after = id ?? after;
          if (event === 'message') this.#take(new FeedRow(after, data));
          if (event === 'end') break;
        }
      } catch (error) {
        if (isOver(signal)) return;
        this.#set({ tailError: error as Error });
        if (isRefused(error)) break;
      }
      const waitMs = Math.min(RETRY_MAX_MS, RETRY_MIN_MS * 2 ** failures);
      await new Promise((resolve) => setTimeout(resolve, waitMs));
    }
    if (!isOver(signal)) this.#set({ tail: 'off' });
  }

  #take(row: FeedRow): void {
    this.#fresh.push(row);
    this.#came += 1;
    // Twice as many, so that cutting is rare.
    if (this.#fresh.length > 2 * LIVE_ROWS_MAX) this.#fresh = this.#fresh.slice(-LIVE_ROWS_MAX);
    if (this.#frame !== null) return;
    const frame = requestAnimationFrame(() => this.#draw());
    const timer = setTimeout(() => this.#draw(), HIDDEN_DRAW_MS);
    this.#frame = () => {
      cancelAnimationFrame(frame);
      clearTimeout(timer);
      this.#frame = null;
    };
  }

  #draw(): void {
    this.#frame?.();
    if (this.#came === 0) return;
    if (this.#isHeld) {
      this.#set({ waiting: this.#came });
      return;
    }
    const fresh = this.#fresh.slice(-LIVE_ROWS_MAX).reverse();
    const missing = this.#came - fresh.length;
    // With some left out, what was there before does not follow on: it comes back by scrolling.
    const rows = missing > 0 ? fresh : [...fresh, ...this.#state.rows];
    const isCut = rows.length > LIVE_ROWS_MAX;
    this.#fresh = [];
    this.#came = 0;
    this.#set({
      rows: isCut ? rows.slice(0, LIVE_ROWS_MAX) : rows,
      hasMore: isCut || missing > 0 || this.#state.hasMore,
      waiting: 0,
      notDrawn: this.#state.notDrawn + missing,
    });
  }

  #set(changes: Partial<FeedState>): void {
    this.#state = { ...this.#state, ...changes };
    for (const tell of this.#listeners) tell();
  }
}

const isOver = (signal: AbortSignal): boolean => signal.aborted;

/** Refused for good: asking again brings the same. */
const isRefused = (error: unknown): boolean =>
  error instanceof ApiProblem &&
  error.problem.status < 500 &&
  !['rate_limited', 'too_many_streams'].includes(error.code);
