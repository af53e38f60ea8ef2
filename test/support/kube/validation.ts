import { StatusError, type KubeObject, type Resource } from './objects.js';

const NAME = /^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/;
const LABEL_VALUE = /^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$/;

interface Template {
  metadata?: { labels?: Record<string, string> };
  spec?: { containers?: { name?: string; image?: string }[] };
}

/** The checks of the API that an operator could trip over. */
export function checkObject(of: Resource, object: KubeObject): void {
  const fail = (why: string): never => {
    throw new StatusError(
      422,
      'Invalid',
      `${of.kind} "${object.metadata.name}" is invalid: ${why}`,
    );
  };
  if (!NAME.test(object.metadata.name)) fail('metadata.name: Invalid value');
  for (const [key, value] of Object.entries(object.metadata.labels ?? {})) {
    if (value.length > 63 || !LABEL_VALUE.test(value))
      fail(`metadata.labels: Invalid value: ${key}`);
  }
  for (const [key, value] of Object.entries(object.metadata.annotations ?? {})) {
    if (typeof value !== 'string') fail(`metadata.annotations: ${key} is not a string`);
  }
  for (const value of Object.values(
    (object['data'] as Record<string, unknown> | undefined) ?? {},
  )) {
    if (typeof value !== 'string') fail('data: a value is not a string');
    else if (of.kind === 'Secret' && !/^[A-Za-z0-9+/]*={0,2}$/.test(value))
      fail('data: illegal base64');
  }
  if (['Deployment', 'DaemonSet', 'StatefulSet'].includes(of.kind)) checkWorkload(object, fail);
}

function checkWorkload(object: KubeObject, fail: (why: string) => never): void {
  const spec = (object['spec'] ?? {}) as {
    selector?: { matchLabels?: Record<string, string> };
    template?: Template;
  };
  const labels = spec.template?.metadata?.labels ?? {};
  const wanted = Object.entries(spec.selector?.matchLabels ?? {});
  if (wanted.length === 0) fail('spec.selector: Required value');
  if (!wanted.every(([key, value]) => labels[key] === value)) {
    fail('spec.template.metadata.labels: `selector` does not match template `labels`');
  }
  const containers = spec.template?.spec?.containers ?? [];
  if (containers.length === 0) fail('spec.template.spec.containers: Required value');
  for (const { name, image } of containers) {
    if (typeof name !== 'string' || typeof image !== 'string' || image === '') {
      fail('spec.template.spec.containers[0].image: Required value');
    }
  }
  if (new Set(containers.map(({ name }) => name)).size !== containers.length) {
    fail('spec.template.spec.containers: Duplicate value');
  }
}
