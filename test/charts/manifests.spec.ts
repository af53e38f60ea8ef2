import { describe, expect, it } from 'vitest';
import { CASES, manifestsOf, type Case, type Manifest } from './cases.js';

interface Container {
  readonly name: string;
  readonly image: string;
  readonly command?: readonly string[];
  readonly env?: readonly { name: string; valueFrom?: { secretKeyRef?: { name: string } } }[];
  readonly envFrom?: readonly { configMapRef: { name: string } }[];
  readonly volumeMounts?: readonly { name: string; mountPath: string; readOnly?: boolean }[];
  readonly ports?: readonly { name: string }[];
  readonly resources: { readonly limits?: object; readonly requests?: object };
  readonly securityContext: Readonly<Record<string, unknown>>;
}
interface Volume {
  readonly name: string;
  readonly secret?: { readonly secretName: string };
  readonly configMap?: { readonly name: string };
  readonly persistentVolumeClaim?: { readonly claimName: string };
}
interface PodSpec {
  readonly serviceAccountName?: string;
  readonly automountServiceAccountToken: boolean;
  readonly securityContext: Readonly<Record<string, unknown>>;
  readonly initContainers?: readonly Container[];
  readonly containers: readonly Container[];
  readonly volumes?: readonly Volume[];
  readonly imagePullSecrets?: readonly { name: string }[];
}
interface Pod {
  readonly of: Manifest;
  readonly labels: Readonly<Record<string, string>>;
  readonly spec: PodSpec;
}

/** Named by values, so not part of the chart. */
const GIVEN =
  /^(bellwether-token|bellwether-gitops|bellwether-postgres.*|bellwether-redis|bellwether-master-key|fleet-ca|proxy|mirror|postgres.*|redis.*|sentinel|master-key|manager-tls|s3|sources|oidc|fleet)$/;

function podsIn(all: readonly Manifest[]): Pod[] {
  return all.flatMap((of) => {
    if (of.kind === 'Pod') {
      return [{ of, labels: of.metadata.labels, spec: of['spec'] as PodSpec }];
    }
    const spec = of['spec'] as
      { template?: { metadata: Manifest['metadata']; spec: PodSpec } } | undefined;
    const template = spec?.template;
    return template === undefined
      ? []
      : [{ of, labels: template.metadata.labels, spec: template.spec }];
  });
}

const containersOf = ({ spec }: Pod): readonly Container[] => [
  ...(spec.initContainers ?? []),
  ...spec.containers,
];
const isOnMachine = ({ of }: Pod): boolean => of.kind === 'DaemonSet';
const covers = (
  labels: Readonly<Record<string, string>>,
  selector: Readonly<Record<string, string>>,
): boolean => Object.entries(selector).every(([key, value]) => labels[key] === value);

describe.each(CASES)('the objects of $chart, $name', (one: Case) => {
  const all = manifestsOf(one);
  const pods = podsIn(all);

  it('have names of their own, and are labelled as of this release', () => {
    const names = all.map(
      ({ kind, metadata }) => `${kind} ${metadata.namespace ?? ''} ${metadata.name}`,
    );
    expect(new Set(names).size).toBe(names.length);
    for (const { metadata } of all) {
      expect(metadata.labels).toMatchObject({
        'app.kubernetes.io/instance': 'fleet',
        'app.kubernetes.io/managed-by': 'Helm',
        'app.kubernetes.io/part-of': 'bellwether',
      });
    }
  });

  it('give pods no rights that they need not, and limits', () => {
    expect(pods.length).toBeGreaterThan(1);
    for (const pod of pods.filter((each) => !isOnMachine(each))) {
      expect(pod.spec.securityContext).toMatchObject({
        runAsNonRoot: true,
        seccompProfile: { type: 'RuntimeDefault' },
      });
      expect(JSON.stringify(pod.spec)).not.toMatch(/hostPath|hostPID|hostNetwork|privileged/);
      for (const container of containersOf(pod)) {
        expect(container.securityContext).toEqual({
          allowPrivilegeEscalation: false,
          readOnlyRootFilesystem: true,
          capabilities: { drop: ['ALL'] },
        });
        expect(container.resources.limits).toHaveProperty('memory');
      }
    }
    for (const pod of pods) {
      const usesKubernetes = containersOf(pod).some(({ command }) =>
        command?.includes('/app/bellwether-operator.mjs'),
      );
      expect([pod.of.metadata.name, pod.spec.automountServiceAccountToken]).toEqual([
        pod.of.metadata.name,
        usesKubernetes,
      ]);
    }
  });

  it('mount what there is, read-only where it says what is trusted', () => {
    for (const pod of pods) {
      const volumes = new Set((pod.spec.volumes ?? []).map(({ name }) => name));
      const mounted = containersOf(pod).flatMap(({ volumeMounts = [] }) => volumeMounts);
      expect(new Set(mounted.map(({ name }) => name))).toEqual(volumes);
      for (const { mountPath, readOnly } of mounted) {
        if (mountPath.startsWith('/etc/bellwether/'))
          expect([mountPath, readOnly]).toEqual([mountPath, true]);
      }
    }
  });

  it('name Secrets, ConfigMaps, claims and accounts that are there, in their namespace', () => {
    const has = (kind: string, name: string, namespace: string | undefined): boolean =>
      GIVEN.test(name) ||
      all.some(
        (each) =>
          each.kind === kind &&
          each.metadata.name === name &&
          each.metadata.namespace === namespace,
      );
    for (const pod of pods) {
      const { namespace } = pod.of.metadata;
      const wanted: [string, string][] = [
        ...(pod.spec.volumes ?? []).flatMap((volume): [string, string][] => [
          ['Secret', volume.secret?.secretName ?? ''],
          ['ConfigMap', volume.configMap?.name ?? ''],
          ['PersistentVolumeClaim', volume.persistentVolumeClaim?.claimName ?? ''],
        ]),
        ...(pod.spec.imagePullSecrets ?? []).map(({ name }): [string, string] => ['Secret', name]),
        ...containersOf(pod).flatMap(({ env = [], envFrom = [] }): [string, string][] => [
          ...env.map(({ valueFrom }): [string, string] => [
            'Secret',
            valueFrom?.secretKeyRef?.name ?? '',
          ]),
          ...envFrom.map(({ configMapRef }): [string, string] => ['ConfigMap', configMapRef.name]),
        ]),
        ['ServiceAccount', pod.spec.serviceAccountName ?? ''],
      ];
      const missing = wanted.filter(([kind, name]) => name !== '' && !has(kind, name, namespace));
      expect([pod.of.metadata.name, missing]).toEqual([pod.of.metadata.name, []]);
    }
  });

  it('select the pods that they mean, and no others', () => {
    for (const each of all) {
      const spec = each['spec'] as
        | {
            selector?: Record<string, string> & { matchLabels?: Record<string, string> };
            podSelector?: { matchLabels: Record<string, string> };
          }
        | undefined;
      const selector =
        spec?.podSelector?.matchLabels ?? spec?.selector?.matchLabels ?? spec?.selector;
      // Of a ServiceMonitor: services, not pods.
      if (selector === undefined || each.kind === 'ServiceMonitor') continue;
      const selected = pods.filter(({ labels }) => covers(labels, selector));
      expect([each.kind, each.metadata.name, selected.length > 0]).toEqual([
        each.kind,
        each.metadata.name,
        true,
      ]);
      if (
        ['Deployment', 'DaemonSet', 'StatefulSet', 'Service', 'PodDisruptionBudget'].includes(
          each.kind,
        )
      ) {
        expect(
          selected.map(({ of }) => of.kind).filter((kind) => kind === 'Pod' || kind === 'Job'),
        ).toEqual([]);
        expect(selected).toHaveLength(1);
      }
    }
  });

  it('bind rights to accounts that are there, and write nowhere but in their own namespace', () => {
    for (const binding of all.filter(({ kind }) => kind.endsWith('Binding'))) {
      const { roleRef, subjects } = binding as unknown as {
        roleRef: { kind: string; name: string };
        subjects: { name: string; namespace: string }[];
      };
      const role = all.find(
        ({ kind, metadata }) =>
          kind === roleRef.kind &&
          metadata.name === roleRef.name &&
          metadata.namespace === binding.metadata.namespace,
      );
      expect([binding.metadata.name, role?.kind]).toEqual([binding.metadata.name, roleRef.kind]);
      for (const { name, namespace } of subjects) {
        const account = all.find(
          ({ kind, metadata }) => kind === 'ServiceAccount' && metadata.name === name,
        );
        expect(account?.metadata.namespace).toBe(namespace);
      }
    }
    expect(JSON.stringify(all.map((each) => each['rules'] ?? null))).not.toContain('*');
  });

  it('hold no secret but in a Secret', () => {
    const open = JSON.stringify(all.filter(({ kind }) => kind !== 'Secret'));
    expect(open).not.toMatch(/bwc_[0-9a-f]|not-a-secret|proxy[.]example:3128/);
  });
});

describe('the policy of the operator', () => {
  const agents = CASES.filter(({ chart }) => chart === 'bellwether-agent');
  it.each(agents)('lies where nobody of $name may write', (one) => {
    const all = manifestsOf(one);
    const writing = all.filter(
      ({ kind, rules }) =>
        kind.endsWith('Role') &&
        (rules as { resources: string[]; verbs: string[] }[]).some(
          ({ resources, verbs }) =>
            resources.some((name) => name === 'configmaps' || name === 'secrets') &&
            verbs.some((verb) => verb !== 'get'),
        ),
    );
    const pods = podsIn(all).map(({ of }) => of.metadata.namespace);
    for (const { kind, metadata } of writing) {
      expect(kind).toBe('Role');
      expect(pods).not.toContain(metadata.namespace);
    }
  });
});

describe('the ServiceMonitor of the Prometheus operator', () => {
  it('leads to the one service that has the port, of this release', () => {
    const all = manifestsOf({ chart: 'bellwether', name: 'everything' });
    const monitors = all.filter(({ kind }) => kind === 'ServiceMonitor');
    expect(monitors).toMatchObject([
      {
        apiVersion: 'monitoring.coreos.com/v1',
        metadata: { namespace: 'monitoring', labels: { release: 'prometheus' } },
        spec: {
          namespaceSelector: { matchNames: ['bellwether'] },
          endpoints: [{ port: 'metrics', path: '/metrics', scheme: 'http', interval: '1m' }],
        },
      },
    ]);
    const { selector } = monitors[0]?.['spec'] as {
      selector: { matchLabels: Record<string, string> };
    };
    const chosen = all.filter(
      ({ kind, metadata }) => kind === 'Service' && covers(metadata.labels, selector.matchLabels),
    );
    expect(chosen).toHaveLength(1);
    const { ports } = chosen[0]?.['spec'] as { ports: { name: string }[] };
    expect(ports.map(({ name }) => name)).toContain('metrics');
  });

  it('is not made unless it is asked for, and then takes the place of annotations', () => {
    for (const name of ['default', 'production'] as const) {
      const text = JSON.stringify(manifestsOf({ chart: 'bellwether', name }));
      expect(text).not.toContain('ServiceMonitor');
    }
    const asked = JSON.stringify(manifestsOf({ chart: 'bellwether', name: 'everything' }));
    expect(asked).not.toContain('prometheus.io/scrape');
    const production = JSON.stringify(manifestsOf({ chart: 'bellwether', name: 'production' }));
    expect(production).toContain('prometheus.io/scrape');
  });
});

describe('the probes of the operator', () => {
  const operatorOf = (name: string) =>
    manifestsOf({ chart: 'bellwether-agent', name }).find(
      ({ kind, metadata }) =>
        kind === 'Deployment' && metadata.labels['app.kubernetes.io/component'] === 'operator',
    );

  it('ask the port that it is told to open, and nobody else is told to', () => {
    for (const [name, port] of [
      ['default', 8080],
      ['everything', 9080],
    ] as const) {
      const text = JSON.stringify(operatorOf(name));
      expect(text).toContain(`{"name":"BELLWETHER_HEALTH_PORT","value":"${port}"}`);
      expect(text).toContain(`{"name":"health","containerPort":${port},"protocol":"TCP"}`);
      expect(text).toContain('"livenessProbe":{"httpGet":{"path":"/healthz","port":"health"}');
      expect(text).toContain('"readinessProbe":{"httpGet":{"path":"/readyz","port":"health"}');
    }
    const all = JSON.stringify(manifestsOf({ chart: 'bellwether-agent', name: 'production' }));
    expect(all.split('BELLWETHER_HEALTH_PORT')).toHaveLength(2);
  });

  it('go with the port', () => {
    expect(JSON.stringify(operatorOf('gitops-patches'))).not.toMatch(/health|Probe/i);
  });
});

describe('the Route of OpenShift', () => {
  it('has the shape that its reference gives', () => {
    const routes = manifestsOf({ chart: 'bellwether', name: 'openshift' }).filter(
      ({ kind }) => kind === 'Route',
    );
    expect(routes).toMatchObject([
      {
        apiVersion: 'route.openshift.io/v1',
        spec: {
          host: 'bellwether.example',
          port: { targetPort: 'http' },
          tls: { termination: 'edge', insecureEdgeTerminationPolicy: 'Redirect' },
          to: { kind: 'Service', name: 'fleet-bellwether', weight: 100 },
        },
      },
    ]);
  });

  it('comes with no fixed user: the constraint of the project chooses', () => {
    for (const chart of ['bellwether', 'bellwether-agent'] as const) {
      const text = JSON.stringify(manifestsOf({ chart, name: 'openshift' }));
      expect(text).not.toMatch(/runAsUser|runAsGroup|fsGroup"/);
    }
  });
});
