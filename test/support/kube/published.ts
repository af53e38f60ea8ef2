import { join } from 'node:path';
import { ROOT } from '../../walls/tree.js';

interface Problem {
  readonly instancePath: string;
  readonly keyword: string;
  readonly params: unknown;
}
interface Validate {
  (object: unknown): boolean;
  errors: readonly Problem[] | null;
}
interface Script {
  readonly RegistryAway: new () => Error;
  kubernetesSchemas(): string;
}

/** Checks an object; what is wrong with it, empty when nothing is. */
export type PublishedCheck = (object: Readonly<Record<string, unknown>>) => Promise<string[]>;

/** By the published OpenAPI schemas of Kubernetes; a text says why they are not to be had here. */
export async function publishedSchemas(): Promise<PublishedCheck | string> {
  const script = (await import(join(ROOT, 'scripts/get-kubernetes-schemas.mjs'))) as Script;
  const archive = (await import(join(ROOT, 'scripts/npm-archive.mjs'))) as Script;
  let folder: string;
  try {
    folder = script.kubernetesSchemas();
  } catch (error) {
    if (error instanceof archive.RegistryAway) return 'the registry cannot be reached';
    throw error;
  }
  return async (object) => {
    const file = join(folder, `${schemaOf(object)}.js`);
    const { validate } = (await import(file)) as { validate: Validate };
    const read = new Set<string>();
    if (validate(watched(object, '', read))) return unread(object, '', read);
    return (validate.errors ?? []).map(
      ({ instancePath, keyword, params }) => `${instancePath} ${keyword} ${JSON.stringify(params)}`,
    );
  };
}

/** `apps/v1` and `Deployment` are `IoK8sApiAppsV1Deployment`. */
function schemaOf({ apiVersion, kind }: Readonly<Record<string, unknown>>): string {
  const [version = '', group = 'core'] = String(apiVersion).split('/').reverse();
  const [first = ''] = group.split('.');
  const upper = (word: string): string => `${word.slice(0, 1).toUpperCase()}${word.slice(1)}`;
  return `IoK8sApi${upper(first)}${upper(version)}${String(kind)}`;
}

/** Like the object, and notes which of its fields somebody looks at. */
function watched(object: object, path: string, read: Set<string>): object {
  return new Proxy(object, {
    get(target, key, receiver) {
      const value: unknown = Reflect.get(target, key, receiver);
      if (typeof key === 'symbol') return value;
      const at = `${path}/${key}`;
      read.add(at);
      return typeof value === 'object' && value !== null ? watched(value, at, read) : value;
    },
  });
}

/**
 * The schemas do not refuse fields that they do not know; the API server does, where it is strict. A field that
 * no schema looks at is one that there is not.
 */
function unread(object: object, path: string, read: ReadonlySet<string>): string[] {
  return Object.entries(object).flatMap(([key, value]) => {
    const at = `${path}/${key}`;
    if (!read.has(at)) return [`${at} is unknown`];
    return typeof value === 'object' && value !== null ? unread(value as object, at, read) : [];
  });
}
