import { setTimeout as sleep } from 'node:timers/promises';
import { FleetError } from '../../core/kernel/index.js';
import { saysNo, type Fetcher } from './fetcher.port.js';

/**
 * Nobody has given anything for so long: a manager that restarts or is upgraded, a database that fails over and a
 * network that flaps are back by then. The old version runs meanwhile, and no place of the wave is taken.
 */
const PATIENCE_MS = 120_000;
/** With sources that all say no: one of them may be a mirror that is being filled. */
const NO_PATIENCE_MS = 5_000;
/** With whoever says when to come again, and is busy each time. */
const BUSY_PATIENCE_MS = 600_000;
const BACKOFF_BASE_MS = 250;
const BACKOFF_MAX_MS = 10_000;
/** One that says 0 must not be asked without a pause. */
const BUSY_WAIT_MS_MIN = 1_000;

export interface PatienceOptions {
  readonly signal: AbortSignal;
  /** Spreads the nodes that were cut off together: from 0 to 1. */
  readonly random: () => number;
  /** `PATIENCE_MS` when not given. */
  readonly patienceMs?: number;
  /** Told when waiting begins. */
  readonly onWait?: (error: FleetError) => void;
}

/** How long a node goes on asking for what nobody gives. */
export class Patience {
  readonly #options: PatienceOptions;
  #triedSinceMs: number | null = null;
  #tries = 0;

  constructor(options: PatienceOptions) {
    this.#options = options;
  }

  /** Something came, or somebody else is asked from now on. */
  renew(): void {
    this.#triedSinceMs = null;
    this.#tries = 0;
  }

  /**
   * Resolves with true when it is time for the next try, and with false when there is none: patience is at its end, or
   * what was thrown is no matter of the network. Rejects when the signal ends it.
   */
  async after(error: unknown): Promise<boolean> {
    if (!(error instanceof FleetError) || error.code !== 'upgrade_network_error') return false;
    const { signal, random, onWait, patienceMs = PATIENCE_MS } = this.#options;
    const now = performance.now();
    if (this.#triedSinceMs === null) onWait?.(error);
    this.#triedSinceMs ??= now;
    this.#tries += 1;
    const busyMs = error.context['retry_after_ms'];
    const isBusy = typeof busyMs === 'number';
    const backoffMs = Math.min(BACKOFF_MAX_MS, BACKOFF_BASE_MS * 2 ** this.#tries);
    const waitMs = isBusy ? Math.max(busyMs, BUSY_WAIT_MS_MIN) : backoffMs * (0.5 + random() / 2);
    const mostMs = isBusy
      ? BUSY_PATIENCE_MS
      : Math.min(patienceMs, saysNo(error) ? NO_PATIENCE_MS : Infinity);
    if (now - this.#triedSinceMs + waitMs > mostMs) return false;
    await sleep(waitMs, undefined, { signal });
    return true;
  }
}

/**
 * The same fetcher, but small documents that nobody gives are asked for again, as long as patience lasts. An artifact is
 * opened as before: whoever downloads it knows what has come of it.
 */
export function patient(fetcher: Fetcher, options: PatienceOptions): Fetcher {
  const persistently = async <T>(ask: () => Promise<T>): Promise<T> => {
    const patience = new Patience(options);
    for (;;) {
      try {
        return await ask();
      } catch (error) {
        if (!(await patience.after(error))) throw error;
      }
    }
  };
  return {
    fetchRelease: (wanted) => persistently(() => fetcher.fetchRelease(wanted)),
    fetchDocument: (wanted) => persistently(() => fetcher.fetchDocument(wanted)),
    openArtifact: (wanted) => fetcher.openArtifact(wanted),
  };
}
