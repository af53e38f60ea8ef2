import { z } from 'zod';
import { FleetError } from '../core/kernel/index.js';
import { UpdateState } from '../core/update/index.js';
import { keyOf, nameIn, type WorkloadName } from '../core/workload/index.js';
import { isStatus } from './kube/client.js';
import type { Cluster, Stored } from './kube/cluster.js';
import { markOf } from './names.js';

/** What is being changed, durable before it is: what was there, and what takes its place. */
export const Swap = z.object({
  command_id: z.string(),
  uid: z.string(),
  container: z.string(),
  from: z.string(),
  to: z.string(),
});
export type Swap = z.infer<typeof Swap>;

/** For GitOps: what was written to take a change back, until another hand has brought that into the cluster. */
export const Return = Swap.extend({
  /** The version that is gone back to, as far as it is known. */
  backTo: z.string().nullable(),
  /** The cluster was seen with the image that has to go. */
  isOut: z.boolean(),
});
export type Return = z.infer<typeof Return>;

export const NodeState = z.object({
  update: UpdateState,
  /** The image by digest that the job is to bring, once it was judged. */
  image: z.string().nullable(),
  swap: Swap.nullable(),
  /** Outlives its job: whoever takes over has to write it again. */
  returning: Return.nullable().default(null),
  /** Hex of digests that stood in signed manifests, with the version of each: the newest sixteen. */
  digests: z.array(z.tuple([z.string(), z.string()])).max(16),
});
export type NodeState = z.infer<typeof NodeState>;

export const freshNode = (update: UpdateState): NodeState => ({
  update,
  image: null,
  swap: null,
  returning: null,
  digests: [],
});

const PART = { 'bellwether.dev/part': 'state' };
const nameFor = (of: WorkloadName): string => `bellwether-state-${markOf(of)}`;

/** Every workload that was ever given a node here and not taken out again, also of operators before. Throws KubeError. */
export async function workloadsKept(
  cluster: Cluster,
  namespace: string,
): Promise<readonly WorkloadName[]> {
  const all = await cluster.allStored('configmaps', namespace, 'bellwether.dev/part=state');
  return all.flatMap(({ metadata, data }) => {
    const of = nameIn(data['workload'] ?? '');
    // Written by another hand: not one of ours.
    return of !== null && metadata.name === nameFor(of) ? [of] : [];
  });
}

/** The state of one workload in a ConfigMap. A write that meets one of another operator fails. */
export class StateStore {
  readonly #cluster: Cluster;
  readonly #at: { readonly namespace: string; readonly name: string };
  readonly #key: string;
  #stored: Stored | null = null;

  constructor(cluster: Cluster, namespace: string, of: WorkloadName) {
    this.#cluster = cluster;
    this.#at = { namespace, name: nameFor(of) };
    this.#key = keyOf(of);
  }

  /** Says that the workload has a node, before the manager knows of one: so that it is found when nobody looked on. */
  async claim(): Promise<void> {
    const { namespace, name } = this.#at;
    if ((await this.#cluster.stored('configmaps', namespace, name)) !== null) return;
    const given = { data: { workload: this.#key }, labels: PART };
    await this.#cluster.store('configmaps', this.#at, given, null);
  }

  /** Null when there is none yet. Throws `upgrade_state_invalid` when it was damaged by hand. */
  async read(): Promise<NodeState | null> {
    this.#stored = await this.#cluster.stored('configmaps', this.#at.namespace, this.#at.name);
    const text = this.#stored?.data['state'];
    if (text === undefined) return null;
    try {
      return NodeState.parse(JSON.parse(text));
    } catch (cause) {
      const message = `${this.#at.namespace}/${this.#at.name} cannot be read; delete it to begin anew`;
      throw new FleetError('upgrade_state_invalid', message, { cause });
    }
  }

  /** Durable when it resolves. Throws `conflict` when somebody else wrote meanwhile. */
  async write(state: NodeState): Promise<void> {
    const data = { workload: this.#key, state: JSON.stringify(state) };
    const given = { data, labels: PART };
    try {
      this.#stored = await this.#cluster.store('configmaps', this.#at, given, this.#stored);
    } catch (error) {
      if (!isStatus(error, 409)) throw error;
      // An answer may have been lost: then what lies there is ours.
      const there = await this.#cluster.stored('configmaps', this.#at.namespace, this.#at.name);
      if (there?.data['state'] === data.state) this.#stored = there;
      else throw new FleetError('conflict', `another operator wrote the state of ${this.#key}`);
    }
  }

  forget(): Promise<void> {
    return this.#cluster.forget('configmaps', this.#at.namespace, this.#at.name);
  }
}
