import type { Answer } from '../../protocol/api/index.js';
import { usageError, type Command } from '../command.js';
import {
  connect,
  LIST_OPTIONS,
  MANAGER_OPTIONS,
  OUTPUT_OPTION,
  show,
  showList,
} from '../connection.js';
import { plain, type Column } from '../table.js';
import { whole } from '../values.js';

type Group = Answer<'groups.create'>;

const COLUMNS: readonly Column<Group>[] = [
  ['id', (group) => group.id],
  ['name', (group) => group.name],
  ['parent', (group) => group.parent_id],
  ['nodes at most', (group) => group.nodes_max],
  ['created', (group) => group.created_at],
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
