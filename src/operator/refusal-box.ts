import { z } from 'zod';
import { FleetError } from '../core/kernel/index.js';
import { isStatus } from './kube/client.js';
import type { Cluster } from './kube/cluster.js';

const NAME = 'bellwether-refusals';
/** All of a cluster that wait to be told; more than this are counted in the log of the webhook only. */
const WAITING_MAX = 64;
const TRIES = 4;
const Text = (most: number) => z.string().transform((text) => text.slice(0, most));

/** Pods that the webhook kept out, for one reason: the first, and how many of the same until it was told. */
export const Refused = z.object({
  id: z.string().max(128),
  /** `keyOf` the workload. */
  workload: z.string().max(400),
  pod: Text(300),
  container: Text(253),
  image: Text(512),
  code: z.string().max(64),
  message: Text(1_000),
  /** `warn`: it was told, and let in all the same. */
  mode: z.enum(['refuse', 'warn']).default('refuse'),
  count: z.int().min(1),
  first_at: z.iso.datetime(),
  last_at: z.iso.datetime(),
});
export type Refused = z.infer<typeof Refused>;
const Waiting = z.array(Refused).max(WAITING_MAX);

const sameAs = (a: Refused, b: Refused): boolean =>
  a.workload === b.workload && a.image === b.image && a.code === b.code && a.mode === b.mode;

/**
 * What the webhook refused, on its way to the operator that leads, which alone has links to the manager: a
 * ConfigMap. Bounded; whoever comes second adds to the count of the first.
 */
export class RefusalBox {
  readonly #cluster: Cluster;
  readonly #namespace: string;

  constructor(cluster: Cluster, namespace: string) {
    this.#cluster = cluster;
    this.#namespace = namespace;
  }

  /** What cannot be read counts as empty. Throws KubeError. */
  async read(): Promise<readonly Refused[]> {
    return (await this.#look()).waiting;
  }

  /** Gives how many found no room. Throws KubeError, `conflict`. */
  async put(refused: readonly Refused[]): Promise<number> {
    let left = 0;
    await this.#change((waiting) => {
      left = 0;
      const next = [...waiting];
      for (const one of refused) {
        const at = next.findIndex((other) => sameAs(one, other));
        const same = next[at];
        if (same !== undefined) {
          next[at] = { ...same, count: same.count + one.count, last_at: one.last_at };
        } else if (next.length < WAITING_MAX) next.push(one);
        else left += 1;
      }
      return next;
    });
    return left;
  }

  /** Takes out what was told, with the count that was told. Throws KubeError, `conflict`. */
  async take(told: readonly Refused[]): Promise<void> {
    const counts = new Map(told.map(({ id, count }) => [id, count]));
    await this.#change((waiting) =>
      waiting.filter(({ id, count }) => (counts.get(id) ?? -1) < count),
    );
  }

  async #look() {
    const stored = await this.#cluster.stored('configmaps', this.#namespace, NAME);
    let waiting: readonly Refused[] = [];
    try {
      waiting = Waiting.parse(JSON.parse(stored?.data['refusals'] ?? '[]'));
    } catch {
      // Written by another hand: it begins anew.
    }
    return { stored, waiting };
  }

  async #change(work: (waiting: readonly Refused[]) => readonly Refused[]): Promise<void> {
    for (let tries = 0; tries < TRIES; tries += 1) {
      const { stored, waiting } = await this.#look();
      const refusals = JSON.stringify(work(waiting));
      if (stored === null ? refusals === '[]' : stored.data['refusals'] === refusals) return;
      const at = { namespace: this.#namespace, name: NAME };
      const labels = { 'bellwether.dev/part': 'refusals' };
      try {
        await this.#cluster.store('configmaps', at, { data: { refusals }, labels }, stored);
        return;
      } catch (error) {
        if (!isStatus(error, 409)) throw error;
      }
    }
    throw new FleetError('conflict', 'others keep writing the refusals');
  }
}
