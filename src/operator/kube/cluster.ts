import { z } from 'zod';
import type {
  PodView,
  WorkloadKind,
  WorkloadName,
  WorkloadView,
} from '../../core/workload/index.js';
import { isStatus, type KubeClient } from './client.js';
import { List, Meta, podOf, viewOf, Workload } from './views.js';

export const PLURAL = {
  Deployment: 'deployments',
  DaemonSet: 'daemonsets',
  StatefulSet: 'statefulsets',
} as const satisfies Record<WorkloadKind, string>;

const PAGE = 500;
/** More pods than this of one workload are not looked at: the counters of its status still count. */
const PODS_MAX = 5_000;
const STORED_MAX = 10_000;
const Machine = z.object({ metadata: Meta.pick({ name: true, labels: true }) });
const Stored = z.object({ metadata: Meta, data: z.record(z.string(), z.string()).default({}) });
export type Stored = z.infer<typeof Stored>;
export type StoreKind = 'configmaps' | 'secrets';

/** What the operator asks of a cluster. Throws KubeError. */
export class Cluster {
  readonly client: KubeClient;
  constructor(client: KubeClient) {
    this.client = client;
  }

  /** Null when it is gone, or another one has its name. */
  async workload(of: WorkloadName & { readonly uid?: string }): Promise<WorkloadView | null> {
    try {
      const found = viewOf(of.kind, await this.client.ask(pathOf(of), Workload));
      return of.uid === undefined || of.uid === found.uid ? found : null;
    } catch (error) {
      if (isStatus(error, 404)) return null;
      throw error;
    }
  }

  async patchWorkload(
    of: WorkloadName,
    patch: Readonly<Record<string, unknown>>,
    dryRun: boolean,
  ): Promise<void> {
    await this.client.ask(pathOf(of), z.unknown(), {
      method: 'PATCH',
      patch: 'strategic-merge-patch',
      body: patch,
      query: { fieldManager: 'bellwether-operator', ...(dryRun ? { dryRun: 'All' } : {}) },
    });
  }

  async pods({ namespace, selector }: WorkloadView): Promise<readonly PodView[]> {
    const labelSelector = Object.entries(selector)
      .map(([key, value]) => `${key}=${value}`)
      .join(',');
    if (labelSelector === '') return [];
    const items = await this.#all(
      `/api/v1/namespaces/${namespace}/pods`,
      { labelSelector },
      PODS_MAX,
    );
    return items.items.flatMap((item) => podOf(item) ?? []);
  }

  /** Labels of the machines, by name. */
  async machines(): Promise<ReadonlyMap<string, Readonly<Record<string, string>>>> {
    const { items } = await this.#all('/api/v1/nodes', {}, 10_000);
    const parsed = items.flatMap((item) => Machine.safeParse(item).data ?? []);
    return new Map(parsed.map(({ metadata }) => [metadata.name, metadata.labels]));
  }

  /** All of a kind, in one namespace or (null) in all, and the version to watch from. */
  async workloads(
    kind: WorkloadKind,
    namespace: string | null,
  ): Promise<{ readonly version: string; readonly items: readonly WorkloadView[] }> {
    const { version, items } = await this.#all(listPath(kind, namespace), {}, 50_000);
    const views = items.flatMap((item) => {
      const parsed = Workload.safeParse(item);
      return parsed.success ? [viewOf(kind, parsed.data)] : [];
    });
    return { version, items: views };
  }

  async #all(
    path: string,
    query: Readonly<Record<string, string>>,
    most: number,
  ): Promise<{ readonly version: string; readonly items: readonly unknown[] }> {
    const items: unknown[] = [];
    let next: string | undefined;
    for (;;) {
      const page = await this.client.ask(path, List, {
        query: { ...query, limit: String(PAGE), ...(next === undefined ? {} : { continue: next }) },
      });
      items.push(...page.items);
      next = page.metadata.continue;
      if (next === undefined || next === '' || items.length >= most) {
        return { version: page.metadata.resourceVersion, items };
      }
    }
  }

  /** A ConfigMap or Secret; null when there is none. */
  async stored(kind: StoreKind, namespace: string, name: string): Promise<Stored | null> {
    try {
      return await this.client.ask(`/api/v1/namespaces/${namespace}/${kind}/${name}`, Stored);
    } catch (error) {
      if (isStatus(error, 404)) return null;
      throw error;
    }
  }

  /** All of a kind that carry a label. */
  async allStored(kind: StoreKind, namespace: string, label: string): Promise<readonly Stored[]> {
    const path = `/api/v1/namespaces/${namespace}/${kind}`;
    const { items } = await this.#all(path, { labelSelector: label }, STORED_MAX);
    return items.flatMap((item) => Stored.safeParse(item).data ?? []);
  }

  /**
   * Writes it as it must be: anew (null), or in place of the version that was read. Whoever came in
   * between makes it fail with 409.
   */
  async store(
    kind: StoreKind,
    at: { readonly namespace: string; readonly name: string },
    given: {
      readonly data: Readonly<Record<string, string>>;
      readonly labels: Readonly<Record<string, string>>;
    },
    before: Stored | null,
  ): Promise<Stored> {
    const { namespace, name } = at;
    const { data, labels } = given;
    const path = `/api/v1/namespaces/${namespace}/${kind}`;
    const resourceVersion = before?.metadata.resourceVersion;
    const body = {
      apiVersion: 'v1',
      kind: kind === 'secrets' ? 'Secret' : 'ConfigMap',
      metadata: {
        name,
        namespace,
        labels: { 'app.kubernetes.io/managed-by': 'bellwether-operator', ...labels },
        ...(resourceVersion === undefined ? {} : { resourceVersion }),
      },
      data,
    };
    return before === null
      ? this.client.ask(path, Stored, { method: 'POST', body })
      : this.client.ask(`${path}/${name}`, Stored, { method: 'PUT', body });
  }

  /** Idempotent. */
  async forget(kind: StoreKind, namespace: string, name: string): Promise<void> {
    try {
      const path = `/api/v1/namespaces/${namespace}/${kind}/${name}`;
      await this.client.ask(path, z.unknown(), { method: 'DELETE' });
    } catch (error) {
      if (!isStatus(error, 404)) throw error;
    }
  }
}

export const listPath = (kind: WorkloadKind, namespace: string | null): string =>
  `/apis/apps/v1/${namespace === null ? '' : `namespaces/${namespace}/`}${PLURAL[kind]}`;
const pathOf = ({ kind, namespace, name }: WorkloadName): string =>
  `${listPath(kind, namespace)}/${name}`;
