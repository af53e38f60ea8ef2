import { HttpFetcher, MANAGER_ONLY, type Clock, type Reach } from '../agent/parts/index.js';
import type { NodeIdentity } from './credentials.js';
import type { Policy } from './workload-updater-options.js';

/**
 * Fetches with the identity of a workload, from wherever the policy lets it at that moment; while that
 * cannot be read, from the manager alone.
 */
export const fetcherOf = (
  {
    config,
    policy,
    reach,
    clock,
  }: {
    readonly config: { readonly manager: string; readonly allowPlaintext: boolean };
    readonly policy: Policy;
    readonly reach: Reach;
    readonly clock: Clock;
  },
  { nodeId, key }: NodeIdentity,
  limits: { readonly answerTimeoutMs?: number } = {},
): HttpFetcher =>
  new HttpFetcher({
    manager: config.manager,
    nodeId,
    key,
    allowPlaintext: config.allowPlaintext,
    delivery: async () => {
      const read = await policy.read();
      return read.ok ? read.value : MANAGER_ONLY;
    },
    reach,
    now: clock.now,
    ...limits,
  });
