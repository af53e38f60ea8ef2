import { randomUUID } from 'node:crypto';
import { FleetError } from '../core/kernel/index.js';
import { DECOMMISSION_PATH, makeNodeToken } from '../protocol/node/index.js';
import { agentFor, ask, type Clock, type Reach } from '../agent/parts/index.js';
import type { NodeIdentity } from './credentials.js';

const TIMEOUT_MS = 10_000;

/**
 * Tells the manager that a node leaves for good. A manager that knows it no more has nothing to do (401).
 * Throws `unavailable` when it cannot be told now.
 */
export async function decommission(
  {
    config,
    reach,
    clock,
  }: {
    readonly config: { readonly manager: string };
    readonly reach: Reach;
    readonly clock: Clock;
  },
  { nodeId, key }: NodeIdentity,
): Promise<void> {
  const { manager: origin } = config;
  const token = makeNodeToken({ nodeId, origin, key, nowMs: clock.now(), jti: randomUUID() });
  let status: number;
  try {
    const response = await ask(`${origin}${DECOMMISSION_PATH}`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: Buffer.from(JSON.stringify({ node_id: nodeId })),
      agent: origin.startsWith('https:') && agentFor(reach, false),
      timeoutMs: TIMEOUT_MS,
      silenceMs: TIMEOUT_MS,
    });
    status = response.statusCode ?? 0;
    response.resume();
  } catch (cause) {
    throw new FleetError('unavailable', 'the manager cannot be told', {
      kind: 'operational',
      cause,
    });
  }
  if (status !== 204 && status !== 401) {
    throw new FleetError('unavailable', `the manager answered ${status}`, { kind: 'operational' });
  }
}
