import { z } from 'zod';
import type { Answer, Call } from '../../protocol/api/index.js';
import { FleetError } from '../../core/kernel/index.js';
import { PERMISSIONS } from '../../core/access/index.js';
import type { Command, Given } from '../command.js';
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
import type { Terminal } from '../terminal.js';
import { reserveSecretFile } from '../new-file.js';
import { type Column, facts } from '../output/index.js';
import { oneOf, whole } from '../values.js';
import { makeToken } from './enroll.js';

type Token = Answer<'tokens.list'>['items'][number];

const ROLES = ['super_admin', 'release', 'viewer', 'operator', 'admin'] as const;
const Role = oneOf(ROLES);
const Minutes = whole(0, 60);
/** With commas between. */
const Permissions = z
  .string()
  .transform((text) => text.split(',').map((name) => name.trim()))
  .pipe(z.array(z.enum(PERMISSIONS, { error: `take some of ${PERMISSIONS.join(', ')}` })));
const Days = whole(1, 365);

export const createToken: Command = {
  name: 'tokens create',
  summary: 'make an API token',
  operands: [],
  options: {
    name: { value: 'NAME', help: 'what it is for', isRequired: true },
    role: { value: 'ROLE', help: ROLES.join(', ') },
    allow: { value: 'LIST', help: 'permissions in place of a role, such as event.view,node.view' },
    group: { value: 'ID', help: 'group of a viewer, operator or admin, or of the permissions' },
    days: { value: 'N', help: 'how long it works (default 90)' },
    'token-out': { value: 'FILE', help: 'write the token here (mode 0600), do not show it' },
    ...MANAGER_OPTIONS,
    ...OUTPUT_OPTION,
  },
  run: async (given, terminal) => {
    const days = given.read('days', Days);
    const body = {
      name: given.text('name'),
      ...powerOf(given),
      group_id: given.optional('group') ?? null,
      ...(days === undefined ? {} : { expires_in_days: days }),
    };
    const client = await connect(given, terminal);
    await showOnce(given, terminal, () => client.call('tokens.create', { body }));
  },
};

/** Shows the secret, or writes it into a file that is there before the token is made. */
async function showOnce(
  given: Given,
  terminal: Terminal,
  make: () => Promise<Answer<'tokens.create'>>,
): Promise<void> {
  const out = given.optional('token-out');
  if (out === undefined) {
    show(given, terminal, await make(), ({ secret }) => `${secret}\n`);
    terminal.err('keep this token: it is shown once\n');
    return;
  }
  const kept = await reserveSecretFile(out);
  const made = await make().catch(async (error: unknown) => {
    await kept.drop();
    throw error;
  });
  const { secret, ...rest } = made;
  await kept.fill(`${secret}\n`);
  show(given, terminal, rest, ({ id }) => `token ${id} written to ${out}\n`);
}

/** `--role` or `--allow`; that it is one of the two is for the manager to say. */
function powerOf(given: Given): Pick<Call<'tokens.create'>['body'], 'role' | 'permissions'> {
  const role = given.read('role', Role);
  const allow = given.read('allow', Permissions);
  return {
    ...(role === undefined ? {} : { role }),
    ...(allow === undefined ? {} : { permissions: allow }),
  };
}

const COLUMNS: readonly Column<Token>[] = [
  ['id', (token) => token.id],
  ['name', (token) => token.name],
  ['role', (token) => token.role ?? token.permissions?.join(' ') ?? ''],
  ['group', (token) => token.group_id],
  ['expires', (token) => token.expires_at, 'time'],
  ['last used', (token) => token.last_used_at, 'time'],
  ['from', (token) => token.last_used_from, 'wide'],
  ['made by', (token) => token.made_by, 'wide'],
  ['created', (token) => token.created_at, 'wide-time'],
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

export const showToken: Command = {
  name: 'tokens show',
  summary: 'one API token, without its secret',
  operands: ['ID'],
  options: SHOW_OPTIONS,
  run: async (given, terminal) => {
    const client = await connect(given, terminal);
    const load = async (): Promise<Token> => {
      let cursor: string | null = null;
      do {
        const query: { limit: number; cursor?: string } =
          cursor === null ? { limit: 500 } : { limit: 500, cursor };
        const page: Answer<'tokens.list'> = await client.call('tokens.list', { query });
        const found = page.items.find(({ id }) => id === given.operand(0));
        if (found !== undefined) return found;
        cursor = page.next_cursor;
      } while (cursor !== null);
      throw new FleetError('not_found', `there is no token ${given.operand(0)}`);
    };
    await showOne(given, terminal, load, (token) =>
      facts(COLUMNS.map(([name, value]) => [name, value(token)] as const)),
    );
  },
};

export const rotateToken: Command = {
  name: 'tokens rotate',
  summary: 'make a token that can the same, and end the old one',
  operands: ['ID'],
  options: {
    days: { value: 'N', help: 'how long the new one works (default 90)' },
    grace: { value: 'MINUTES', help: 'how long the old one still works, up to 60 (default 0)' },
    'token-out': { value: 'FILE', help: 'write the token here (mode 0600), do not show it' },
    ...MANAGER_OPTIONS,
    ...OUTPUT_OPTION,
  },
  run: async (given, terminal) => {
    const days = given.read('days', Days);
    const grace = given.read('grace', Minutes);
    const body = {
      ...(days === undefined ? {} : { expires_in_days: days }),
      ...(grace === undefined ? {} : { grace_minutes: grace }),
    };
    const params = { id: given.operand(0) };
    const client = await connect(given, terminal);
    await showOnce(given, terminal, () => client.call('tokens.rotate', { params, body }));
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
    await makeToken(await connect(given, terminal), given, terminal);
  },
};
