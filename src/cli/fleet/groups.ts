import type { Answer } from '../../protocol/api/index.js';
import { FleetError } from '../../core/kernel/index.js';
import type { Client } from '../client.js';
import { usageError, type Command } from '../command.js';
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
import { facts, plain, table, type Column } from '../output/index.js';
import { FREEZE_COLUMNS } from './circumstances.js';
import { whole } from '../values.js';

type Group = Answer<'groups.create'>;

const COLUMNS: readonly Column<Group>[] = [
  ['id', (group) => group.id],
  ['name', (group) => group.name],
  ['parent', (group) => group.parent_id, 'id'],
  ['nodes at most', (group) => group.nodes_max],
  ['created', (group) => group.created_at, 'time'],
];

export const listGroups: Command = {
  name: 'groups list',
  summary: 'groups that you may see',
  operands: [],
  options: { ...LIST_OPTIONS },
  run: async (given, terminal) => {
    const client = await connect(given, terminal);
    await showList(given, terminal, {
      page: (query) => client.call('groups.list', { query }),
      columns: COLUMNS,
      whenEmpty: 'no groups',
    });
  },
};

/** More groups than any fleet has. */
const PAGES_MAX = 200;

/** A group by its id. Reads the list: the manager shows no single one. Throws `not_found`. */
async function findGroup(client: Client, id: string): Promise<Group> {
  let cursor: string | undefined;
  for (let page = 0; page < PAGES_MAX; page += 1) {
    const query = { limit: 500, ...(cursor === undefined ? {} : { cursor }) };
    const { items, next_cursor: next } = await client.call('groups.list', { query });
    const found = items.find((group) => group.id === id);
    if (found !== undefined) return found;
    if (next === null) break;
    cursor = next;
  }
  throw new FleetError('not_found', `there is no group ${id}, or you may not see it`);
}

async function wholeGroup(client: Client, id: string) {
  const group = await findGroup(client, id);
  const params = { id };
  const [upgrades, freezes, nodes] = await Promise.all([
    client.call('groups.switch', { params }),
    client.call('groups.freezes', { params }),
    client.call('fleet.summary', { query: { group_id: id } }),
  ]);
  return { ...group, upgrades, freezes: freezes.items, nodes };
}

export const showGroup: Command = {
  name: 'groups show',
  summary: 'one group: quota, nodes, upgrade switch and freezes',
  operands: ['ID'],
  options: SHOW_OPTIONS,
  run: async (given, terminal) => {
    const client = await connect(given, terminal);
    await showOne(
      given,
      terminal,
      () => wholeGroup(client, given.operand(0)),
      ({ nodes, upgrades, freezes, ...group }) => [
        facts([
          ['id', group.id],
          ['name', group.name],
          ['parent', group.parent_id],
          ['nodes', `${nodes.nodes} here and below, ${nodes.by_status.online ?? 0} online`],
          ['nodes at most', group.nodes_max],
          ['upgrades', upgrades.effective_mode],
          ['set here', upgrades.set_by === null ? null : upgrades.mode],
          ['created', group.created_at],
        ]),
        ...(freezes.length === 0 ? [] : [table(freezes, FREEZE_COLUMNS, '')]),
      ],
    );
  },
};

export const createGroup: Command = {
  name: 'groups create',
  summary: 'make a group below another',
  operands: ['NAME'],
  options: {
    parent: { value: 'ID', help: 'the group above (default grp_default)' },
    ...MANAGER_OPTIONS,
    ...OUTPUT_OPTION,
  },
  run: async (given, terminal) => {
    const client = await connect(given, terminal);
    const parent = given.optional('parent');
    const made = await client.call('groups.create', {
      body: { name: given.operand(0), ...(parent === undefined ? {} : { parent_id: parent }) },
    });
    show(given, terminal, made, ({ id }) => `${id}\n`);
  },
};

export const renameGroup: Command = {
  name: 'groups rename',
  summary: 'give a group another name',
  operands: ['ID', 'NAME'],
  options: { ...MANAGER_OPTIONS, ...OUTPUT_OPTION },
  run: async (given, terminal) => {
    const client = await connect(given, terminal);
    const made = await client.call('groups.change', {
      params: { id: given.operand(0) },
      body: { name: given.operand(1) },
    });
    show(given, terminal, made, ({ id, name }) => `${id} is ${plain(name)} now\n`);
  },
};

export const moveGroup: Command = {
  name: 'groups move',
  summary: 'move a group, with all below it, below another',
  operands: ['ID'],
  options: {
    parent: { value: 'ID', help: 'the group above from now on', isRequired: true },
    ...MANAGER_OPTIONS,
    ...OUTPUT_OPTION,
  },
  notes: [
    'Needs admin above the group, where it is and where it goes. Who saw it only from above sees it no more.',
  ],
  run: async (given, terminal) => {
    const body = { parent_id: given.text('parent') };
    const client = await connect(given, terminal);
    const made = await client.call('groups.change', { params: { id: given.operand(0) }, body });
    show(given, terminal, made, ({ id, parent_id: parent }) => `${id} is below ${parent ?? '-'}\n`);
  },
};

export const removeGroup: Command = {
  name: 'groups remove',
  summary: 'delete a group that holds no nodes and no groups',
  operands: ['ID'],
  options: { ...MANAGER_OPTIONS },
  run: async (given, terminal) => {
    const client = await connect(given, terminal);
    await client.call('groups.remove', { params: { id: given.operand(0) } });
    terminal.out(`removed ${given.operand(0)}\n`);
  },
};

/** More than any fleet has; the manager says the same. */
const NODES_MAX = 1_000_000;

export const setQuota: Command = {
  name: 'groups quota',
  summary: 'how many nodes a group and those below may hold; of the root: the whole fleet',
  operands: ['ID'],
  options: {
    nodes: { value: 'N', help: 'at most so many' },
    none: { help: 'as many as come' },
    ...MANAGER_OPTIONS,
    ...OUTPUT_OPTION,
  },
  notes: ['A quota below what is there stops newcomers and touches nobody.'],
  run: async (given, terminal) => {
    const nodes = given.read('nodes', whole(0, NODES_MAX));
    if ((nodes === undefined) !== given.isSet('none')) {
      throw usageError('`groups quota` needs one of --nodes N and --none');
    }
    const client = await connect(given, terminal);
    const params = { id: given.operand(0) };
    const made = await client.call('groups.set_quota', {
      params,
      body: { nodes_max: nodes ?? null },
    });
    show(given, terminal, made, ({ id, nodes_max: most }) =>
      most === null ? `${id} may hold any number of nodes\n` : `${id} may hold ${most} nodes\n`,
    );
  },
};
