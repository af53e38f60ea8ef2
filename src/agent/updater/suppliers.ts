import { rm } from 'node:fs/promises';
import { FleetError } from '../../core/kernel/index.js';

/** How long a source is listened to before its rate counts, and for each look after that. */
const SLOW_AFTER_MS = 60_000;
/** Slower than this, 100 MiB would take four hours; even a poor mobile line is faster. */
const BYTES_PER_SECOND_MIN = 8 * 1024;

/** What was in the file before this download began: nobody knows who sent it. */
const EARLIER = 'earlier';

/** What only the source can be blamed for. */
const FAULTS: ReadonlySet<string> = new Set([
  'upgrade_checksum_mismatch',
  'upgrade_artifact_too_large',
  'upgrade_length_mismatch',
  'upgrade_download_slow',
  'upgrade_url_invalid',
]);

/**
 * Who sent which part of one download, and who is not asked any more. When the whole has a wrong
 * digest and one source sent all of it, that one is to blame. When several did, nobody knows who
 * lied: it begins anew, and from then on a file comes from one source alone. So one bad mirror can
 * cost a second download, and cannot make a good source look bad.
 */
export class Suppliers {
  readonly #slowAfterMs: number;
  readonly #avoided = new Set<string>();
  readonly #contributors = new Set<string>();
  #current: string | null = null;
  #isUnmixed = false;
  #fault: FleetError | null = null;
  #rated: string | null = null;
  /** Of that source, since its rate was looked at last. */
  #bytes = 0;
  #sinceMs = 0;

  constructor(slowAfterMs = SLOW_AFTER_MS) {
    this.#slowAfterMs = slowAfterMs;
  }

  get avoided(): ReadonlySet<string> {
    return this.#avoided;
  }

  /** What was wrong with the last source that was given up. */
  get lastFault(): FleetError | null {
    return this.#fault;
  }

  /** So many bytes lie there before the next question. */
  found(bytes: number): void {
    this.#current = null;
    if (bytes === 0) this.#contributors.clear();
    else if (this.#contributors.size === 0) this.#contributors.add(EARLIER);
  }

  /** Throws `upgrade_download_slow` for one that comes back again and again for a few bytes. */
  answered(source: string, from: number): void {
    if (from === 0) this.#contributors.clear();
    this.#current = source;
    this.#contributors.add(source);
    const slow = source === this.#rated ? this.#look() : null;
    if (slow !== null) throw slow;
    if (source !== this.#rated) [this.#bytes, this.#sinceMs] = [0, performance.now()];
    this.#rated = source;
  }

  received(bytes: number): void {
    this.#bytes += bytes;
  }

  /** Looks at the rate of the current source now and then; the function that comes back ends it. */
  watch(onSlow: (error: FleetError) => void): () => void {
    const timer = setInterval(() => {
      const slow = this.#look();
      if (slow !== null) onSlow(slow);
    }, this.#slowAfterMs / 4);
    return () => {
      clearInterval(timer);
    };
  }

  /** Null while it is too early to say, and when the rate will do; then it is counted anew. */
  #look(): FleetError | null {
    const elapsedMs = performance.now() - this.#sinceMs;
    if (elapsedMs < this.#slowAfterMs) return null;
    const [bytes, seconds] = [this.#bytes, elapsedMs / 1000];
    [this.#bytes, this.#sinceMs] = [0, performance.now()];
    if (bytes >= BYTES_PER_SECOND_MIN * seconds) return null;
    const message = `${bytes} bytes came in ${Math.round(seconds)} s`;
    return new FleetError('upgrade_download_slow', message);
  }

  /**
   * True when the error was the fault of a source, which is not asked any more: worth another try.
   * False when it was not, or when nobody is left to be asked.
   */
  async hasBlamed(error: unknown, { path }: { readonly path: string }): Promise<boolean> {
    if (!(error instanceof FleetError)) return false;
    const source = this.#current;
    if (error.code === 'upgrade_checksum_mismatch') return this.#blameForDigest(error);
    if (error.context['none_left'] === true) return false;
    if (source === null) return false;
    const isFault = FAULTS.has(error.code);
    if (isFault) this.#fault = error;
    // One that breaks off may go on later, but in this mode it would have to be mixed with itself.
    if (!isFault && !this.#isUnmixed) return false;
    this.#avoided.add(source);
    if (this.#isUnmixed || error.code === 'upgrade_artifact_too_large') {
      await rm(path, { force: true });
    }
    return true;
  }

  #blameForDigest(error: FleetError): boolean {
    this.#fault = error;
    const [first, ...others] = this.#contributors;
    // Rotten bytes of an earlier process are gone with the file, and cannot come back.
    if (this.#contributors.has(EARLIER)) return true;
    if (first === undefined || (others.length > 0 && this.#isUnmixed)) return false;
    if (others.length > 0) this.#isUnmixed = true;
    else this.#avoided.add(first);
    return true;
  }
}
