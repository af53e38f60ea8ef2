import { KubeApiServer } from './api-server.js';
import { Controllers, type Behaviour } from './controllers.js';
import type { KubeObject, Meta } from './objects.js';

export interface TestCluster {
  readonly server: KubeApiServer;
  /** What each image does; one that is not in it does not exist. */
  readonly images: Map<string, Behaviour>;
  readonly controllers: Controllers;
  /** Adds a workload; its image is good from then on. */
  workload(of: AWorkload): KubeObject;
  /** The image of its first container, now. */
  imageOf(plural: string, namespace: string, name: string): string;
  /** Another hand changes the image, as `helm upgrade` would. */
  setImage(plural: string, namespace: string, name: string, image: string): void;
  stop(): Promise<void>;
}

export interface AWorkload {
  readonly kind?: 'Deployment' | 'DaemonSet' | 'StatefulSet';
  readonly name: string;
  readonly namespace?: string;
  readonly image: string;
  readonly replicas?: number;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly labels?: Readonly<Record<string, string>>;
  readonly spec?: Readonly<Record<string, unknown>>;
}

export const PLURAL = {
  Deployment: 'deployments',
  DaemonSet: 'daemonsets',
  StatefulSet: 'statefulsets',
} as const;

/** A cluster of two machines in two zones, where pods move. */
export async function startCluster(
  options: { readonly secondMs?: number; readonly tickMs?: number } = {},
): Promise<TestCluster> {
  const server = await new KubeApiServer().start();
  const images = new Map<string, Behaviour>();
  const controllers = new Controllers(server, {
    behaviour: (image) => images.get(image) ?? 'missing',
    ...options,
  }).start();
  ['a', 'b'].forEach((zone, index) => {
    const labels = {
      'kubernetes.io/arch': 'amd64',
      'kubernetes.io/hostname': `machine-${index + 1}`,
      'topology.kubernetes.io/zone': `zone-${zone}`,
      'topology.kubernetes.io/region': 'region-1',
    };
    const metadata = { name: `machine-${index + 1}`, labels } as unknown as Meta;
    server.objects.create('nodes', { metadata } as unknown as KubeObject);
  });
  const containerIn = (object: KubeObject) =>
    (object['spec'] as { template: { spec: { containers: { image: string }[] } } }).template.spec
      .containers[0]!;
  return {
    server,
    images,
    controllers,
    workload: ({ kind = 'Deployment', name, namespace = 'shop', image, replicas = 2, ...more }) => {
      images.set(image, 'good');
      const labels = { app: name };
      return server.objects.create(PLURAL[kind], {
        metadata: {
          name,
          namespace,
          labels: more.labels ?? {},
          annotations: more.annotations ?? {},
        },
        spec: {
          ...(kind === 'DaemonSet' ? {} : { replicas }),
          selector: { matchLabels: labels },
          template: { metadata: { labels }, spec: { containers: [{ name: 'main', image }] } },
          ...more.spec,
        },
      } as unknown as KubeObject);
    },
    imageOf: (plural, namespace, name) =>
      containerIn(server.objects.get(plural, namespace, name)).image,
    setImage: (plural, namespace, name, image) => {
      const next = structuredClone(server.objects.get(plural, namespace, name));
      containerIn(next).image = image;
      server.objects.replace(plural, next, { status: false });
    },
    stop: async () => {
      controllers.stop();
      await server.stop();
    },
  };
}
