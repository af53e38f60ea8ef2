import { createHash, randomInt } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { KubeApiServer } from './api-server.js';
import { StatusError, type KubeObject, type Meta, type Objects } from './objects.js';

/** What an image does where it is run. */
export type Behaviour = 'good' | 'missing' | 'crash' | 'never-ready';

interface Container {
  name: string;
  image: string;
}
interface PodTemplate {
  metadata?: { labels?: Record<string, string> };
  spec: { containers: Container[] };
}
interface Spec {
  replicas?: number;
  paused?: boolean;
  progressDeadlineSeconds?: number;
  selector: { matchLabels: Record<string, string> };
  template: PodTemplate;
}
interface PodState {
  waiting: string | null;
  ready: boolean;
  restarts: number;
  looks: number;
}

const HASH = 'pod-template-hash';
const hashOf = (template: PodTemplate): string =>
  createHash('sha256').update(JSON.stringify(template)).digest('hex').slice(0, 10);
const specOf = (object: KubeObject): Spec => object['spec'] as Spec;
const statusOf = (object: KubeObject): Record<string, unknown> =>
  (object['status'] as Record<string, unknown> | undefined) ?? {};
const isOwnedBy = (object: KubeObject, owner: KubeObject): boolean =>
  object.metadata.ownerReferences?.some(({ uid }) => uid === owner.metadata.uid) === true;
const isReady = (pod: KubeObject): boolean =>
  (statusOf(pod)['containerStatuses'] as { ready: boolean }[] | undefined)?.every(
    (one) => one.ready,
  ) === true;
const hashOfPod = (pod: KubeObject): string => pod.metadata.labels?.[HASH] ?? '';

export interface ControllersOptions {
  /** By the text of the image; others do not exist. */
  readonly behaviour: (image: string) => Behaviour;
  /** How long one second of the cluster lasts. */
  readonly secondMs?: number;
  readonly tickMs?: number;
}

/**
 * What moves in a cluster: rolling updates of Deployments (through ReplicaSets), DaemonSets and
 * StatefulSets, and machines that start containers or fail to. One step a tick, one pod at a time.
 */
export class Controllers {
  readonly #server: KubeApiServer;
  readonly #options: ControllersOptions;
  readonly #pods = new Map<string, PodState>();
  /** When a Deployment came further last, by uid. */
  readonly #progress = new Map<string, { mark: string; atMs: number }>();
  /** What was refused, as it stands in the events of the owner. */
  readonly failures: string[] = [];
  /** Owners for whom a pod is being asked for, or was refused a moment ago. */
  readonly #asking = new Set<string>();
  #timer: NodeJS.Timeout | null = null;

  constructor(server: KubeApiServer, options: ControllersOptions) {
    this.#server = server;
    this.#options = options;
  }

  get #objects(): Objects {
    return this.#server.objects;
  }

  start(): this {
    this.#timer = setInterval(() => {
      this.tick();
    }, this.#options.tickMs ?? 20);
    return this;
  }

  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
  }

  tick(): void {
    for (const plural of ['deployments', 'daemonsets', 'statefulsets']) {
      for (const workload of this.#objects.list(plural, null)) this.#step(plural, workload);
    }
    for (const pod of this.#objects.list('pods', null)) this.#run(pod);
    this.#collect();
  }

  #step(plural: string, workload: KubeObject): void {
    if (plural === 'deployments') this.#deployment(workload);
    else if (plural === 'daemonsets') this.#daemonSet(workload);
    else this.#statefulSet(workload);
  }

  #podsOf(owner: KubeObject): KubeObject[] {
    return this.#objects
      .list('pods', owner.metadata.namespace ?? '')
      .filter((pod) => isOwnedBy(pod, owner));
  }

  #deployment(deployment: KubeObject): void {
    const spec = specOf(deployment);
    const wanted = spec.replicas ?? 1;
    const hash = hashOf(spec.template);
    const sets = this.#objects
      .list('replicasets', deployment.metadata.namespace ?? '')
      .filter((set) => isOwnedBy(set, deployment));
    const newest = sets.find((set) => hashOfPod(set) === hash);
    if (newest === undefined && spec.paused !== true) this.#makeSet(deployment, hash);
    const pods = sets.flatMap((set) => this.#podsOf(set));
    const updated = pods.filter((pod) => hashOfPod(pod) === hash);
    const old = pods.filter((pod) => hashOfPod(pod) !== hash);
    const ready = pods.filter(isReady);
    if (newest !== undefined) {
      // One more than wanted, none less than wanted.
      if (updated.length < wanted && pods.length < wanted + 1)
        this.#makePod(newest, spec.template, hash);
      const sick = old.find((pod) => !isReady(pod));
      const spare = sick ?? (ready.length > wanted ? old[0] : undefined);
      if (spare !== undefined) this.#removePod(spare);
      if (updated.length > wanted) this.#removePod(updated.at(-1)!);
    }
    const available = ready.length;
    const counts = {
      replicas: pods.length,
      updatedReplicas: updated.length,
      readyReplicas: available,
      availableReplicas: available,
      unavailableReplicas: Math.max(0, wanted - available),
    };
    const updatedReady = updated.filter(isReady).length;
    const isComplete = updatedReady === wanted && pods.length === wanted;
    const conditions = [
      this.#progressing(deployment, JSON.stringify([hash, counts, updatedReady]), isComplete),
    ];
    this.#tell('deployments', deployment, { ...counts, conditions });
  }

  #progressing(deployment: KubeObject, mark: string, isComplete: boolean): Record<string, string> {
    const { uid } = deployment.metadata;
    const seen = this.#progress.get(uid);
    const nowMs = performance.now();
    if (seen?.mark !== mark) this.#progress.set(uid, { mark, atMs: nowMs });
    const limitMs =
      (specOf(deployment).progressDeadlineSeconds ?? 600) * (this.#options.secondMs ?? 1_000);
    const isLate = seen?.mark === mark && nowMs - seen.atMs > limitMs;
    const condition = (status: string, reason: string) => ({ type: 'Progressing', status, reason });
    if (isComplete) return condition('True', 'NewReplicaSetAvailable');
    return isLate
      ? condition('False', 'ProgressDeadlineExceeded')
      : condition('True', 'ReplicaSetUpdated');
  }

  #makeSet(deployment: KubeObject, hash: string): void {
    const { name, namespace = '', uid } = deployment.metadata;
    const { template, selector } = specOf(deployment);
    this.#create('replicasets', `${name}-${hash}`, namespace, {
      labels: { ...template.metadata?.labels, [HASH]: hash },
      owner: { apiVersion: 'apps/v1', uid, kind: 'Deployment', name, controller: true },
      spec: { selector, template },
    });
  }

  #daemonSet(set: KubeObject): void {
    const { template } = specOf(set);
    const hash = hashOf(template);
    const machines = this.#objects.list('nodes', null).map(({ metadata }) => metadata.name);
    const pods = this.#podsOf(set);
    const machineOf = (pod: KubeObject): string => (pod['spec'] as { nodeName: string }).nodeName;
    const bare = machines.find((machine) => !pods.some((pod) => machineOf(pod) === machine));
    if (bare !== undefined) this.#makePod(set, template, hash, { machine: bare });
    const old = pods.filter((pod) => hashOfPod(pod) !== hash);
    const away = machines.length - pods.filter(isReady).length;
    const next = old.find((pod) => !isReady(pod)) ?? (away === 0 ? old[0] : undefined);
    if (next !== undefined) this.#removePod(next);
    const ready = pods.filter(isReady).length;
    this.#tell('daemonsets', set, {
      desiredNumberScheduled: machines.length,
      currentNumberScheduled: pods.length,
      updatedNumberScheduled: pods.length - old.length,
      numberReady: ready,
      numberAvailable: ready,
      numberMisscheduled: 0,
    });
  }

  #statefulSet(set: KubeObject): void {
    const { template, replicas: wanted = 1 } = specOf(set);
    const hash = hashOf(template);
    const pods = this.#podsOf(set);
    const named = (ordinal: number): KubeObject | undefined =>
      pods.find(({ metadata }) => metadata.name === `${set.metadata.name}-${ordinal}`);
    const all = Array.from({ length: wanted }, (_, ordinal) => ordinal);
    const bare = all.find((ordinal) => named(ordinal) === undefined);
    if (bare !== undefined) {
      this.#makePod(set, template, hash, { name: `${set.metadata.name}-${bare}` });
    } else {
      // From the last to the first, each only when those after it are ready. One that never was ready gives way.
      const old = all.toReversed().map((ordinal) => named(ordinal)!);
      const next = old.find((pod) => hashOfPod(pod) !== hash);
      const isFree = next !== undefined && (!isReady(next) || pods.every(isReady));
      if (isFree) this.#removePod(next);
    }
    const updated = pods.filter((pod) => hashOfPod(pod) === hash).length;
    const ready = pods.filter(isReady).length;
    this.#tell('statefulsets', set, {
      replicas: pods.length,
      currentReplicas: pods.length - updated,
      updatedReplicas: updated,
      readyReplicas: ready,
      availableReplicas: ready,
      updateRevision: `${set.metadata.name}-${hash}`,
      currentRevision: `${set.metadata.name}-${updated === wanted ? hash : 'before'}`,
    });
  }

  #tell(plural: string, workload: KubeObject, status: Record<string, unknown>): void {
    const observed = { observedGeneration: workload.metadata.generation, ...status };
    this.#quietly(() =>
      this.#objects.replace(plural, { ...workload, status: observed }, { status: true }),
    );
  }

  #makePod(
    owner: KubeObject,
    template: PodTemplate,
    hash: string,
    at: { readonly name?: string; readonly machine?: string } = {},
  ): void {
    const { name, namespace = '', uid } = owner.metadata;
    const machines = this.#objects.list('nodes', null);
    const machine = at.machine ?? machines[randomInt(Math.max(1, machines.length))]?.metadata.name;
    this.#create(
      'pods',
      at.name ??
        `${name}-${randomInt(36 ** 5)
          .toString(36)
          .padStart(5, '0')}`,
      namespace,
      {
        labels: { ...template.metadata?.labels, [HASH]: hash },
        owner: { apiVersion: 'apps/v1', uid, kind: owner.kind, name, controller: true },
        spec: { ...template.spec, nodeName: machine ?? 'machine-1' },
      },
    );
  }

  #create(
    plural: string,
    name: string,
    namespace: string,
    of: {
      readonly labels: Record<string, string>;
      readonly owner: NonNullable<Meta['ownerReferences']>[number];
      readonly spec: unknown;
    },
  ): void {
    const metadata = { name, namespace, labels: of.labels, ownerReferences: [of.owner] };
    const object = { metadata, spec: of.spec } as unknown as KubeObject;
    if (plural === 'pods' && this.#server.admission.isOn) {
      void this.#ask(object, of.owner.uid);
      return;
    }
    this.#quietly(() => this.#objects.create(plural, object));
  }

  /** One pod at a time is asked for; after a refusal it waits a moment. */
  async #ask(object: KubeObject, owner: string): Promise<void> {
    if (this.#asking.has(owner)) return;
    this.#asking.add(owner);
    try {
      const asked = { operation: 'CREATE', subresource: '', oldObject: null } as const;
      await this.#server.admission.review({ ...asked, object, dryRun: false });
      this.#quietly(() => this.#objects.create('pods', object));
    } catch (error) {
      if (!(error instanceof StatusError)) throw error;
      this.failures.push(error.message);
      await sleep(5 * (this.#options.tickMs ?? 20));
    } finally {
      this.#asking.delete(owner);
    }
  }

  #removePod({ metadata: { name, namespace = '', uid } }: KubeObject): void {
    this.#pods.delete(uid);
    this.#quietly(() => this.#objects.remove('pods', namespace, name));
  }

  /** A name that is taken, or a version that moved on: the next tick sees to it. */
  #quietly(work: () => unknown): void {
    try {
      work();
    } catch (error) {
      if (!(error instanceof StatusError)) throw error;
    }
  }

  /** The machine of a pod: starts its container, or fails to. */
  #run(pod: KubeObject): void {
    const { containers } = pod['spec'] as { containers: Container[] };
    const { uid } = pod.metadata;
    const state = this.#pods.get(uid) ?? {
      waiting: 'ContainerCreating',
      ready: false,
      restarts: 0,
      looks: 0,
    };
    const behaviours = containers.map(({ image }) => this.#options.behaviour(image));
    this.#pods.set(uid, nextState(state, behaviours.find((one) => one !== 'good') ?? 'good'));
    const { waiting, ready, restarts } = this.#pods.get(uid)!;
    const containerStatuses = containers.map(({ name, image }) => ({
      name,
      image,
      ready,
      restartCount: restarts,
      imageID: '',
      state:
        waiting === null
          ? { running: {} }
          : { waiting: { reason: waiting, message: `${image}: ${waiting}` } },
    }));
    const status = { phase: waiting === null ? 'Running' : 'Pending', containerStatuses };
    this.#quietly(() =>
      this.#objects.replace('pods', { ...pod, status }, { status: 'status' in pod }),
    );
  }

  /** What has no owner any more goes, too. */
  #collect(): void {
    const uids = new Set(
      ['deployments', 'replicasets', 'daemonsets', 'statefulsets'].flatMap((plural) =>
        this.#objects.list(plural, null).map(({ metadata }) => metadata.uid),
      ),
    );
    for (const plural of ['replicasets', 'pods']) {
      for (const { metadata } of this.#objects.list(plural, null)) {
        const { name, namespace = '', ownerReferences = [] } = metadata;
        const isOrphan =
          ownerReferences.length > 0 && !ownerReferences.some(({ uid }) => uids.has(uid));
        if (isOrphan) this.#quietly(() => this.#objects.remove(plural, namespace, name));
      }
    }
  }
}

/** The words of the kubelet, in their order; a crash is told after it ran for a moment. */
function nextState(state: PodState, behaviour: Behaviour): PodState {
  const looks = state.looks + 1;
  const next = { ...state, looks };
  switch (behaviour) {
    case 'good':
      return looks < 2 ? next : { ...next, waiting: null, ready: true };
    case 'never-ready':
      return looks < 2 ? next : { ...next, waiting: null };
    case 'missing':
      return looks < 2
        ? next
        : { ...next, waiting: looks % 4 === 2 ? 'ErrImagePull' : 'ImagePullBackOff' };
    case 'crash':
      if (looks % 3 === 1) return { ...next, waiting: null };
      return { ...next, waiting: 'CrashLoopBackOff', restarts: Math.floor(looks / 3) };
  }
}
