import { Channel, ProductName } from '../../core/release/index.js';
import type { Answer } from '../../protocol/api/index.js';
import type { Command, Given, OptionSpec } from '../command.js';
import { connect, MANAGER_OPTIONS, OUTPUT_OPTION, show } from '../connection.js';
import { type Block, type Column, plain, table } from '../output/index.js';
import { bytesInWords } from '../terminal.js';
import { present, whole } from '../values.js';

const OPTIONS: Readonly<Record<string, OptionSpec>> = {
  product: { value: 'P', help: 'this product only' },
  channel: { value: 'C', help: 'in place of the channel that each node seems to follow' },
  limit: { value: 'N', help: 'releases at most, each way (default 10)' },
  ...MANAGER_OPTIONS,
  ...OUTPUT_OPTION,
};
const Limit = whole(1, 500);

type NodeItem = Answer<'nodes.upgrades'>['items'][number];
type NodeRow = NodeItem['upgrades'][number] & { readonly way: string };
type GroupItem = Answer<'groups.upgrades'>['items'][number];
type GroupRow = GroupItem['upgrades'][number] & { readonly way: string };

const NODE_COLUMNS: readonly Column<NodeRow>[] = [
  ['', ({ way }) => way],
  ['version', ({ version }) => version],
  ['channel', ({ channel }) => channel],
  ['size', ({ bytes }) => bytesInWords(bytes)],
  ['published', ({ published_at: at }) => at, 'time'],
  ['at once', ({ direct, requires }) => (direct ? 'yes' : requires)],
];
const GROUP_COLUMNS: readonly Column<GroupRow>[] = [
  ['', ({ way }) => way],
  ['version', ({ version }) => version],
  ['channel', ({ channel }) => channel],
  ['published', ({ published_at: at }) => at, 'time'],
  ['nodes at once', ({ direct }) => direct],
  ['after another', ({ detour }) => detour],
];

const bothWays = <T extends object>({
  upgrades,
  downgrades,
}: {
  readonly upgrades: readonly T[];
  readonly downgrades: readonly T[];
}) => [
  ...upgrades.map((one) => ({ ...one, way: 'up' })),
  ...downgrades.map((one) => ({ ...one, way: 'down' })),
];

const nodeText = (item: NodeItem, at: number): readonly Block[] => [
  `${at === 0 ? '' : '\n'}${plain(
    `${item.service}: ${item.product} ${item.version ?? '-'} on ${item.channel}, ` +
      `newest ${item.newest ?? '-'}: ${item.window.replaceAll('_', ' ')}`,
  )}\n`,
  table(bothWays(item), NODE_COLUMNS, 'nothing it could come to'),
];

const groupText = (item: GroupItem, at: number): readonly Block[] => [
  `${at === 0 ? '' : '\n'}${plain(
    `${item.product} on ${item.nodes} node(s): ` +
      item.running.map(({ version, nodes }) => `${nodes} x ${version ?? '-'}`).join(', '),
  )}\n`,
  table(bothWays(item), GROUP_COLUMNS, 'nothing they could come to'),
];

const queryOf = (given: Given) =>
  present({
    product: given.read('product', ProductName),
    channel: given.read('channel', Channel),
    limit: given.read('limit', Limit),
  });

export const nodeUpgrades: Command = {
  name: 'nodes upgrades',
  summary: 'what a node could be upgraded or downgraded to',
  operands: ['ID'],
  options: OPTIONS,
  run: async (given, terminal) => {
    const query = queryOf(given);
    const client = await connect(given, terminal);
    const params = { id: given.operand(0) };
    const answer = await client.call('nodes.upgrades', { params, query });
    show(given, terminal, answer, ({ items }) =>
      items.length === 0 ? 'no services\n' : items.flatMap(nodeText),
    );
  },
};

export const groupUpgrades: Command = {
  name: 'groups upgrades',
  summary: 'the same for the nodes of a group and below, counted',
  operands: ['ID'],
  options: OPTIONS,
  run: async (given, terminal) => {
    const query = queryOf(given);
    const client = await connect(given, terminal);
    const params = { id: given.operand(0) };
    const answer = await client.call('groups.upgrades', { params, query });
    show(given, terminal, answer, ({ items }) =>
      items.length === 0 ? 'no services\n' : items.flatMap(groupText),
    );
  },
};
