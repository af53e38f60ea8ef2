import type { KubeApiServer } from '../support/kube/api-server.js';
import { RESOURCES } from '../support/kube/objects.js';
import type { Rule } from '../support/kube/rights.js';
import { manifestsOf, type Manifest } from './cases.js';

interface PolicyRule {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly resourceNames?: readonly string[];
  readonly verbs: readonly string[];
}
interface Binding extends Manifest {
  readonly roleRef: { readonly kind: string; readonly name: string };
  readonly subjects: readonly { readonly name: string; readonly namespace: string }[];
}

/** What the chart lets an account do, as the API server of the tests has it. Hooks come and go: they are apart. */
export function rightsOf(
  name: string,
  account: string,
  options: { readonly withHooks?: boolean } = {},
): Rule[] {
  const all = manifestsOf({ chart: 'bellwether-agent', name });
  const isCounted = ({ metadata }: Manifest): boolean =>
    options.withHooks === true || metadata.annotations?.['helm.sh/hook'] === undefined;
  const bindings = all.filter(({ kind }) => kind.endsWith('Binding')) as Binding[];
  return bindings.filter(isCounted).flatMap(({ kind, metadata, roleRef, subjects }): Rule[] => {
    if (!subjects.some((subject) => subject.name === account)) return [];
    const role = all.find(
      (one) =>
        one.kind === roleRef.kind &&
        one.metadata.name === roleRef.name &&
        one.metadata.namespace === metadata.namespace,
    );
    const rules = (role?.['rules'] ?? []) as readonly PolicyRule[];
    return rules.flatMap(({ apiGroups, resources, resourceNames, verbs }): Rule[] =>
      apiGroups.map((group) => ({
        verbs,
        resources: resources.map((one) => {
          const [plural = '', subresource] = one.split('/');
          const full = group === '' ? plural : `${plural}.${group}`;
          return subresource === undefined ? full : `${full}/${subresource}`;
        }),
        ...(kind === 'RoleBinding' ? { namespaces: [metadata.namespace ?? ''] } : {}),
        ...(resourceNames === undefined ? {} : { names: resourceNames }),
      })),
    );
  });
}

/** Every right by itself, as `verb resource`. */
export const singly = (rules: readonly Rule[]): string[] =>
  [
    ...new Set(
      rules.flatMap(({ verbs, resources }) =>
        resources.flatMap((resource) => verbs.map((verb) => `${verb} ${resource}`)),
      ),
    ),
  ].sort();

/** What somebody asked of the API server, as rights. What was refused is among it: nobody may ask for more than they have. */
export const rightsUsed = ({ seen }: Pick<KubeApiServer, 'seen'>, name: string): string[] =>
  [
    ...new Set(
      seen
        .filter(({ user }) => user === name)
        .map(({ verb, plural, path }) => {
          const group = RESOURCES.find((one) => one.plural === plural)?.group ?? '';
          const full = group === '' ? plural : `${plural}.${group}`;
          return `${verb} ${full}${path.includes('/scale') ? '/scale' : ''}`;
        }),
    ),
  ].sort();
