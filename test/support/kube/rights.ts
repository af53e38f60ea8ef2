import { qualified, RESOURCES, StatusError, type Resource } from './objects.js';

export interface Rule {
  readonly verbs: readonly string[];
  /** `deployments.apps`, `configmaps`, `deployments.apps/status`. */
  readonly resources: readonly string[];
  /** All when not given. */
  readonly namespaces?: readonly string[];
  /** `resourceNames`: all when not given; what has no name in its address is then not allowed. */
  readonly names?: readonly string[];
}
export interface User {
  readonly name: string;
  /** Everything is allowed when not given. */
  readonly rules?: readonly Rule[];
}

/** What an address means. */
export interface Target {
  readonly of: Resource;
  readonly namespace: string | null;
  readonly name: string;
  readonly subresource: string;
}
/** `/apis/apps/v1/namespaces/x/deployments/edge/status` in its parts. */
export function targetOf(path: string): Target {
  const [, group = '', rest = ''] =
    /^\/api\/v1()\/(.+)$/.exec(path) ?? /^\/apis\/([^/]+)\/v1\/(.+)$/.exec(path) ?? [];
  const parts = rest.split('/').map(decodeURIComponent);
  const isInside = parts[0] === 'namespaces' && parts.length > 2;
  const [plural = '', name = '', subresource = ''] = isInside ? parts.slice(2) : parts;
  const of = RESOURCES.find((one) => one.group === group && one.plural === plural);
  const isKnown =
    subresource === '' ||
    (subresource === 'status' && of?.hasStatus === true) ||
    (subresource === 'scale' && plural === 'deployments') ||
    (subresource === 'ephemeralcontainers' && plural === 'pods');
  if (of === undefined || !isKnown) {
    throw new StatusError(404, 'NotFound', 'the server could not find the requested resource');
  }
  const namespace = isInside ? (parts[1] ?? '') : of.namespaced ? null : '';
  return { of, namespace, name, subresource };
}

export function verbOf(method: string, name: string, isWatch: boolean): string {
  if (method === 'GET') return isWatch ? 'watch' : name === '' ? 'list' : 'get';
  const verbs: Record<string, string> = {
    POST: 'create',
    PUT: 'update',
    PATCH: 'patch',
    DELETE: 'delete',
  };
  return verbs[method] ?? 'none';
}

/** Throws 403, in the words of the real one, where no rule allows it. */
export function authorize(
  user: User,
  verb: string,
  { of, namespace, name, subresource }: Target,
): void {
  const resource = qualified(of.group, of.plural) + (subresource === '' ? '' : `/${subresource}`);
  const isAllowed =
    user.rules === undefined ||
    user.rules.some(
      (rule) =>
        rule.verbs.includes(verb) &&
        rule.resources.includes(resource) &&
        (rule.namespaces === undefined || rule.namespaces.includes(namespace ?? '*')) &&
        (rule.names === undefined || (name !== '' && rule.names.includes(name))),
    );
  if (isAllowed) return;
  const where =
    namespace === null || namespace === ''
      ? 'at the cluster scope'
      : `in the namespace "${namespace}"`;
  throw new StatusError(
    403,
    'Forbidden',
    `${qualified(of.group, of.plural)} ${name === '' ? '' : `"${name}" `}is forbidden: User "${user.name}" cannot ${verb} resource "${of.plural}" in API group "${of.group}" ${where}`,
  );
}
