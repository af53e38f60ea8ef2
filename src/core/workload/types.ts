export const WORKLOAD_KINDS = ['Deployment', 'DaemonSet', 'StatefulSet'] as const;
export type WorkloadKind = (typeof WORKLOAD_KINDS)[number];

export interface WorkloadName {
  readonly kind: WorkloadKind;
  readonly namespace: string;
  readonly name: string;
}

/** One text a workload, fit for a log line: `apps/deployment/edge`. */
export const keyOf = ({ kind, namespace, name }: WorkloadName): string =>
  `${namespace}/${kind.toLowerCase()}/${name}`;

/** Back from `keyOf`; null for what is no such key. */
export function nameIn(key: string): WorkloadName | null {
  const [, namespace = '', word = '', name = ''] = /^([^/]+)\/([a-z]+)\/([^/]+)$/.exec(key) ?? [];
  const kind = WORKLOAD_KINDS.find((one) => one.toLowerCase() === word);
  return kind === undefined ? null : { kind, namespace, name };
}

/** A container of a pod template, as far as it matters here. */
export interface ContainerView {
  readonly name: string;
  readonly image: string;
}

/** A Deployment, DaemonSet or StatefulSet as the API server tells it, in one shape. */
export interface WorkloadView extends WorkloadName {
  readonly uid: string;
  readonly resourceVersion: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly isDeleting: boolean;
  readonly generation: number;
  readonly observedGeneration: number;
  /** How many pods there should be. For a DaemonSet that follows from the machines. */
  readonly wanted: number;
  /** Pods there are, of whatever template. */
  readonly present: number;
  /** Of the newest template. */
  readonly updated: number;
  readonly available: number;
  readonly isPaused: boolean;
  readonly updateStrategy: string;
  /** Of a StatefulSet: pods below this number keep the old template. */
  readonly partition: number;
  readonly progressDeadlineSeconds: number;
  /** What the controller of a Deployment said last about its progress. */
  readonly progressReason: string | null;
  readonly selector: Readonly<Record<string, string>>;
  readonly templateLabels: Readonly<Record<string, string>>;
  readonly nodeSelector: Readonly<Record<string, string>>;
  readonly containers: readonly ContainerView[];
}

/** A pod, as far as it is evidence. */
export interface PodView {
  readonly name: string;
  readonly nodeName: string | null;
  readonly isDeleting: boolean;
  readonly containers: readonly {
    readonly name: string;
    /** As the template asked for it. */
    readonly image: string;
    readonly restarts: number;
    /** Why it waits, such as `ImagePullBackOff`; null when it does not. */
    readonly waiting: string | null;
    readonly message: string;
    readonly isReady: boolean;
  }[];
}
