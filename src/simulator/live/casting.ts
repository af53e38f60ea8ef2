import { shuffled } from '../../core/kernel/index.js';
import type { Fault } from './scenario.js';

/**
 * Which faults befall which of so many nodes: exact numbers, drawn from the seed. A node has one fault of a
 * kind at most; a later entry of the same kind takes from those that the earlier ones left.
 */
export function cast(faults: readonly Fault[], count: number, seed: string): readonly Fault[][] {
  const parts: Fault[][] = Array.from({ length: count }, () => []);
  const taken = new Map<string, number>();
  for (const fault of faults) {
    // The same order for each entry of a kind, so that `taken` names those that have one.
    const order = shuffled([...parts.keys()], `${seed}/${fault.kind}`);
    const from = taken.get(fault.kind) ?? 0;
    const wanted = fault.count ?? Math.round((fault.share ?? 1) * count);
    for (const at of order.slice(from, from + wanted)) parts[at]?.push(fault);
    taken.set(fault.kind, from + wanted);
  }
  return parts;
}
