import {
  METRICS,
  OTHER,
  type CounterName,
  type GaugeName,
  type HistogramName,
  type Metric,
  type MetricName,
} from './metrics.js';

/** One line of numbers: the values of the labels in their order, and what was measured. */
export interface Series {
  readonly labels: readonly string[];
  /** Of a counter or gauge; of a histogram the sum. */
  value: number;
  /** Of a histogram: how many fell into each bucket and not into one before; the last is above all bounds. */
  readonly buckets: number[] | null;
}

/** Labels are counted out in full from the start when that makes at most so many series. */
const FROM_THE_START_MAX = 64;

class Family {
  readonly #metric: Metric;
  readonly #sets: readonly (readonly string[])[];
  readonly #series = new Map<string, Series>();

  constructor(metric: Metric) {
    this.#metric = metric;
    this.#sets = Object.values(metric.labels ?? {});
    const count = this.#sets.reduce((product, set) => product * set.length, 1);
    // A counter that was not there before hides its first step from `increase()`.
    if (metric.type !== 'gauge' && count <= FROM_THE_START_MAX) this.#fill([]);
  }

  of(labels: readonly string[]): Series {
    return this.#series.get(keyOf(labels)) ?? this.#closed(labels);
  }

  all(): Series[] {
    return [...this.#series.values()];
  }

  clear(): void {
    this.#series.clear();
  }

  #closed(labels: readonly string[]): Series {
    const known = this.#sets.map((set, i) => {
      const value = labels[i] ?? OTHER;
      return set.includes(value) ? value : OTHER;
    });
    const key = keyOf(known);
    let series = this.#series.get(key);
    if (series === undefined) {
      const { buckets } = this.#metric;
      const counts = buckets === undefined ? null : new Array<number>(buckets.length + 1).fill(0);
      series = { labels: known, value: 0, buckets: counts };
      this.#series.set(key, series);
    }
    return series;
  }

  #fill(labels: readonly string[]): void {
    const set = this.#sets[labels.length];
    if (set === undefined) this.#closed(labels);
    else for (const value of set) this.#fill([...labels, value]);
  }
}

const keyOf = (labels: readonly string[]): string =>
  labels.length === 1 ? (labels[0] ?? '') : labels.join(' ');

/**
 * Numbers of the table `METRICS`, in memory. Labels are given in the order of the table; a value that is
 * not in its set counts as `other`, so the number of series has a bound that no caller can move.
 * Nothing here throws, waits or allocates for a series that is known: some tens of nanoseconds.
 */
export class Meters {
  readonly #families = new Map<MetricName, Family>();
  readonly #tellers = new Set<() => void>();

  constructor() {
    for (const name of Object.keys(METRICS) as MetricName[]) {
      this.#families.set(name, new Family(METRICS[name]));
    }
  }

  count(name: CounterName, ...labels: readonly string[]): void {
    this.#of(name, labels).value += 1;
  }

  /** `amount` is not negative. */
  add(name: CounterName, amount: number, ...labels: readonly string[]): void {
    this.#of(name, labels).value += amount;
  }

  /** A counter that is kept elsewhere, or a gauge. */
  set(name: GaugeName | CounterName, value: number, ...labels: readonly string[]): void {
    this.#of(name, labels).value = value;
  }

  observe(name: HistogramName, value: number, ...labels: readonly string[]): void {
    const series = this.#of(name, labels);
    const bounds: readonly number[] = METRICS[name].buckets;
    let at = 0;
    while (at < bounds.length && value > (bounds[at] ?? Infinity)) at += 1;
    series.value += value;
    if (series.buckets !== null) series.buckets[at] = (series.buckets[at] ?? 0) + 1;
  }

  /** Observes the seconds since a moment of `performance.now()`. */
  since(name: HistogramName, startedMs: number, ...labels: readonly string[]): void {
    this.observe(name, (performance.now() - startedMs) / 1_000, ...labels);
  }

  /** Takes all series of a gauge away, before it is told anew. */
  forget(name: GaugeName): void {
    this.#families.get(name)?.clear();
  }

  /** Calls `tell` before each scrape, for what is only worth knowing then; the answer ends that. */
  atScrape(tell: () => void): () => void {
    this.#tellers.add(tell);
    return () => void this.#tellers.delete(tell);
  }

  /** Lets everybody tell who wants to. */
  hear(): void {
    for (const tell of this.#tellers) tell();
  }

  seriesOf(name: MetricName): readonly Series[] {
    return this.#families.get(name)?.all() ?? [];
  }

  #of(name: MetricName, labels: readonly string[]): Series {
    const family = this.#families.get(name);
    // The constructor made one for each name.
    if (family === undefined) throw new Error(`no metric ${name}`);
    return family.of(labels);
  }
}

/**
 * The numbers of this process. One for all of it, as Prometheus reads them: a manager has its process
 * to itself, and whoever counts something needs no constructor for it.
 */
export const meters = new Meters();
