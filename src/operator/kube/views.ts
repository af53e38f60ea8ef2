import { z } from 'zod';
import type { PodView, WorkloadKind, WorkloadView } from '../../core/workload/index.js';

const Texts = z.record(z.string(), z.string()).default({});
const Count = z.int().min(0).default(0);

export const Meta = z.object({
  name: z.string(),
  namespace: z.string().default(''),
  uid: z.string(),
  resourceVersion: z.string(),
  generation: Count,
  labels: Texts,
  annotations: Texts,
  deletionTimestamp: z.string().nullish(),
});
const Template = z.object({
  metadata: z.object({ labels: Texts }).default({ labels: {} }),
  spec: z.object({
    nodeSelector: Texts,
    containers: z.array(z.object({ name: z.string(), image: z.string().default('') })),
  }),
});

/** What is read of a Deployment, DaemonSet or StatefulSet; all else stays unread. */
export const Workload = z.object({
  metadata: Meta,
  spec: z.object({
    replicas: z.int().min(0).optional(),
    paused: z.boolean().default(false),
    progressDeadlineSeconds: z.int().min(1).default(600),
    selector: z.object({ matchLabels: Texts }),
    strategy: z.object({ type: z.string().optional() }).optional(),
    updateStrategy: z
      .object({
        type: z.string().optional(),
        rollingUpdate: z.object({ partition: Count }).partial().nullish(),
      })
      .optional(),
    template: Template,
  }),
  status: z
    .object({
      observedGeneration: Count,
      replicas: Count,
      updatedReplicas: Count,
      availableReplicas: Count,
      desiredNumberScheduled: Count,
      currentNumberScheduled: Count,
      updatedNumberScheduled: Count,
      numberAvailable: Count,
      conditions: z
        .array(z.object({ type: z.string(), reason: z.string().default('') }))
        .default([]),
    })
    .partial()
    .default({}),
});
export type Workload = z.infer<typeof Workload>;

export const List = z.object({
  metadata: z.object({ resourceVersion: z.string(), continue: z.string().optional() }),
  items: z.array(z.unknown()),
});

export function viewOf(kind: WorkloadKind, { metadata, spec, status }: Workload): WorkloadView {
  const isDaemonSet = kind === 'DaemonSet';
  return {
    kind,
    namespace: metadata.namespace,
    name: metadata.name,
    uid: metadata.uid,
    resourceVersion: metadata.resourceVersion,
    labels: metadata.labels,
    annotations: metadata.annotations,
    isDeleting: typeof metadata.deletionTimestamp === 'string',
    generation: metadata.generation,
    observedGeneration: status.observedGeneration ?? 0,
    ...(isDaemonSet
      ? {
          wanted: status.desiredNumberScheduled ?? 0,
          // One machine has one pod: what is not updated is what is left.
          present: status.updatedNumberScheduled ?? 0,
          updated: status.updatedNumberScheduled ?? 0,
          available: status.numberAvailable ?? 0,
        }
      : {
          wanted: spec.replicas ?? 1,
          present: status.replicas ?? 0,
          updated: status.updatedReplicas ?? 0,
          available: status.availableReplicas ?? 0,
        }),
    isPaused: spec.paused,
    updateStrategy: spec.updateStrategy?.type ?? spec.strategy?.type ?? 'RollingUpdate',
    partition: spec.updateStrategy?.rollingUpdate?.partition ?? 0,
    progressDeadlineSeconds: spec.progressDeadlineSeconds,
    progressReason: status.conditions?.find(({ type }) => type === 'Progressing')?.reason ?? null,
    selector: spec.selector.matchLabels,
    templateLabels: spec.template.metadata.labels,
    nodeSelector: spec.template.spec.nodeSelector,
    containers: spec.template.spec.containers,
  };
}

const Pod = z.object({
  metadata: z.object({ name: z.string(), deletionTimestamp: z.string().nullish() }),
  spec: z.object({
    nodeName: z.string().nullish(),
    containers: z.array(z.object({ name: z.string(), image: z.string().default('') })),
  }),
  status: z
    .object({
      containerStatuses: z
        .array(
          z.object({
            name: z.string(),
            ready: z.boolean().default(false),
            restartCount: Count,
            state: z
              .object({
                waiting: z
                  .object({ reason: z.string().default(''), message: z.string().default('') })
                  .nullish(),
              })
              .default({}),
          }),
        )
        .default([]),
    })
    .default({ containerStatuses: [] }),
});

/** Null for what is no pod. */
export function podOf(json: unknown): PodView | null {
  const parsed = Pod.safeParse(json);
  if (!parsed.success) return null;
  const { metadata, spec, status } = parsed.data;
  return {
    name: metadata.name,
    nodeName: spec.nodeName ?? null,
    isDeleting: typeof metadata.deletionTimestamp === 'string',
    containers: spec.containers.map(({ name, image }) => {
      const told = status.containerStatuses.find((one) => one.name === name);
      return {
        name,
        image,
        restarts: told?.restartCount ?? 0,
        waiting: told?.state.waiting?.reason ?? null,
        message: told?.state.waiting?.message ?? '',
        isReady: told?.ready ?? false,
      };
    }),
  };
}
