import type { MutableParts } from './manager.js';
import type { Step } from './nodes/sim-node.js';

/** A mistake that is planted in a world, to see that the simulator would find it. */
export interface Mutant {
  readonly name: string;
  /** Changes parts of the manager before they are tied together. */
  readonly mutate?: (parts: MutableParts) => void;
  /** The update machine as the nodes of this world have it. */
  readonly step?: (real: Step) => Step;
  /** No alarm ever rings, and nothing sweeps. */
  readonly isNeverWoken?: boolean;
}
