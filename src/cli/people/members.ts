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
import { type Column } from '../output/index.js';
import { oneOf, present, whole } from '../values.js';

type Member = Answer<'members.set'>;

const COLUMNS: readonly Column<Member>[] = [
  ['user', (member) => member.user_id],
  ['login', (member) => member.login],
  ['role', (member) => member.role],
  ['from', (member) => member.source],
  ['expires', (member) => member.expires_at, 'time'],
];

export const listMembers: Command = {
  name: 'members list',
  summary: 'who holds a role on a group itself',
  operands: ['GROUP'],
  options: { ...LIST_OPTIONS },
  run: async (given, terminal) => {
    const client = await connect(given, terminal);
    const params = { id: given.operand(0) };
    await showList(given, terminal, {
      page: (query) => client.call('members.list', { params, query }),
      columns: COLUMNS,
      whenEmpty: 'no members',
    });
  },
};

export const setMember: Command = {
  name: 'members set',
  summary: 'give a user a role on a group and what is below it',
  operands: ['GROUP', 'LOGIN', 'ROLE'],
  options: {
    days: { value: 'N', help: 'for so many days (default: for good)' },
    ...MANAGER_OPTIONS,
    ...OUTPUT_OPTION,
  },
  run: async (given, terminal) => {
    const read = oneOf(['viewer', 'operator', 'admin']).safeParse(given.operand(2));
    if (!read.success) throw usageError('ROLE is viewer, operator or admin');
    const role = read.data;
    const days = given.read('days', whole(1, 3_650));
    const client = await connect(given, terminal);
    const made = await client.call('members.set', {
      params: { id: given.operand(0) },
      body: { login: given.operand(1), role, ...present({ expires_in_days: days }) },
    });
    show(given, terminal, made, (member) => `${member.login} is ${member.role} now\n`);
  },
};

export const removeMember: Command = {
  name: 'members remove',
  summary: 'take the role of a user on a group away',
  operands: ['GROUP', 'USER'],
  options: { ...MANAGER_OPTIONS },
  run: async (given, terminal) => {
    const client = await connect(given, terminal);
    const params = { id: given.operand(0), user: given.operand(1) };
    await client.call('members.remove', { params });
    terminal.out(`removed ${given.operand(1)}\n`);
  },
};
