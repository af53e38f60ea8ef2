import type { Answer } from '../../protocol/api/index.js';
import { usageError, type Command } from '../command.js';
import { connect, ITEMS_OPTIONS, MANAGER_OPTIONS, showRows } from '../connection.js';
import { type Column } from '../output/index.js';
import { passwordOf } from './login.js';

const PASSWORD_OPTION = {
  'password-file': { value: 'FILE', help: 'read the password here instead of asking for it' },
} as const;

/** What is shown is shown once: somebody has to be there who reads it. */
const NOBODY = 'a second factor is set up by somebody who is there';

export const addFactor: Command = {
  name: 'account add-factor',
  summary: 'set up a second factor: codes of an authenticator program',
  operands: [],
  options: { ...PASSWORD_OPTION, ...MANAGER_OPTIONS },
  run: async (given, terminal) => {
    const { ask } = terminal;
    if (ask === undefined) throw usageError(NOBODY, 'Run it in a terminal.');
    const client = await connect(given, terminal);
    const body = { password: await passwordOf(given, terminal) };
    const begun = await client.call('account.begin_factor', { body });
    terminal.out(`secret for the authenticator: ${begun.secret}\n${begun.uri}\n`);
    const code = (await ask('its code: ')).trim();
    const made = await client.call('account.confirm_factor', { body: { code } });
    const codes = made.recovery_codes.map((one) => `  ${one}\n`).join('');
    terminal.out(`Done. When it is lost, each of these works once; keep them elsewhere:\n${codes}`);
  },
};

export const removeFactor: Command = {
  name: 'account remove-factor',
  summary: 'take the second factor away; asks for the password and a code',
  operands: [],
  options: {
    ...PASSWORD_OPTION,
    code: { value: 'CODE', help: 'a code, or a recovery code (else it is asked for)' },
    ...MANAGER_OPTIONS,
  },
  run: async (given, terminal) => {
    const client = await connect(given, terminal);
    const password = await passwordOf(given, terminal);
    const code = given.optional('code') ?? (await terminal.ask?.('code: '));
    if (code === undefined) throw usageError('`account remove-factor` needs --code');
    await client.call('account.remove_factor', { body: { password, code: code.trim() } });
    terminal.out('the second factor is gone\n');
  },
};

export const changePassword: Command = {
  name: 'account password',
  summary: 'change the own password; ends every other session',
  operands: [],
  options: {
    ...PASSWORD_OPTION,
    'new-password-file': { value: 'FILE', help: 'read the new one here' },
    ...MANAGER_OPTIONS,
  },
  run: async (given, terminal) => {
    const client = await connect(given, terminal);
    const current = await passwordOf(given, terminal);
    const next = await passwordOf(given, terminal, 'new password', 'new-password-file');
    await client.call('account.password', { body: { current, new: next } });
    terminal.out('the password is changed; sign in again\n');
  },
};

type Session = Answer<'sessions.list'>['items'][number];

const COLUMNS: readonly Column<Session>[] = [
  ['id', (session) => session.id],
  ['kind', (session) => session.kind],
  ['this', (session) => (session.is_this ? 'yes' : '')],
  ['since', (session) => session.created_at, 'time'],
  ['last used', (session) => session.used_at, 'time'],
  ['until', (session) => session.expires_at, 'time'],
  ['from', (session) => session.ip],
  ['program', (session) => session.user_agent],
];

export const listSessions: Command = {
  name: 'sessions list',
  summary: 'the own sessions',
  operands: [],
  options: ITEMS_OPTIONS,
  run: async (given, terminal) => {
    const client = await connect(given, terminal);
    await showRows(given, terminal, {
      load: () => client.call('sessions.list'),
      columns: COLUMNS,
      whenEmpty: 'no sessions',
    });
  },
};

export const revokeSession: Command = {
  name: 'sessions revoke',
  summary: 'end an own session',
  operands: ['ID'],
  options: { ...MANAGER_OPTIONS },
  run: async (given, terminal) => {
    const client = await connect(given, terminal);
    await client.call('sessions.revoke', { params: { id: given.operand(0) } });
    terminal.out(`ended ${given.operand(0)}\n`);
  },
};
