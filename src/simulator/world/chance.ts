import crypto from 'node:crypto';
import { syncBuiltinESMExports } from 'node:module';
import { seededRandom } from '../../core/kernel/index.js';

/** Luck that repeats: the same seed draws the same. */
export class Chance {
  readonly next: () => number;

  constructor(seed: string) {
    const random = seededRandom(seed);
    this.next = () => random.next();
  }

  /** True so often of a hundred per cent; 0 never, 1 always. */
  hit(probability: number): boolean {
    return this.next() < probability;
  }

  /** A whole number from `min` to `max`, both included. */
  int(min: number, max: number): number {
    return min + Math.floor(this.next() * (max - min + 1));
  }

  pick<T>(from: readonly T[]): T {
    return from[Math.floor(this.next() * from.length)] as T;
  }

  /** Each of them with this probability. */
  some<T>(from: readonly T[], probability: number): T[] {
    return from.filter(() => this.hit(probability));
  }

  /** From `min` to `max`, small ones as likely as large ones: for durations. */
  spread(min: number, max: number): number {
    return Math.round(min * (max / min) ** this.next());
  }
}

/**
 * The ids of the manager are random, and the cut of waves follows from them. So that a run repeats
 * exactly, `randomBytes` draws from a seed until the function that is given back is called. The
 * manager itself has no such switch: ids and secrets of a product must not be predictable.
 */
export function seedIds(chance: Chance): () => void {
  const real = crypto.randomBytes;
  const seeded = (size: number): Buffer => {
    const bytes = Buffer.allocUnsafe(size);
    for (let i = 0; i < size; i += 1) bytes[i] = Math.floor(chance.next() * 256);
    return bytes;
  };
  crypto.randomBytes = seeded as typeof crypto.randomBytes;
  syncBuiltinESMExports();
  return () => {
    crypto.randomBytes = real;
    syncBuiltinESMExports();
  };
}
