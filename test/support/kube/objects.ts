/* eslint-disable @typescript-eslint/no-unnecessary-condition -- what comes over the wire has no types */
import { randomUUID } from 'node:crypto';

/** A JSON object of the API, loosely: what is strict here is what the server does with it. */
export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
export type Fields = Record<string, Json>;
export interface Meta {
  name: string;
  namespace?: string;
  uid: string;
  resourceVersion: string;
  generation?: number;
  creationTimestamp: string;
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
  generateName?: string;
  ownerReferences?: {
    apiVersion: string;
    uid: string;
    kind: string;
    name: string;
    controller: boolean;
  }[];
}
export interface KubeObject {
  apiVersion: string;
  kind: string;
  metadata: Meta;
  [more: string]: unknown;
}

export interface Resource {
  readonly group: string;
  readonly version: string;
  readonly plural: string;
  readonly kind: string;
  readonly namespaced: boolean;
  readonly short: readonly string[];
  readonly hasStatus: boolean;
}
const resource = (
  group: string,
  plural: string,
  kind: string,
  short: readonly string[] = [],
  over: Partial<Resource> = {},
): Resource => ({
  group,
  version: 'v1',
  plural,
  kind,
  short,
  namespaced: true,
  hasStatus: group === 'apps',
  ...over,
});

export const RESOURCES: readonly Resource[] = [
  resource('', 'namespaces', 'Namespace', ['ns'], { namespaced: false }),
  resource('', 'nodes', 'Node', ['no'], { namespaced: false }),
  resource('', 'pods', 'Pod', ['po'], { hasStatus: true }),
  resource('', 'configmaps', 'ConfigMap', ['cm']),
  resource('', 'secrets', 'Secret'),
  resource('apps', 'deployments', 'Deployment', ['deploy']),
  resource('apps', 'replicasets', 'ReplicaSet', ['rs']),
  resource('apps', 'daemonsets', 'DaemonSet', ['ds']),
  resource('apps', 'statefulsets', 'StatefulSet', ['sts']),
  resource('coordination.k8s.io', 'leases', 'Lease'),
  resource(
    'admissionregistration.k8s.io',
    'validatingwebhookconfigurations',
    'ValidatingWebhookConfiguration',
    [],
    { namespaced: false },
  ),
];
export const resourceOf = (plural: string): Resource => {
  const found = RESOURCES.find((one) => one.plural === plural);
  if (found === undefined) throw new Error(`no resource ${plural}`);
  return found;
};
export const apiVersionOf = ({ group, version }: Resource): string =>
  group === '' ? version : `${group}/${version}`;

export interface Change {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED';
  readonly plural: string;
  readonly version: number;
  readonly object: KubeObject;
}

/** What an API server answers when it refuses. */
export class StatusError extends Error {
  readonly code: number;
  readonly reason: string;
  constructor(code: number, reason: string, message: string) {
    super(message);
    this.code = code;
    this.reason = reason;
  }
  body(): Fields {
    const { code, reason, message } = this;
    return {
      kind: 'Status',
      apiVersion: 'v1',
      metadata: {},
      status: 'Failure',
      message,
      reason,
      code,
    };
  }
}
export const notFound = ({ group, plural }: Resource, name: string): StatusError =>
  new StatusError(404, 'NotFound', `${qualified(group, plural)} "${name}" not found`);
export const qualified = (group: string, plural: string): string =>
  group === '' ? plural : `${plural}.${group}`;
export const conflict = ({ group, plural }: Resource, name: string, why?: string): StatusError =>
  new StatusError(
    409,
    'Conflict',
    `Operation cannot be fulfilled on ${qualified(group, plural)} "${name}": ${why ?? 'the object has been modified; please apply your changes to the latest version and try again'}`,
  );

/** What the server writes where nothing is said. */
function defaulted({ kind }: Resource, object: KubeObject): KubeObject {
  const spec = object['spec'] as Fields | undefined;
  if (spec === undefined) return object;
  const more: Record<string, Fields> = {
    Deployment: { replicas: 1, progressDeadlineSeconds: 600, strategy: { type: 'RollingUpdate' } },
    DaemonSet: { updateStrategy: { type: 'RollingUpdate' } },
    StatefulSet: { replicas: 1, updateStrategy: { type: 'RollingUpdate' } },
  };
  return { ...object, spec: { ...more[kind], ...spec } };
}

const same = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b);

/** The objects with one counter of versions, and the changes that watchers may still ask for. */
export class Objects {
  readonly #objects = new Map<string, KubeObject>();
  readonly #listeners = new Set<(change: Change) => void>();
  #changes: Change[] = [];
  #version = 1_000;
  #oldest = 1_000;

  get version(): number {
    return this.#version;
  }

  list(plural: string, namespace: string | null): KubeObject[] {
    const prefix = namespace === null ? `${plural}/` : `${plural}/${namespace}/`;
    return [...this.#objects]
      .filter(([key]) => key.startsWith(prefix))
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([, object]) => object);
  }

  find(plural: string, namespace: string, name: string): KubeObject | null {
    return this.#objects.get(`${plural}/${namespace}/${name}`) ?? null;
  }

  get(plural: string, namespace: string, name: string): KubeObject {
    const found = this.find(plural, namespace, name);
    if (found === null) throw notFound(resourceOf(plural), name);
    return found;
  }

  create(plural: string, object: KubeObject, dryRun = false): KubeObject {
    const of = resourceOf(plural);
    const { name, namespace = '' } = object.metadata;
    if (this.find(plural, namespace, name) !== null) {
      throw new StatusError(
        409,
        'AlreadyExists',
        `${qualified(of.group, plural)} "${name}" already exists`,
      );
    }
    const made: KubeObject = {
      ...defaulted(of, object),
      apiVersion: apiVersionOf(of),
      kind: of.kind,
      metadata: {
        ...object.metadata,
        uid: randomUUID(),
        creationTimestamp: new Date().toISOString().replace(/\.\d+Z$/, 'Z'),
        resourceVersion: '0',
        ...(of.group === 'apps' ? { generation: 1 } : {}),
      },
    };
    return dryRun ? made : this.#store('ADDED', plural, made);
  }

  /** `next` takes the place of what is there; the version and uid that it names must be those of now. */
  replace(
    plural: string,
    next: KubeObject,
    how: { readonly status: boolean; readonly dryRun?: boolean },
  ): KubeObject {
    const of = resourceOf(plural);
    const { name, namespace = '' } = next.metadata;
    const before = this.get(plural, namespace, name);
    const { resourceVersion: wanted, uid } = next.metadata;
    if (wanted !== undefined && wanted !== '' && wanted !== before.metadata.resourceVersion)
      throw conflict(of, name);
    if (uid !== undefined && uid !== before.metadata.uid) {
      throw conflict(
        of,
        name,
        `Precondition failed: UID in precondition: ${uid}, UID in object meta: ${before.metadata.uid}`,
      );
    }
    // The main address does not touch the status, and that of the status touches nothing else.
    const merged: KubeObject = how.status
      ? { ...before, status: next['status'] }
      : {
          ...defaulted(of, next),
          ...(of.hasStatus && 'status' in before ? { status: before['status'] } : {}),
        };
    const { generation = 1, creationTimestamp } = before.metadata;
    const isNewSpec = of.group === 'apps' && !same(before['spec'], merged['spec']);
    const after: KubeObject = {
      ...merged,
      apiVersion: apiVersionOf(of),
      kind: of.kind,
      metadata: {
        ...(how.status ? before.metadata : next.metadata),
        ...{
          uid: before.metadata.uid,
          creationTimestamp,
          resourceVersion: before.metadata.resourceVersion,
        },
        ...(of.group === 'apps' ? { generation: isNewSpec ? generation + 1 : generation } : {}),
      },
    };
    if (same(before, after)) return before;
    return how.dryRun === true ? after : this.#store('MODIFIED', plural, after);
  }

  remove(plural: string, namespace: string, name: string): KubeObject {
    const before = this.get(plural, namespace, name);
    this.#objects.delete(`${plural}/${namespace}/${name}`);
    this.#version += 1;
    const gone = {
      ...before,
      metadata: { ...before.metadata, resourceVersion: String(this.#version) },
    };
    this.#tell({ type: 'DELETED', plural, version: this.#version, object: gone });
    return gone;
  }

  #store(type: 'ADDED' | 'MODIFIED', plural: string, object: KubeObject): KubeObject {
    this.#version += 1;
    const stored = {
      ...object,
      metadata: { ...object.metadata, resourceVersion: String(this.#version) },
    };
    const { name, namespace = '' } = stored.metadata;
    this.#objects.set(`${plural}/${namespace}/${name}`, stored);
    this.#tell({ type, plural, version: this.#version, object: stored });
    return stored;
  }

  #tell(change: Change): void {
    this.#changes.push(change);
    if (this.#changes.length > 5_000) this.#forget(1_000);
    for (const listener of this.#listeners) listener(change);
  }

  #forget(count: number): void {
    const gone = this.#changes.splice(0, count);
    this.#oldest = gone.at(-1)?.version ?? this.#oldest;
  }

  /** Forgets what happened, as etcd does: who comes back with an old version has to list again. */
  compact(): void {
    this.#forget(this.#changes.length);
    this.#oldest = this.#version;
  }

  /** Changes after a version; throws 410 when they are forgotten. */
  since(plural: string, version: number): readonly Change[] {
    if (version < this.#oldest) {
      throw new StatusError(
        410,
        'Expired',
        `too old resource version: ${version} (${this.#oldest})`,
      );
    }
    return this.#changes.filter((one) => one.plural === plural && one.version > version);
  }

  onChange(listener: (change: Change) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }
}
