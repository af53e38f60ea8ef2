import { randomInt } from 'node:crypto';
import { Inject, Injectable } from '@nestjs/common';
import { FleetError } from '../../../core/kernel/index.js';
import { CONFIG, type Config } from '../../platform/index.js';
import { Pace } from './pace.js';

/** Artifacts and deltas of all services of one node; more would be a node gone wild. */
export const PER_NODE_MAX = 4;
/** Spread over half a minute, those who were sent away do not come back all at once. */
const RETRY_AFTER_SECONDS_MIN = 2;
const RETRY_AFTER_SECONDS_MAX = 30;

/** The right to download, until it is given back. */
export interface Slot {
  readonly nodeId: string;
  /** Idempotent. */
  release(): void;
}

/**
 * How much is downloaded at once: so many in all, so many by one node, and one rate for all. Who finds
 * no room is told when to come again; nobody waits inside the manager.
 */
@Injectable()
export class Downloads {
  readonly pace: Pace;
  readonly #max: number;
  readonly #byNode = new Map<string, number>();
  #count = 0;

  constructor(@Inject(CONFIG) config: Pick<Config, 'downloadsMax' | 'downloadBytesPerSecond'>) {
    this.#max = config.downloadsMax;
    this.pace = new Pace(config.downloadBytesPerSecond);
  }

  get count(): number {
    return this.#count;
  }

  /** Throws `rate_limited` when the node has too many, `downloads_busy` when all have. */
  begin(nodeId: string): Slot {
    const own = this.#byNode.get(nodeId) ?? 0;
    if (own >= PER_NODE_MAX) {
      throw comeAgain('rate_limited', `a node downloads at most ${PER_NODE_MAX} at once`);
    }
    if (this.#count >= this.#max) {
      throw comeAgain('downloads_busy', `${this.#max} downloads are under way`);
    }
    this.#count += 1;
    this.#byNode.set(nodeId, own + 1);
    let isHeld = true;
    return {
      nodeId,
      release: () => {
        if (!isHeld) return;
        isHeld = false;
        this.#count -= 1;
        const left = (this.#byNode.get(nodeId) ?? 1) - 1;
        if (left === 0) this.#byNode.delete(nodeId);
        else this.#byNode.set(nodeId, left);
      },
    };
  }
}

const comeAgain = (code: string, message: string): FleetError =>
  new FleetError(code, message, {
    context: {
      retry_after_seconds: randomInt(RETRY_AFTER_SECONDS_MIN, RETRY_AFTER_SECONDS_MAX + 1),
    },
  });
