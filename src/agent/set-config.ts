import { z } from 'zod';
import { ProductName } from '../core/release/index.js';
import type { ServiceConfig } from './supervisor/index.js';

/** A set of services in `agent.toml`. */
export const SetConfig = z.strictObject({
  name: ProductName,
  services: z.array(ProductName).min(2).max(64),
});
export type SetConfig = z.infer<typeof SetConfig>;

interface Problem {
  readonly path: PropertyKey[];
  readonly message: string;
}

/** What is wrong with the sets of a node: each names services of this node, and no two share one. */
export function problemsOfSets(
  services: readonly Pick<ServiceConfig, 'name' | 'driver'>[],
  sets: readonly SetConfig[],
): Problem[] {
  const problems: Problem[] = [];
  const names = new Set<string>();
  const bound = new Set<string>();
  sets.forEach((set, index) => {
    if (names.has(set.name)) {
      problems.push({ path: ['sets', index, 'name'], message: 'two sets of the same name' });
    }
    names.add(set.name);
    set.services.forEach((service, at) => {
      const message = problemOf(service, services, bound);
      if (message !== null) problems.push({ path: ['sets', index, 'services', at], message });
      bound.add(service);
    });
  });
  return problems;
}

function problemOf(
  service: string,
  services: readonly Pick<ServiceConfig, 'name' | 'driver'>[],
  bound: ReadonlySet<string>,
): string | null {
  if (bound.has(service)) return `${service} stands in a set already`;
  const found = services.find(({ name }) => name === service);
  if (found === undefined) return `there is no service ${service}`;
  // It ends with its swap, and could not turn back what it waits for.
  return found.driver === 'self' ? 'the agent itself cannot belong to a set' : null;
}
