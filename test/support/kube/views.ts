import type { PodView, WorkloadView } from '../../../src/core/workload/index.js';

export const DIGEST = `sha256:${'ab'.repeat(32)}`;
export const IMAGE = `registry.example.com/shop/edge@${DIGEST}`;
export const OLD_IMAGE = 'registry.example.com/shop/edge:1.0.0';

/** A Deployment of two pods that all run the newest template. */
export const aWorkload = (more: Partial<WorkloadView>): WorkloadView => ({
  ...{ kind: 'Deployment', namespace: 'shop', name: 'edge', uid: 'uid-1', resourceVersion: '7' },
  ...{ labels: {}, annotations: {}, isDeleting: false, generation: 4, observedGeneration: 4 },
  ...{ wanted: 2, present: 2, updated: 2, available: 2, isPaused: false },
  ...{ updateStrategy: 'RollingUpdate', partition: 0, progressDeadlineSeconds: 600 },
  ...{ progressReason: null, selector: { app: 'edge' }, templateLabels: { app: 'edge' } },
  ...{ nodeSelector: {}, containers: [{ name: 'main', image: IMAGE }] },
  ...more,
});

/** A pod of one container that is ready. */
export const aPod = (more: Partial<PodView['containers'][number]>): PodView => ({
  ...{ name: 'edge-1', nodeName: 'm1', isDeleting: false },
  containers: [
    {
      ...{ name: 'main', image: IMAGE, restarts: 0, waiting: null, message: '', isReady: true },
      ...more,
    },
  ],
});
