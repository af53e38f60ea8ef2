import type { Answer } from '../../protocol/api/index.js';
import type { Command } from '../command.js';
import {
  connect,
  LIST_OPTIONS,
  MANAGER_OPTIONS,
  OUTPUT_OPTION,
  show,
  SHOW_OPTIONS,
  showList,
  showOne,
} from '../connection.js';
import { type Block, type Column, facts, table } from '../output/index.js';
import { oneOf } from '../values.js';

type Node = Answer<'nodes.show'>;

const STATUSES = ['pending', 'online', 'offline', 'revoked'] as const;
const UPGRADERS = ['none', 'agent', 'poll', 'kubernetes'] as const;

const labelsText = ({ labels }: Node): string | null =>
  Object.entries(labels)
    .map((pair) => pair.join('='))
    .join(' ') || null;

const COLUMNS: readonly Column<Node>[] = [
  ['id', (node) => node.id],
  ['name', (node) => node.name],
  ['group', (node) => node.group_id, 'id'],
  ['status', (node) => node.status, 'state'],
  ['by', (node) => node.transport],
  ['upgrader', (node) => node.upgrader, 'wide'],
  ['host', (node) => `${node.host.os}/${node.host.arch}`],
  ['services', (node) => node.services.map((s) => `${s.name}=${s.version ?? '-'}`).join(' ')],
  ['last seen', (node) => node.last_seen_at, 'time'],
  ['agent', (node) => node.agent_version, 'wide'],
  ['labels', labelsText, 'wide'],
  ['enrolled', (node) => node.enrolled_at, 'wide-time'],
];

export const listNodes: Command = {
  name: 'nodes list',
  summary: 'nodes that you may see',
  operands: [],
  options: {
    group: { value: 'ID', help: 'this group only' },
    status: { value: 'S', words: STATUSES, help: STATUSES.join(', ') },
    upgrader: {
      value: 'U',
      words: UPGRADERS,
      help: 'by who upgrades it: none (nobody: unmanaged), agent, poll, kubernetes',
    },
    label: { value: 'K=V', help: 'only nodes with this label', isMultiple: true },
    outdated: { help: 'only those behind the newest release of their channel' },
    ...LIST_OPTIONS,
  },
  run: async (given, terminal) => {
    const labels = [...given.list('label')];
    const filter = {
      group_id: given.optional('group'),
      status: given.read('status', oneOf(STATUSES)),
      upgrader: given.read('upgrader', oneOf(UPGRADERS)),
      label: labels.length === 0 ? undefined : labels,
      outdated: given.isSet('outdated') ? ('true' as const) : undefined,
    };
    const client = await connect(given, terminal);
    await showList(given, terminal, {
      page: (page) => client.call('nodes.list', { query: { ...filter, ...page } }),
      columns: COLUMNS,
      whenEmpty: 'no nodes',
    });
  },
};

/** What a person on the node decided; null where nobody did. */
function handInWords(byHand: Node['services'][number]['by_hand']): string | null {
  if (byHand === undefined) return null;
  if (!byHand.enabled) return 'disabled';
  return byHand.pin === null ? null : `pinned to ${byHand.pin}`;
}

const SERVICE_COLUMNS: readonly Column<Node['services'][number]>[] = [
  ['service', (service) => service.name],
  ['product', (service) => service.product],
  ['variant', (service) => service.variant],
  ['version', (service) => service.version],
  ['previous', (service) => service.previous_version],
  ['phase', (service) => service.phase],
  ['by hand', ({ by_hand }) => handInWords(by_hand)],
  ['healthy', ({ healthy }) => (healthy === null ? null : healthy ? 'yes' : 'no')],
  [
    'last outcome',
    ({ outcome }) => outcome && `${outcome.result} ${outcome.error_code ?? ''}`.trim(),
  ],
];

const SUPPORT_COLUMNS: readonly Column<Node['support'][number]>[] = [
  ['service', (one) => one.service],
  ['channel', (one) => one.channel],
  ['newest', (one) => one.newest],
  ['support', (one) => one.window.replaceAll('_', ' ')],
];

const nodeText = (node: Node): readonly Block[] => [
  facts([
    ['id', node.id],
    ['name', node.name],
    ['group', node.group_id],
    ['status', node.status],
    ['connected by', node.transport],
    ['upgraded by', node.upgrader],
    ['host', `${node.host.hostname} (${node.host.os}/${node.host.arch}, ${node.host.kernel})`],
    ['labels', labelsText(node)],
    ['agent', node.agent_version],
    ['policy', node.policy_digest],
    ['enrolled', node.enrolled_at],
    ['last seen', node.last_seen_at],
  ]),
  table(node.services, SERVICE_COLUMNS, 'no services'),
  ...(node.support.length === 0 ? [] : [table(node.support, SUPPORT_COLUMNS, '')]),
];

export const showNode: Command = {
  name: 'nodes show',
  summary: 'one node with its services',
  operands: ['ID'],
  options: SHOW_OPTIONS,
  run: async (given, terminal) => {
    const client = await connect(given, terminal);
    const params = { id: given.operand(0) };
    await showOne(given, terminal, () => client.call('nodes.show', { params }), nodeText);
  },
};

export const revokeNode: Command = {
  name: 'nodes revoke',
  summary: 'revoke the key of a node and close its link',
  operands: ['ID'],
  options: { ...MANAGER_OPTIONS, ...OUTPUT_OPTION },
  run: async (given, terminal) => {
    const client = await connect(given, terminal);
    const node = await client.call('nodes.revoke', { params: { id: given.operand(0) } });
    show(given, terminal, node, ({ id, name }) => `revoked ${id} (${name})\n`);
  },
};

export const transferNodes: Command = {
  name: 'nodes transfer',
  summary: 'move nodes to another group, all or none',
  operands: [],
  options: {
    node: { value: 'ID', help: 'a node, 100 at most', isRequired: true, isMultiple: true },
    to: { value: 'ID', help: 'the group that they go to', isRequired: true },
    ...MANAGER_OPTIONS,
    ...OUTPUT_OPTION,
  },
  notes: ['A node in an active rollout stays: finish or cancel that first.'],
  run: async (given, terminal) => {
    const body = { node_ids: [...given.list('node')], group_id: given.text('to') };
    const client = await connect(given, terminal);
    const moved = await client.call('nodes.transfer', { body });
    show(given, terminal, moved, ({ items }) =>
      items.map(({ id, group_id: group }) => `${id} is in ${group}\n`).join(''),
    );
  },
};
