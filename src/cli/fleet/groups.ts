import type { Answer } from '../../protocol/api/index.js';
import type { Command } from '../command.js';
import {
  collect,
  connect,
  LIMIT_OPTION,
  MANAGER_OPTIONS,
  moreLine,
  OUTPUT_OPTION,
  show,
} from '../connection.js';
import { table, type Column } from '../table.js';

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
  options: { ...LIMIT_OPTION, ...MANAGER_OPTIONS, ...OUTPUT_OPTION },
  run: async (given, terminal) => {
    const client = await connect(given, terminal);
    const found = await collect(given, (query) => client.call('groups.list', { query }));
    show(
      given,
      terminal,
      found,
      ({ items, more }) => table(items, COLUMNS, 'no groups') + moreLine(more),
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
