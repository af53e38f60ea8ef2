/** Something that will be done at a moment of virtual time. */
export interface Appointment {
  readonly at: number;
  readonly order: number;
  readonly work: () => void | Promise<void>;
  isOff: boolean;
}

const isBefore = (a: Appointment, b: Appointment): boolean =>
  a.at < b.at || (a.at === b.at && a.order < b.order);

/** Virtual time: a clock that stands still until the next appointment is taken. A binary heap. */
export class Agenda {
  readonly #heap: Appointment[] = [];
  #order = 0;
  #now: number;

  constructor(now: number) {
    this.#now = now;
  }

  get now(): number {
    return this.#now;
  }

  /** Does `work` at a moment; at once, after what is due already, when that has passed. */
  at(at: number, work: Appointment['work']): Appointment {
    this.#order += 1;
    const time = Math.max(this.#now, Math.ceil(at));
    const made: Appointment = { at: time, order: this.#order, work, isOff: false };
    this.#heap.push(made);
    this.#rise(this.#heap.length - 1);
    return made;
  }

  in(ms: number, work: Appointment['work']): Appointment {
    return this.at(this.#now + ms, work);
  }

  /** The next appointment not after `until` that was not called off; the clock then stands at its time. */
  take(until: number): Appointment | null {
    for (;;) {
      const first = this.#heap[0];
      if (first === undefined || first.at > until) return null;
      const last = this.#heap.pop() as Appointment;
      if (this.#heap.length > 0) {
        this.#heap[0] = last;
        this.#sink();
      }
      if (first.isOff) continue;
      this.#now = first.at;
      return first;
    }
  }

  #rise(from: number): void {
    const heap = this.#heap;
    for (let i = from; i > 0;) {
      const parent = (i - 1) >> 1;
      const [a, b] = [heap[parent] as Appointment, heap[i] as Appointment];
      if (isBefore(a, b)) return;
      heap[parent] = b;
      heap[i] = a;
      i = parent;
    }
  }

  #sink(): void {
    const heap = this.#heap;
    for (let i = 0; ;) {
      let least = i;
      for (const child of [2 * i + 1, 2 * i + 2]) {
        const one = heap[child];
        if (one !== undefined && isBefore(one, heap[least] as Appointment)) least = child;
      }
      if (least === i) return;
      const held = heap[i] as Appointment;
      heap[i] = heap[least] as Appointment;
      heap[least] = held;
      i = least;
    }
  }
}
