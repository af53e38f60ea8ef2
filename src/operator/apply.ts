import { mkdir, open, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { FleetError } from '../core/kernel/index.js';
import { imagePatch, type ImageChange, type WorkloadName } from '../core/workload/index.js';
import { PLURAL, type Cluster } from './kube/cluster.js';

/** How an image gets into a cluster. */
export interface Applier {
  /** Whether it may be done, without doing it. Throws KubeError, or FleetError `upgrade_image_mutable`. */
  rehearse(of: WorkloadName, change: ImageChange): Promise<void>;
  apply(of: WorkloadName, change: ImageChange): Promise<void>;
}

function patchOf(change: ImageChange): Readonly<Record<string, unknown>> {
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
  rehearse(of: WorkloadName, change: ImageChange): Promise<void> {
    return this.#cluster.patchWorkload(of, patchOf(change), true);
  }
  apply(of: WorkloadName, change: ImageChange): Promise<void> {
    return this.#cluster.patchWorkload(of, patchOf(change), false);
  }
}

/**
 * Writes what another hand (Argo CD, Flux, a pipeline) brings into the cluster: one file a workload,
 * `<namespace>/<plural>-<name>.yaml`, which is a strategic merge patch for kustomize. Replaced in one step.
 */
export class FileApplier implements Applier {
  readonly #dir: string;
  constructor(dir: string) {
    this.#dir = dir;
  }

  async rehearse(_: WorkloadName, change: ImageChange): Promise<void> {
    patchOf(change);
    await mkdir(this.#dir, { recursive: true });
  }

  async apply(of: WorkloadName, change: ImageChange): Promise<void> {
    const { spec } = patchOf(change);
    const document = {
      apiVersion: 'apps/v1',
      kind: of.kind,
      metadata: { name: of.name, namespace: of.namespace },
      spec,
    };
    const folder = join(this.#dir, of.namespace);
    await mkdir(folder, { recursive: true });
    const path = join(folder, `${PLURAL[of.kind]}-${of.name}.yaml`);
    const head = change.version === null ? '' : `# ${change.version}\n`;
    const file = await open(`${path}.new`, 'w', 0o644);
    try {
      await file.writeFile(`${head}${stringify(document)}`);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(`${path}.new`, path);
  }
}
