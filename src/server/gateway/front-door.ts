import { performance } from 'node:perf_hooks';
import { Inject, Injectable, type OnModuleDestroy } from '@nestjs/common';
import type { Logger } from 'pino';
import { FleetError } from '../../core/kernel/index.js';
import { LOGGER } from '../platform/index.js';
import { meters } from '../platform/telemetry/index.js';
import { AcceptQueue, type QueueState, type Refused } from './accept-queue.js';
import { Links } from './links.js';
import { LoadWatch } from './load-watch.js';
import type { UrgentNodes } from './ports.js';
import { ARRIVAL_MS_WANTED, type Urgency } from './storm-rule.js';

/** How often the line is looked at while there is one: what a node may wait for longer than it must. */
const LOOK_MS = 100;
/** A node that says nothing after its upgrade gives its place back after this long; its hello counts all the same. */
const SILENT_MS = 1_000;
/** Who is urgent is read anew this often, and only while somebody waits. */
const URGENT_MS = 2_000;
/** Urgent nodes that are known at once: a read of some ms, at most 2 MB. Of more, those in probation come first. */
const URGENT_MAX = 10_000;

interface Guest {
  readonly letIn: (place: Place) => void;
  readonly refuse: (error: FleetError) => void;
}

/** An arrival that is under way, from the knock to the welcome. Each method may be called at any time, and again. */
export interface Place {
  /** From here on the node has to speak. */
  pause(): void;
  /** It has spoken. */
  resume(): void;
  /** It is welcome. */
  arrived(): void;
  /** It came to nothing. Nothing after `arrived`. */
  lost(): void;
}

const busy = (retryAfterMs: number): FleetError => {
  const seconds = Math.ceil(retryAfterMs / 1_000);
  return new FleetError('manager_busy', `many nodes come at once; come back in ${seconds} s`, {
    context: { retry_after_seconds: seconds },
  });
};

/**
 * Lets nodes in at the pace that the database and the event loop take, whether they come by socket or by poll. Whoever
 * finds no place waits in a line for two seconds at most, and is then told when to come back: before any signature is
 * looked at, or anything read. While nobody has to wait it costs two additions a node, and no timer runs.
 */
@Injectable()
export class FrontDoor implements OnModuleDestroy {
  readonly #queue = new AcceptQueue<Guest>();
  readonly #places = new Set<OpenPlace>();
  #timer: NodeJS.Timeout | null = null;
  #urgent: UrgentNodes = { probation: new Set(), commanded: new Set() };
  #urgentAtMs = -Infinity;
  readonly #endTelling: () => void;

  constructor(
    private readonly links: Links,
    load: LoadWatch,
    @Inject(LOGGER) private readonly log: Logger,
  ) {
    load.onLook(({ loopDelayMs, databaseDelayMs }) => {
      // Only who is in a storm is slowed by it: otherwise a garbage collection would close the door.
      const isBehind = Math.max(loopDelayMs, databaseDelayMs) > ARRIVAL_MS_WANTED;
      if (isBehind && this.#places.size > 0) this.#queue.slower(performance.now());
    });
    this.#endTelling = meters.atScrape(() => {
      const { underWay, waiting, limit } = this.#queue.state();
      meters.set('bellwether_arrivals', underWay, 'under_way');
      meters.set('bellwether_arrivals', waiting, 'waiting');
      meters.set('bellwether_arrivals', limit, 'limit');
    });
  }

  onModuleDestroy(): void {
    this.#endTelling();
    if (this.#timer !== null) clearInterval(this.#timer);
  }

  state(): QueueState {
    return this.#queue.state();
  }

  /**
   * Resolves when the node may come in. Throws `manager_busy` with the time to come back. `claim` says who it claims
   * to be, and is only asked when there is no room; null: nothing that could be believed, so it is let through to be
   * refused. `gone` is aborted when it hangs up.
   */
  async enter(claim: () => string | null, gone: AbortSignal): Promise<Place> {
    if (this.#queue.hasRoom) {
      this.#queue.enter();
      return this.#open();
    }
    const nodeId = claim();
    if (nodeId === null) return NO_PLACE;
    this.#lookForUrgent();
    return await new Promise<Place>((resolve, reject) => {
      const guest: Guest = { letIn: resolve, refuse: reject };
      const verdict = this.#queue.knock(nodeId, guest, this.#urgencyOf(nodeId), performance.now());
      if (verdict.is === 'in') resolve(this.#open());
      else if (verdict.is === 'out') reject(busy(verdict.retryAfterMs));
      else {
        gone.addEventListener('abort', () => {
          this.#queue.gone(guest);
          reject(new FleetError('unavailable', 'the node has hung up'));
        });
        if (verdict.out !== null) refuse(verdict.out);
        this.#keepLooking();
      }
    });
  }

  #open(): Place {
    const place = new OpenPlace((took) => {
      this.#places.delete(place);
      this.#queue.left(took, performance.now());
      this.#next();
    });
    this.#places.add(place);
    this.#keepLooking();
    return place;
  }

  #next(): void {
    for (const guest of this.#queue.admit()) guest.letIn(this.#open());
  }

  #keepLooking(): void {
    this.#timer ??= setInterval(() => {
      this.#look(performance.now());
    }, LOOK_MS).unref();
  }

  #look(nowMs: number): void {
    for (const place of this.#places) place.giveUpIfSilent(nowMs);
    for (const late of this.#queue.expire(nowMs)) refuse(late);
    this.#next();
    if (this.#places.size > 0 || this.#queue.state().waiting > 0 || this.#timer === null) return;
    clearInterval(this.#timer);
    this.#timer = null;
  }

  #urgencyOf(nodeId: string): Urgency {
    if (this.#urgent.probation.has(nodeId)) return 'probation';
    return this.#urgent.commanded.has(nodeId) ? 'commanded' : null;
  }

  /** One read for all that knock. What it does not know in time only costs a node its precedence. */
  #lookForUrgent(): void {
    const nowMs = performance.now();
    if (nowMs - this.#urgentAtMs < URGENT_MS) return;
    this.#urgentAtMs = nowMs;
    const reading = this.links.urgency?.urgent(URGENT_MAX) ?? Promise.resolve(this.#urgent);
    reading.then(
      (urgent) => {
        this.#urgent = urgent;
      },
      (error: unknown) => {
        this.log.warn({ err: error }, 'nobody is known to be urgent: the database does not answer');
      },
    );
  }
}

const refuse = ({ guest, retryAfterMs }: Refused<Guest>): void => {
  guest.refuse(busy(retryAfterMs));
};

/** Of whoever is refused right away. */
const NO_PLACE: Place = {
  pause: () => undefined,
  resume: () => undefined,
  arrived: () => undefined,
  lost: () => undefined,
};

type Took = { readonly workedMs: number; readonly heldMs: number };

/** A stopwatch of what the manager does, without what it waits for the node. */
class OpenPlace implements Place {
  readonly #sinceMs = performance.now();
  #pausedAtMs: number | null = null;
  #pausedMs = 0;
  #end: ((took: Took | null) => void) | null;

  constructor(end: (took: Took | null) => void) {
    this.#end = end;
  }

  pause(): void {
    this.#pausedAtMs ??= performance.now();
  }

  resume(): void {
    if (this.#pausedAtMs === null) return;
    this.#pausedMs += performance.now() - this.#pausedAtMs;
    this.#pausedAtMs = null;
  }

  arrived(): void {
    const heldMs = performance.now() - this.#sinceMs;
    this.#over({ workedMs: heldMs - this.#pausedMs, heldMs });
  }

  lost(): void {
    this.#over(null);
  }

  giveUpIfSilent(nowMs: number): void {
    if (this.#pausedAtMs !== null && nowMs - this.#pausedAtMs > SILENT_MS) this.lost();
  }

  #over(took: Took | null): void {
    const end = this.#end;
    this.#end = null;
    end?.(took);
  }
}
