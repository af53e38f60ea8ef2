import { ClusterName } from '../../protocol/node/index.js';
import type { Answer } from '../../protocol/api/index.js';
import type { Command } from '../command.js';
import {
  connect,
  ITEMS_OPTIONS,
  MANAGER_OPTIONS,
  OUTPUT_OPTION,
  show,
  showRows,
} from '../connection.js';
import { type Column, facts } from '../output/index.js';
import { whole } from '../values.js';

type ClusterToken = Answer<'enrollment.clusters'>['items'][number];

/** As the manager takes them. */
const Days = whole(1, 730);
const Nodes = whole(1, 100_000);

const limitOf = ({ max_nodes: max }: Pick<ClusterToken, 'max_nodes'>): string =>
  max === null ? 'no limit' : String(max);

const COLUMNS: readonly Column<ClusterToken>[] = [
  ['id', ({ id }) => id],
  ['cluster', ({ cluster }) => cluster],
  ['nodes', ({ nodes }) => nodes],
  ['max nodes', limitOf],
  ['expires', ({ expires_at: at }) => at, 'time'],
  ['last used', ({ last_used_at: at }) => at, 'time'],
  ['revoked', ({ revoked_at: at }) => at, 'time'],
];

export const createClusterToken: Command = {
  name: 'cluster-tokens create',
  summary: 'make a reusable token that enrolls the workloads of one Kubernetes cluster',
  operands: [],
  options: {
    cluster: { value: 'NAME', help: 'what its operator calls itself', isRequired: true },
    group: { value: 'ID', help: 'group of its nodes (default grp_default)' },
    'max-nodes': { value: 'N', help: 'how many nodes the cluster may hold (default: no limit)' },
    days: { value: 'N', help: 'how long it can be used, up to 730 (default 365)' },
    ...MANAGER_OPTIONS,
    ...OUTPUT_OPTION,
  },
  notes: [
    'Rotating is making a second one, putting it into the Secret of the cluster, and revoking the',
    'first. The secret is shown once.',
  ],
  run: async (given, terminal) => {
    const group = given.optional('group');
    const days = given.read('days', Days);
    const max = given.read('max-nodes', Nodes);
    const body = {
      cluster: given.need('cluster', ClusterName),
      ...(group === undefined ? {} : { group_id: group }),
      ...(days === undefined ? {} : { expires_days: days }),
      ...(max === undefined ? {} : { max_nodes: max }),
    };
    const client = await connect(given, terminal);
    const made = await client.call('enrollment.create_cluster', { body });
    show(given, terminal, made, (token) =>
      facts([
        ['id', token.id],
        ['token', token.secret],
        ['cluster', token.cluster],
        ['group', token.group_id],
        ['max nodes', limitOf(token)],
        ['expires', token.expires_at],
        ['in the cluster', token.command],
      ]),
    );
  },
};

export const listClusterTokens: Command = {
  name: 'cluster-tokens list',
  summary: 'the cluster tokens of a group, with the nodes of each cluster',
  operands: [],
  options: {
    group: { value: 'ID', help: 'of which group (default grp_default)' },
    ...ITEMS_OPTIONS,
  },
  run: async (given, terminal) => {
    const group = given.optional('group');
    const query = group === undefined ? {} : { group_id: group };
    const client = await connect(given, terminal);
    await showRows(given, terminal, {
      load: () => client.call('enrollment.clusters', { query }),
      columns: COLUMNS,
      whenEmpty: 'no cluster tokens in this group',
    });
  },
};

export const revokeClusterToken: Command = {
  name: 'cluster-tokens revoke',
  summary: 'end a cluster token at once; nodes that it enrolled stay',
  operands: ['ID'],
  options: { ...MANAGER_OPTIONS },
  run: async (given, terminal) => {
    const client = await connect(given, terminal);
    await client.call('enrollment.revoke_cluster', { params: { id: given.operand(0) } });
    terminal.out(`revoked ${given.operand(0)}\n`);
  },
};
