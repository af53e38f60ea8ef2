import { RESOURCES, type Json, type Resource } from './objects.js';

const VERBS = ['create', 'delete', 'get', 'list', 'patch', 'update', 'watch'];
const GROUPS = [...new Set(RESOURCES.map(({ group }) => group))].filter((group) => group !== '');
const versionOf = (group: string) => ({ groupVersion: `${group}/v1`, version: 'v1' });

/** What kubectl asks first: which kinds there are. Null for any other address. */
export function discovery(path: string): Json {
  switch (path) {
    case '/version':
      return { major: '1', minor: '32', gitVersion: 'v1.32.0' };
    case '/healthz':
    case '/readyz':
      return 'ok';
    case '/api':
      return { kind: 'APIVersions', versions: ['v1'], serverAddressByClientCIDRs: [] };
    case '/apis': {
      const groups = GROUPS.map((name) => ({
        name,
        versions: [versionOf(name)],
        preferredVersion: versionOf(name),
      }));
      return { kind: 'APIGroupList', apiVersion: 'v1', groups };
    }
    case '/api/v1':
      return listOf('', 'v1');
    default: {
      const group = /^\/apis\/([^/]+)\/v1$/.exec(path)?.[1];
      return group !== undefined && GROUPS.includes(group) ? listOf(group, `${group}/v1`) : null;
    }
  }
}

const listOf = (group: string, groupVersion: string): Json => ({
  kind: 'APIResourceList',
  apiVersion: 'v1',
  groupVersion,
  resources: RESOURCES.filter((one) => one.group === group).flatMap(entriesOf),
});

function entriesOf({ plural, kind, namespaced, short, hasStatus }: Resource): Json[] {
  const entry = {
    name: plural,
    singularName: kind.toLowerCase(),
    namespaced,
    kind,
    verbs: VERBS,
    shortNames: [...short],
  };
  const status = {
    name: `${plural}/status`,
    singularName: '',
    namespaced,
    kind,
    verbs: ['get', 'patch', 'update'],
  };
  return hasStatus ? [entry, status] : [entry];
}
