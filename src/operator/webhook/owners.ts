import { z } from 'zod';
import { FleetError } from '../../core/kernel/index.js';
import {
  readOptIn,
  WORKLOAD_KINDS,
  wouldAdopt,
  type AskedPod,
  type Mode,
  type WorkloadKind,
  type WorkloadView,
} from '../../core/workload/index.js';
import type { Log } from '../../agent/parts/index.js';
import { isStatus } from '../kube/client.js';
import type { Cluster } from '../kube/cluster.js';
import { WorkloadWatch } from '../kube/watch.js';

const ReplicaSet = z.object({
  metadata: z.object({
    uid: z.string(),
    ownerReferences: z
      .array(
        z.object({
          apiVersion: z.string(),
          kind: z.string(),
          name: z.string(),
          uid: z.string(),
          controller: z.boolean().nullish(),
        }),
      )
      .default([]),
  }),
});
type Reference = NonNullable<AskedPod['controller']>;
/** Who owns a ReplicaSet seldom changes, and it is a new one for each template. */
const SETS_MAX = 5_000;
const SET_MS = 60_000;
const NAME = /^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/;

export interface OwnersOptions {
  readonly cluster: Cluster;
  readonly namespace: string | null;
  readonly mode: Mode;
  readonly log: Log;
  readonly backoffMs?: number | undefined;
}

/** Which workload a pod belongs to: by who steers it, else by the labels that it carries. */
export class Owners {
  readonly #options: OwnersOptions;
  readonly #watches: readonly WorkloadWatch[];
  /** Those that opted in, by kind; a kind is there once it was listed. */
  readonly #optedIn = new Map<WorkloadKind, readonly WorkloadView[]>();
  readonly #sets = new Map<string, { readonly owner: Reference | null; readonly atMs: number }>();

  constructor(options: OwnersOptions) {
    this.#options = options;
    const { cluster, namespace, log, mode, backoffMs } = options;
    this.#watches = WORKLOAD_KINDS.map(
      (kind) =>
        new WorkloadWatch({
          cluster,
          kind,
          namespace,
          log,
          ...(backoffMs === undefined ? {} : { backoffMs }),
          onChange: (_, all) => {
            const views = [...all.values()].filter((view) => readOptIn(view, mode) !== null);
            this.#optedIn.set(kind, views);
          },
        }),
    );
  }

  start(): void {
    for (const watch of this.#watches) watch.start();
  }

  async stop(): Promise<void> {
    await Promise.all(this.#watches.map((watch) => watch.stop()));
  }

  get isReady(): boolean {
    return this.#optedIn.size === WORKLOAD_KINDS.length;
  }

  get all(): readonly WorkloadView[] {
    return [...this.#optedIn.values()].flat();
  }

  /**
   * The workload that takes part and whose pod this is; null when there is none. What stands in a pod
   * about its owner was written by whoever asks: it counts when the API server has that owner, with that
   * uid. Throws KubeError, and `admission_undecided` before the workloads were listed once.
   */
  async workloadOf(pod: AskedPod): Promise<WorkloadView | null> {
    const top = pod.controller === null ? null : await this.#above(pod.namespace, pod.controller);
    if (top === null) return this.#byLabels(pod);
    const { kind, name, uid } = top;
    const of = { kind: kind as WorkloadKind, namespace: pod.namespace, name };
    const found = await this.#options.cluster.workload({ ...of, uid });
    if (found === null) return this.#byLabels(pod);
    return readOptIn(found, this.#options.mode) === null ? null : found;
  }

  /** A Deployment, DaemonSet or StatefulSet; null where the way leads to something else. */
  async #above(namespace: string, controller: Reference): Promise<Reference | null> {
    // It becomes part of an address.
    if (!NAME.test(controller.name)) return null;
    const owner =
      controller.group === 'apps' && controller.kind === 'ReplicaSet'
        ? await this.#ownerOfSet(namespace, controller)
        : controller;
    const isWorkload =
      owner?.group === 'apps' && (WORKLOAD_KINDS as readonly string[]).includes(owner.kind);
    return isWorkload && NAME.test(owner.name) ? owner : null;
  }

  async #ownerOfSet(namespace: string, set: Reference): Promise<Reference | null> {
    const key = `${namespace}/${set.uid}`;
    const nowMs = performance.now();
    const known = this.#sets.get(key);
    if (known !== undefined && nowMs - known.atMs < SET_MS) return known.owner;
    const path = `/apis/apps/v1/namespaces/${namespace}/replicasets/${set.name}`;
    try {
      const { metadata } = await this.#options.cluster.client.ask(path, ReplicaSet);
      if (metadata.uid !== set.uid) return null;
      const found = metadata.ownerReferences.find(({ controller }) => controller === true);
      const owner =
        found === undefined
          ? null
          : { ...found, group: found.apiVersion.split('/').slice(0, -1).join('/') };
      if (this.#sets.size >= SETS_MAX) this.#sets.clear();
      this.#sets.set(key, { owner, atMs: nowMs });
      return owner;
    } catch (error) {
      if (isStatus(error, 404)) return null;
      throw error;
    }
  }

  #byLabels(pod: AskedPod): WorkloadView | null {
    if (!this.isReady) {
      throw new FleetError('admission_undecided', 'the workloads were not listed yet');
    }
    return this.all.find((view) => !view.isDeleting && wouldAdopt(view, pod)) ?? null;
  }
}
