import { z } from 'zod';
import { FleetError } from '../core/kernel/index.js';
import { UpdateState } from '../core/update/index.js';
import { keyOf, type WorkloadName } from '../core/workload/index.js';
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

export const NodeState = z.object({
  update: UpdateState,
  /** The image by digest that the job is to bring, once it was judged. */
  image: z.string().nullable(),
  swap: Swap.nullable(),
  /** Hex of digests that stood in signed manifests, with the version of each: the newest sixteen. */
  digests: z.array(z.tuple([z.string(), z.string()])).max(16),
});
export type NodeState = z.infer<typeof NodeState>;

/** The state of one workload in a ConfigMap. A write that meets one of another operator fails. */
export class StateStore {
  readonly #cluster: Cluster;
  readonly #at: { readonly namespace: string; readonly name: string };
  readonly #key: string;
  #stored: Stored | null = null;

  constructor(cluster: Cluster, namespace: string, of: WorkloadName) {
    this.#cluster = cluster;
    this.#at = { namespace, name: `bellwether-state-${markOf(of)}` };
    this.#key = keyOf(of);
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
    const given = { data, labels: { 'bellwether.dev/part': 'state' } };
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
