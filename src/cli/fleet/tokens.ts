import { z } from 'zod';
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
import { reserveSecretFile } from '../new-file.js';
import { facts, type Column } from '../table.js';
import { oneOf } from '../values.js';

type Token = Answer<'tokens.list'>['items'][number];

const ROLES = ['super_admin', 'release', 'viewer', 'operator', 'admin'] as const;
const Role = oneOf(ROLES);
const Days = z.coerce
  .number({ error: 'take a number' })
  .int('take whole days')
  .min(1, 'take 1 or more')
  .max(365, 'take 365 or less');

export const createToken: Command = {
  name: 'tokens create',
  summary: 'make an API token',
  operands: [],
  options: {
    name: { value: 'NAME', help: 'what it is for', isRequired: true },
    role: { value: 'ROLE', help: ROLES.join(', '), isRequired: true },
    group: { value: 'ID', help: 'group of a viewer, operator or admin' },
    days: { value: 'N', help: 'how long it works (default 90)' },
    'token-out': { value: 'FILE', help: 'write the token here (mode 0600), do not show it' },
    ...MANAGER_OPTIONS,
    ...OUTPUT_OPTION,
  },
  run: async (given, terminal) => {
    const role = given.need('role', Role);
    const days = given.read('days', Days);
    const body = {
      name: given.text('name'),
      role,
      group_id: given.optional('group') ?? null,
      ...(days === undefined ? {} : { expires_in_days: days }),
    };
    const client = await connect(given, terminal);
    const out = given.optional('token-out');
    if (out === undefined) {
      const made = await client.call('tokens.create', { body });
      show(given, terminal, made, ({ secret }) => `${secret}\n`);
      terminal.err('keep this token: it is shown once\n');
      return;
    }
    const kept = await reserveSecretFile(out);
    const made = await client.call('tokens.create', { body }).catch(async (error: unknown) => {
      await kept.drop();
      throw error;
    });
    const { secret, ...rest } = made;
    await kept.fill(`${secret}\n`);
    show(given, terminal, rest, ({ id }) => `token ${id} written to ${out}\n`);
  },
};

const COLUMNS: readonly Column<Token>[] = [
  ['id', (token) => token.id],
  ['name', (token) => token.name],
  ['role', (token) => token.role],
  ['group', (token) => token.group_id],
  ['expires', (token) => token.expires_at],
  ['last used', (token) => token.last_used_at],
];

export const listTokens: Command = {
  name: 'tokens list',
  summary: 'API tokens, without their secrets',
  operands: [],
  options: { ...LIST_OPTIONS },
  run: async (given, terminal) => {
    const client = await connect(given, terminal);
    await showList(given, terminal, {
      page: (query) => client.call('tokens.list', { query }),
      columns: COLUMNS,
      whenEmpty: 'no tokens',
    });
  },
};

export const revokeToken: Command = {
  name: 'tokens revoke',
  summary: 'end an API token at once',
  operands: ['ID'],
  options: { ...MANAGER_OPTIONS },
  run: async (given, terminal) => {
    const client = await connect(given, terminal);
    await client.call('tokens.revoke', { params: { id: given.operand(0) } });
    terminal.out(`revoked ${given.operand(0)}\n`);
  },
};

export const createEnrollmentToken: Command = {
  name: 'enrollment-token create',
  summary: 'make a one-time token that enrolls one node (15 minutes)',
  operands: [],
  options: {
    group: { value: 'ID', help: 'group of the node (default grp_default)' },
    ...MANAGER_OPTIONS,
    ...OUTPUT_OPTION,
  },
  run: async (given, terminal) => {
    const client = await connect(given, terminal);
    const group = given.optional('group');
    const made = await client.call('enrollment.create', {
      body: group === undefined ? {} : { group_id: group },
    });
    show(given, terminal, made, (token) =>
      facts([
        ['token', token.secret],
        ['group', token.group_id],
        ['expires', token.expires_at],
        ['on the node', token.command],
      ]),
    );
  },
};
