import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { FleetError } from '../core/kernel/index.js';
import { keyOf, readOptIn, WORKLOAD_KINDS, type WorkloadName } from '../core/workload/index.js';
import type { DeploymentName } from './config.js';
import { isStatus } from './kube/client.js';
import { Leader, type LeaseTimes } from './kube/leader.js';
import { LEASE_NAME } from './operator.js';
import { workloadsKept } from './state-store.js';
import { removeNode, type Surroundings } from './workload-node.js';

export interface TakingOut {
  /** The Deployment of the operator, which is scaled to none first. */
  readonly deployment: DeploymentName | null;
  /** For the whole of it. */
  readonly limitMs: number;
  /** For specs. */
  readonly times?: LeaseTimes;
}

/**
 * Every node that the operator made leaves the manager, and what was kept of it here goes too; how many did.
 * Idempotent. It leads while it does so: an operator that goes on would enroll them anew. Throws `conflict`
 * when one still leads at the end of the time, `unavailable` when some could not be taken out, KubeError.
 */
export async function takeOut(around: Surroundings, taking: TakingOut): Promise<number> {
  const { clock, cluster, config, log } = around;
  const endsAtMs = clock.monotonicMs() + taking.limitMs;
  if (taking.deployment !== null) await scaleToNone(around, taking.deployment);
  const leading = Promise.withResolvers<true>();
  const leader = new Leader({
    cluster,
    namespace: config.namespace,
    name: LEASE_NAME,
    identity: config.podName,
    onLead: () => {
      leading.resolve(true);
    },
    onLost: () => undefined,
    clock,
    log,
    times: taking.times,
  });
  leader.start();
  const giveUp = new AbortController();
  try {
    const late = sleep(taking.limitMs, false, { signal: giveUp.signal }).catch(() => false);
    if (!(await Promise.race([leading.promise, late]))) {
      const message = 'an operator still leads in this cluster; scale it to none first';
      throw new FleetError('conflict', message, { kind: 'operational' });
    }
    return await removeAll(around, () => leader.mayAct && clock.monotonicMs() < endsAtMs);
  } finally {
    giveUp.abort();
    await leader.stop();
  }
}

async function removeAll(around: Surroundings, mayGoOn: () => boolean): Promise<number> {
  let [removed, failed] = [0, 0];
  for (const of of await allWithNodes(around)) {
    try {
      if (!mayGoOn()) throw new FleetError('unavailable', 'the time is up');
      if (await removeNode(around, of)) removed += 1;
    } catch (error) {
      failed += 1;
      around.log('a node stays in the manager', { workload: keyOf(of), error: String(error) });
    }
  }
  if (failed === 0) return removed;
  const message = `${failed} of ${failed + removed} nodes could not be taken out`;
  throw new FleetError('unavailable', message, { kind: 'operational' });
}

/** Those that an operator ever enrolled and, in case what it kept was lost in part, those that take part now. */
async function allWithNodes({ cluster, config, log }: Surroundings): Promise<WorkloadName[]> {
  const all = new Map<string, WorkloadName>();
  const kept = await workloadsKept(cluster, config.namespace).catch((error: unknown) => {
    // The rights of a chart from before this was looked for.
    if (!isStatus(error, 403)) throw error;
    log('nodes that were left behind cannot be looked for', { error: String(error) });
    return [];
  });
  for (const of of kept) all.set(keyOf(of), of);
  for (const kind of WORKLOAD_KINDS) {
    const { items } = await cluster.workloads(kind, config.watchNamespace);
    for (const view of items) {
      if (readOptIn(view, config.mode) !== null) all.set(keyOf(view), view);
    }
  }
  return [...all.values()];
}

/** One that is gone already has no pods either. */
async function scaleToNone({ cluster, log }: Surroundings, of: DeploymentName): Promise<void> {
  const path = `/apis/apps/v1/namespaces/${of.namespace}/deployments/${of.name}/scale`;
  try {
    const body = { spec: { replicas: 0 } };
    await cluster.client.ask(path, z.unknown(), { method: 'PATCH', patch: 'merge-patch', body });
    log('the operator was scaled to none', { deployment: `${of.namespace}/${of.name}` });
  } catch (error) {
    if (!isStatus(error, 404)) throw error;
  }
}
