import type { Transport } from './carrier.js';

/** A socket was tried this often in a row, and never carried a `welcome`: something blocks it. */
export const SOCKET_FAILURES_MAX = 3;
/** A socket that lived this long is worth its `hello`; one that is cut earlier is not. */
export const SOCKET_STEADY_MS = 120_000;
/** This many sockets in a row were cut too early: something does not let them live. */
export const SOCKET_CUTS_MAX = 3;
/** How long a node stays on a way that is not its best before it looks for a better one. */
export const PROBE_BASE_MS = 300_000;
/** Looking is done for ever, but what has failed all day fails at this pace. */
export const PROBE_MS_MAX = 3_600_000;

/** One way to the manager. */
export interface Way {
  /** Scheme, host and port. */
  readonly origin: string;
  readonly transport: Transport;
}

export interface WaysOptions {
  /** In order: the first one is the best. */
  readonly origins: readonly string[];
  /** `auto`: by socket where that works, else by polls. */
  readonly transport: Transport | 'auto';
  readonly random: () => number;
  readonly probeBaseMs?: number;
}

/** What is known of one origin. */
interface Known {
  readonly origin: string;
  socketFailures: number;
  socketCuts: number;
  /** The last poll was not welcomed either: then the socket has its turn again. */
  hasPollFailed: boolean;
}

/**
 * Which way to try next. Origins in order, each by socket until that has failed often enough; then
 * by polls, and by socket in turn with them while neither works. Pure: it is told what happened.
 */
export class Ways {
  readonly #options: WaysOptions;
  readonly #known: readonly Known[];
  #at = 0;
  #probes = 0;

  constructor(options: WaysOptions) {
    this.#options = options;
    this.#known = options.origins.map((origin) => ({
      origin,
      socketFailures: 0,
      socketCuts: 0,
      hasPollFailed: false,
    }));
  }

  next(): Way {
    const known = this.#current;
    const isPoll = this.#isSocketOut(known) && !known.hasPollFailed;
    return { origin: known.origin, transport: this.#allowed(isPoll ? 'poll' : 'socket') };
  }

  /**
   * It was tried and never welcomed. `isWayAtFault` is false when the manager itself said no. True
   * when there is another way that has not been tried since: it may be tried at once.
   */
  failed(way: Way, isWayAtFault: boolean): boolean {
    const known = this.#of(way);
    const wasOut = this.#isSocketOut(known);
    if (way.transport === 'poll') known.hasPollFailed = true;
    else {
      known.hasPollFailed = false;
      if (isWayAtFault) known.socketFailures += 1;
    }
    if (!wasOut && this.#isSocketOut(known)) return true;
    this.#at = (this.#known.indexOf(known) + 1) % this.#known.length;
    return this.#at !== 0;
  }

  welcomed(way: Way): void {
    const known = this.#of(way);
    this.#at = this.#known.indexOf(known);
    known.hasPollFailed = false;
    if (way.transport === 'socket') known.socketFailures = 0;
  }

  /** A way that was welcomed has ended; `isCut` when nobody said why. */
  ended(way: Way, { lastedMs, isCut }: { lastedMs: number; isCut: boolean }): void {
    if (way.transport === 'poll') return;
    const known = this.#of(way);
    if (lastedMs >= SOCKET_STEADY_MS) {
      known.socketCuts = 0;
      this.#probes = 0;
    } else if (isCut) {
      known.socketCuts += 1;
    }
  }

  /** A better way to look at, another one each time; null when there is none. */
  better(way: Way): Way | null {
    const index = this.#known.indexOf(this.#of(way));
    const bySocket = way.transport === 'poll' ? this.#known : this.#known.slice(0, index);
    const all: Way[] = bySocket.map(({ origin }) => ({
      origin,
      transport: this.#allowed('socket'),
    }));
    if (way.transport === 'poll') {
      all.push(
        ...this.#known
          .slice(0, index)
          .map(({ origin }): Way => ({ origin, transport: this.#allowed('poll') })),
      );
    }
    const others = all.filter(
      (one) => one.origin !== way.origin || one.transport !== way.transport,
    );
    const better = others.filter((one) => this.#rank(one) < this.#rank(way));
    return better[this.#probes % better.length] ?? null;
  }

  /** When to look; later each time nothing better was found. */
  probeInMs(): number {
    const { probeBaseMs = PROBE_BASE_MS, random } = this.#options;
    const boundMs = Math.min(PROBE_MS_MAX, probeBaseMs * 2 ** this.#probes);
    return boundMs * (0.9 + 0.2 * random());
  }

  /** Looked, whatever came of it: a way that is found and dies again must not be found at once. */
  probed(): void {
    this.#probes = Math.min(this.#probes + 1, 10);
  }

  /** Socket before poll, and then the order of the origins. */
  #rank({ origin, transport }: Way): number {
    const index = this.#known.findIndex((one) => one.origin === origin);
    return index + (transport === 'poll' ? this.#known.length : 0);
  }

  #isSocketOut({ socketFailures, socketCuts }: Known): boolean {
    return socketFailures >= SOCKET_FAILURES_MAX || socketCuts >= SOCKET_CUTS_MAX;
  }

  #allowed(wanted: Transport): Transport {
    const { transport } = this.#options;
    return transport === 'auto' ? wanted : transport;
  }

  get #current(): Known {
    return this.#known[this.#at] as Known;
  }

  #of({ origin }: Way): Known {
    return this.#known.find((one) => one.origin === origin) as Known;
  }
}
