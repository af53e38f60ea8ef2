import type { Answer } from '../../protocol/api/index.js';
import type { Command } from '../command.js';
import {
  connect,
  LIST_OPTIONS,
  MANAGER_OPTIONS,
  OUTPUT_OPTION,
  show,
  showList,
} from '../connection.js';
import type { Column } from '../table.js';

type Group = Answer<'groups.create'>;

const COLUMNS: readonly Column<Group>[] = [
  ['id', (group) => group.id],
  ['name', (group) => group.name],
  ['parent', (group) => group.parent_id],
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
