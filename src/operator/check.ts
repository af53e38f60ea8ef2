import { z } from 'zod';
import { readOptIn, WORKLOAD_KINDS, type WorkloadView } from '../core/workload/index.js';
import { agentFor, ask } from '../agent/parts/index.js';
import { isStatus } from './kube/client.js';
import { LEASE_NAME } from './operator.js';
import type { Surroundings } from './workload-node.js';

const TIMEOUT_MS = 15_000;
const Lease = z.object({ spec: z.object({ holderIdentity: z.string().nullish() }).default({}) });

export interface Finding {
  readonly what: string;
  readonly isFine: boolean;
  /** What was seen, in one line; never a token. */
  readonly saw: string;
}

/**
 * What an operator needs here, each looked at on its own: token, policy, rights, the way to the manager, and whether one
 * leads. Changes nothing. Never throws.
 */
export async function checkSurroundings(around: Surroundings): Promise<Finding[]> {
  const checks: readonly (readonly [string, (around: Surroundings) => Promise<string>])[] = [
    ['token', tokenIsThere],
    ['policy', policyIsReadable],
    ['workloads', workloadsAreSeen],
    ['manager', managerAnswers],
    ['leader', somebodyLeads],
  ];
  return Promise.all(
    checks.map(async ([what, look]) => {
      try {
        return { what, isFine: true, saw: await look(around) };
      } catch (error) {
        const saw = error instanceof Error ? error.message : String(error);
        return { what, isFine: false, saw };
      }
    }),
  );
}

async function tokenIsThere({ token }: Surroundings): Promise<string> {
  await token();
  return 'is there';
}

async function policyIsReadable({ policy }: Surroundings): Promise<string> {
  const read = await policy.read();
  if (!read.ok) throw new Error(`${read.error.code}: ${read.error.message}`);
  const { enabled, signers } = read.value;
  return `${enabled ? 'enabled' : 'not enabled'}, ${signers.length} signers`;
}

async function workloadsAreSeen({ cluster, config }: Surroundings): Promise<string> {
  const taking: WorkloadView[] = [];
  for (const kind of WORKLOAD_KINDS) {
    const { items } = await cluster.workloads(kind, config.watchNamespace);
    taking.push(...items.filter((view) => readOptIn(view, config.mode)?.ok === true));
  }
  const [first] = taking;
  if (first !== undefined) await cluster.pods(first);
  return `${taking.length} take part`;
}

async function managerAnswers({ config, reach }: Surroundings): Promise<string> {
  const response = await ask(`${config.manager}/healthz`, {
    headers: {},
    agent: config.manager.startsWith('https:') && agentFor(reach, false),
    timeoutMs: TIMEOUT_MS,
    silenceMs: TIMEOUT_MS,
  });
  response.destroy();
  if (response.statusCode === 200) return `${config.manager} answers`;
  throw new Error(`${config.manager} answers ${response.statusCode ?? 0}`);
}

async function somebodyLeads({ cluster, config }: Surroundings): Promise<string> {
  const path = `/apis/coordination.k8s.io/v1/namespaces/${config.namespace}/leases/${LEASE_NAME}`;
  const lease = await cluster.client.ask(path, Lease).catch((error: unknown) => {
    if (isStatus(error, 404)) return null;
    throw error;
  });
  const holder = lease?.spec.holderIdentity ?? '';
  if (holder === '') throw new Error('no operator leads');
  return holder;
}
