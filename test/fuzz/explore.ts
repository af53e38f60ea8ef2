import { Session } from 'node:inspector/promises';
import { performance } from 'node:perf_hooks';
import { seededRandom, type Random } from '../../src/core/kernel/index.js';
import { mutatedBytes } from './mutate.js';

/** Whatever reads bytes of strangers, with some that it takes. */
export interface Target {
  readonly name: string;
  readonly seeds: readonly Buffer[];
  /**
   * Gives 'taken', or the code of the refusal. Throws when it did something else: that is a finding,
   * and so is taking longer than a second.
   */
  readonly judge: (bytes: Buffer) => string;
}

export interface Explored {
  readonly runs: number;
  /** Inputs that led to code which none before had reached; those that were given included. */
  readonly corpus: number;
  readonly verdicts: ReadonlyMap<string, number>;
}

/** Inputs between two looks at which code was reached. */
const BATCH = 100;
const CORPUS_MAX = 5_000;
const BYTES_MAX = 200_000;
const SLOW_MS = 1_000;

/**
 * Tries `runs` mutants of what a target takes. With `isGuided`, a mutant that reaches new code (V8's own
 * block coverage of our sources) is kept and mutated further. The same seed tries the same inputs when
 * it is not guided. Throws with the input when the target throws or hangs.
 */
export async function explore(
  target: Target,
  options: { readonly runs: number; readonly seed: string; readonly isGuided: boolean },
): Promise<Explored> {
  const random = seededRandom(`${options.seed} ${target.name}`);
  const corpus = [...target.seeds];
  const verdicts = new Map<string, number>();
  const attempt = (bytes: Buffer): void => {
    const verdict = judged(target, bytes);
    verdicts.set(verdict, (verdicts.get(verdict) ?? 0) + 1);
  };
  for (const seed of target.seeds) attempt(seed);
  const reach = options.isGuided ? await Reach.open() : null;
  try {
    await reach?.isNews();
    for (let done = 0; done < options.runs;) {
      const batch = nextBatch(corpus, Math.min(BATCH, options.runs - done), random);
      for (const bytes of batch) attempt(bytes);
      done += batch.length;
      if (reach === null || corpus.length >= CORPUS_MAX || !(await reach.isNews())) continue;
      // One of them, or some: each alone.
      reach.forgetLast();
      for (const bytes of batch) {
        judged(target, bytes);
        if (await reach.isNews()) corpus.push(bytes);
      }
    }
  } finally {
    await reach?.close();
  }
  return { runs: options.runs, corpus: corpus.length, verdicts };
}

const nextBatch = (corpus: readonly Buffer[], count: number, random: Random): Buffer[] =>
  Array.from({ length: count }, () => {
    const from = corpus[random.below(corpus.length)] ?? Buffer.alloc(0);
    return mutatedBytes(from, corpus, random).subarray(0, BYTES_MAX);
  });

function judged(target: Target, bytes: Buffer): string {
  const startedMs = performance.now();
  try {
    const verdict = target.judge(bytes);
    const tookMs = performance.now() - startedMs;
    if (tookMs > SLOW_MS) throw new Error(`it took ${Math.round(tookMs)} ms`);
    return verdict;
  } catch (error) {
    const input = bytes.toString('base64');
    throw new Error(`${target.name}: input (base64) ${input}`, { cause: error });
  }
}

interface Range {
  readonly startOffset: number;
  readonly endOffset: number;
  readonly count: number;
}

/** Which blocks of our own sources have run, asked of V8. */
class Reach {
  readonly #session = new Session();
  readonly #seen = new Set<string>();
  #last: string[] = [];

  static async open(): Promise<Reach> {
    const reach = new Reach();
    reach.#session.connect();
    await reach.#session.post('Profiler.enable');
    await reach.#session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: true });
    return reach;
  }

  /** Whether anything ran since the last question that had never run before. */
  async isNews(): Promise<boolean> {
    const { result } = await this.#session.post('Profiler.takePreciseCoverage');
    this.#last = [];
    for (const { url, functions } of result) {
      if (!/\/src\/(core|protocol|agent|server)\//.test(url)) continue;
      for (const { ranges } of functions) {
        for (const range of ranges) this.#note(url, range);
      }
    }
    return this.#last.length > 0;
  }

  /** As if the last answer had not been given. */
  forgetLast(): void {
    for (const place of this.#last) this.#seen.delete(place);
  }

  async close(): Promise<void> {
    await this.#session.post('Profiler.stopPreciseCoverage');
    this.#session.disconnect();
  }

  #note(url: string, { startOffset, endOffset, count }: Range): void {
    const place = `${url} ${startOffset}-${endOffset}`;
    if (count === 0 || this.#seen.has(place)) return;
    this.#seen.add(place);
    this.#last.push(place);
  }
}
