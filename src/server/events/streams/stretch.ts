import { toLine, type EventRow } from '../event-rows.js';

/** The newest events that are held for live readers; who is further behind reads from SQL. */
const KEPT_EVENTS_MAX = 2_000;
const KEPT_BYTES_MAX = 4 * 1024 * 1024;

export interface TailItem {
  readonly row: EventRow;
  /** As it is exported: made once, for all readers. */
  readonly line: string;
}

/** The newest events of the log, bounded, without a hole: an id tells where its event stands. */
export class Stretch {
  readonly #items: TailItem[] = [];
  #bytes = 0;
  #last: number;

  constructor(last: number) {
    this.#last = last;
  }

  /** All ids up to here are known; those that are held are the last of them. */
  get last(): number {
    return this.#last;
  }

  /** What comes after an id, perhaps nothing yet; null when it is too far back to be held. */
  after(id: number): readonly TailItem[] | null {
    const first = this.#last - this.#items.length + 1;
    if (id + 1 < first) return null;
    return id >= this.#last ? [] : this.#items.slice(id + 1 - first);
  }

  /**
   * Takes what comes next, through an id. When some of it is not there (retention was faster), nothing up
   * to that id is held: each reader finds out for himself.
   */
  add(rows: readonly EventRow[], through: number): void {
    const isWhole =
      rows.length === through - this.#last &&
      rows.every(({ id }, index) => id === this.#last + 1 + index);
    if (!isWhole) {
      this.#skipTo(through);
      return;
    }
    for (const row of rows) this.#keep({ row, line: toLine(row) });
    this.#last = through;
  }

  /** The head is here: of a jump that would fill all that is held, only the end is read. */
  approach(head: number): void {
    if (head - this.#last > KEPT_EVENTS_MAX) this.#skipTo(head - KEPT_EVENTS_MAX);
  }

  #keep(item: TailItem): void {
    this.#items.push(item);
    this.#bytes += item.line.length;
    let over = 0;
    while (
      this.#items.length - over > KEPT_EVENTS_MAX ||
      (this.#bytes > KEPT_BYTES_MAX && this.#items.length - over > 1)
    ) {
      this.#bytes -= this.#items[over]?.line.length ?? 0;
      over += 1;
    }
    if (over > 0) this.#items.splice(0, over);
  }

  #skipTo(id: number): void {
    this.#items.length = 0;
    this.#bytes = 0;
    this.#last = id;
  }
}
