import type { LiveMemory } from './live-memory.js';
import type { Scenario } from './scenario.js';
import type { Numbers } from './tally.js';
import type { Wheel } from './wheel.js';

/** What all nodes of a process have in common. */
export interface Crowd {
  readonly urls: readonly string[];
  readonly origin: string;
  readonly caPem: string | null;
  readonly seed: string;
  readonly work: Scenario['work'];
  readonly agentVersion: string;
  readonly wheel: Wheel;
  readonly numbers: Numbers;
  /** What a node keeps over the death of its process; null: nothing. */
  memoryOf(nodeId: string): LiveMemory | null;
  reason(what: string): void;
  error(code: string): void;
}
