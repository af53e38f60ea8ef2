import { FleetError } from '../core/kernel/index.js';
import {
  imagePatch,
  type ImageChange,
  type WorkloadName,
  type WorkloadView,
} from '../core/workload/index.js';
import type { Cluster } from './kube/cluster.js';

/** How an image gets into a cluster. */
export interface Applier {
  /** Whether it may be done, without doing it. Throws KubeError, or FleetError `upgrade_image_mutable`. */
  rehearse(of: WorkloadView, change: ImageChange): Promise<void>;
  apply(of: WorkloadView, change: ImageChange): Promise<void>;
  /** This process looks after the workload no more. */
  forget(of: WorkloadName): Promise<void>;
}

/** Throws `upgrade_image_mutable`. */
export function patchOf(change: ImageChange): Readonly<Record<string, unknown>> {
  const patch = imagePatch(change);
  if (patch.ok) return patch.value;
  throw new FleetError(patch.error.code, patch.error.message);
}

/** Patches the workload itself. */
export class PatchApplier implements Applier {
  readonly #cluster: Cluster;
  constructor(cluster: Cluster) {
    this.#cluster = cluster;
  }
  rehearse(of: WorkloadView, change: ImageChange): Promise<void> {
    return this.#cluster.patchWorkload(of, patchOf(change), true);
  }
  apply(of: WorkloadView, change: ImageChange): Promise<void> {
    return this.#cluster.patchWorkload(of, patchOf(change), false);
  }
  /** What is patched is done. */
  forget(): Promise<void> {
    return Promise.resolve();
  }
}
