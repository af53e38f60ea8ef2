import { readFile } from 'node:fs/promises';
import type { Answer } from '../../protocol/api/index.js';
import { FleetError } from '../../core/kernel/index.js';
import { makeClient, type Client } from '../client.js';
import { usageError, type Command, type Given } from '../command.js';
import {
  connect,
  MANAGER_OPTION,
  MANAGER_OPTIONS,
  managerUrl,
  OUTPUT_OPTION,
  show,
} from '../connection.js';
import { reserveSecretFile } from '../new-file.js';
import { facts } from '../table.js';
import type { Terminal } from '../terminal.js';

/** A person types it; a script gives a file. Never an option: command lines can be read by others. */
export async function passwordOf(
  given: Given,
  terminal: Terminal,
  question = 'password',
  option = 'password-file',
): Promise<string> {
  const file = given.optional(option);
  if (file !== undefined) return (await readFile(file, 'utf8')).replace(/\r?\n$/, '');
  if (terminal.ask === undefined) {
    throw usageError('nobody is there to type a password', `Give --${option} FILE.`);
  }
  return terminal.ask(`${question}: `);
}

async function signIn(
  client: Client,
  given: Given,
  terminal: Terminal,
): Promise<Answer<'session.sign_in'>> {
  const body = {
    login: given.operand(0),
    password: await passwordOf(given, terminal),
    as: 'token' as const,
  };
  const code = given.optional('code');
  try {
    return await client.call('session.sign_in', {
      body: code === undefined ? body : { ...body, code },
    });
  } catch (error) {
    const isAsked = error instanceof FleetError && error.code === 'second_factor_required';
    if (!isAsked || terminal.ask === undefined) throw error;
    const asked = await terminal.ask('code of the second factor: ');
    return await client.call('session.sign_in', { body: { ...body, code: asked.trim() } });
  }
}

export const login: Command = {
  name: 'login',
  summary: 'sign in with a password; gives a token that works for 8 hours',
  operands: ['LOGIN'],
  options: {
    'password-file': { value: 'FILE', help: 'read the password here instead of asking for it' },
    code: {
      value: 'CODE',
      help: 'of the second factor, or a recovery code (else it is asked for)',
    },
    'token-out': { value: 'FILE', help: 'write the token here (mode 0600), do not show it' },
    ...MANAGER_OPTION,
  },
  run: async (given, terminal) => {
    const client = makeClient({ manager: managerUrl(given, terminal), token: null });
    const out = given.optional('token-out');
    if (out === undefined) {
      const { token } = await signIn(client, given, terminal);
      terminal.out(`${token ?? ''}\n`);
      return;
    }
    const kept = await reserveSecretFile(out);
    const made = await signIn(client, given, terminal).catch(async (error: unknown) => {
      await kept.drop();
      throw error;
    });
    await kept.fill(`${made.token ?? ''}\n`);
    terminal.out(`signed in until ${made.session.expires_at}; the token is in ${out}\n`);
  },
};

export const logout: Command = {
  name: 'logout',
  summary: 'end the session of the token that `login` gave',
  operands: [],
  options: { ...MANAGER_OPTIONS },
  run: async (given, terminal) => {
    const client = await connect(given, terminal);
    await client.call('session.sign_out');
    terminal.out('signed out\n');
  },
};

const factorText = ({ user, second_factor_missing: isMissing }: Answer<'session.show'>): string => {
  if (user.has_second_factor) return 'yes';
  return isMissing ? 'no: nothing can be done before there is one' : 'no';
};

export const whoami: Command = {
  name: 'whoami',
  summary: 'who is signed in, with which roles',
  operands: [],
  options: { ...MANAGER_OPTIONS, ...OUTPUT_OPTION },
  run: async (given, terminal) => {
    const client = await connect(given, terminal);
    const me = await client.call('session.show');
    show(given, terminal, me, ({ user, grants, session }) =>
      facts([
        ['login', user.login],
        ['name', user.name],
        ['second factor', factorText(me)],
        ...grants.map(({ role, group_id: group }): [string, string] => [
          'role',
          group === null ? role : `${role} on ${group}`,
        ]),
        ['until', session.expires_at],
      ]),
    );
  },
};
