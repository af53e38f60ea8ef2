import { readFile } from 'node:fs/promises';
import type { Answer } from '../../protocol/api/index.js';
import { FleetError } from '../../core/kernel/index.js';
import { makeClient, type Client } from '../client.js';
import { usageError, type Command, type Given } from '../command.js';
import {
  connect,
  connectAsNobody,
  MANAGER_OPTION,
  MANAGER_OPTIONS,
  SHOW_OPTIONS,
  showOne,
} from '../connection.js';
import {
  contextNamed,
  ContextName,
  readConfig,
  writeConfig,
  type ContextEntry,
} from '../context/index.js';
import { reserveSecretFile } from '../new-file.js';
import { facts } from '../output/index.js';
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

/** The token of `--token`: from a file, or with `-` from standard input. */
async function givenToken(from: string, terminal: Terminal): Promise<string> {
  if (from === '-' && terminal.input === undefined) {
    throw usageError('no token came from standard input', 'Pipe it in, or give --token FILE.');
  }
  const text = from === '-' ? await terminal.input?.() : await readFile(from, 'utf8');
  const token = (text ?? '').trim();
  if (token !== '' && token.length <= 512 && !/\s/.test(token)) return token;
  throw usageError(`${from === '-' ? 'standard input' : from} does not hold one token`);
}

/** Whether a manager takes a token. Throws `unauthenticated`; that it may not see groups says nothing. */
async function check(manager: URL, token: string): Promise<void> {
  try {
    await makeClient({ manager, token }).call('groups.list', { query: { limit: 1 } });
  } catch (error) {
    if (!(error instanceof FleetError) || error.code !== 'insufficient_role') throw error;
  }
}

/** Writes the context down and takes it into use. */
async function keep(
  given: Given,
  terminal: Terminal,
  entry: Omit<ContextEntry, 'ca_pem'>,
): Promise<{ readonly name: string; readonly path: string }> {
  const host = new URL(entry.manager).host.replace(/[^A-Za-z0-9.-]+/g, '-').replace(/^-/, '');
  const name = contextNamed(given, terminal) ?? host;
  const read = ContextName.safeParse(name);
  if (!read.success) {
    throw usageError(`--context ${name}: ${read.error.issues[0]?.message ?? ''}`);
  }
  const config = await readConfig(terminal);
  const caFile = given.optional('ca-file') ?? terminal.env['BELLWETHER_CA_FILE'];
  const before = config.contexts[read.data];
  const known = before?.manager === entry.manager ? before.ca_pem : undefined;
  const ca = caFile === undefined ? known : await readFile(caFile, 'utf8');
  const path = await writeConfig(terminal, {
    ...config,
    current: read.data,
    contexts: {
      ...config.contexts,
      [read.data]: { ...entry, ...(ca === undefined ? {} : { ca_pem: ca }) },
    },
  });
  return { name: read.data, path };
}

async function signInForContext(given: Given, terminal: Terminal): Promise<void> {
  const { client, manager } = await connectAsNobody(given, terminal);
  const from = given.optional('token');
  if (from !== undefined) {
    const token = await givenToken(from, terminal);
    await check(manager, token);
    const { name, path } = await keep(given, terminal, { manager: manager.href, token });
    terminal.out(`using ${name}: ${manager.href}; the token is in ${path}\n`);
    return;
  }
  const made = await signIn(client, given, terminal);
  const { name, path } = await keep(given, terminal, {
    manager: manager.href,
    login: made.user.login,
    expires_at: made.session.expires_at,
    ...(made.token === null ? {} : { token: made.token }),
  });
  terminal.out(
    `signed in as ${made.user.login} until ${made.session.expires_at}\nusing ${name}: ${manager.href}; the session is in ${path}\n`,
  );
}

async function signInForFile(given: Given, terminal: Terminal, out: string): Promise<void> {
  const { client } = await connectAsNobody(given, terminal);
  const kept = await reserveSecretFile(out);
  const made = await signIn(client, given, terminal).catch(async (error: unknown) => {
    await kept.drop();
    throw error;
  });
  await kept.fill(`${made.token ?? ''}\n`);
  terminal.out(`signed in until ${made.session.expires_at}; the token is in ${out}\n`);
}

export const login: Command = {
  name: 'login',
  summary: 'sign in with a password, or keep an API token; writes a context and uses it',
  operands: ['[LOGIN]'],
  options: {
    token: { value: 'FILE|-', help: 'keep this API token; - reads it from standard input' },
    'password-file': { value: 'FILE', help: 'read the password here instead of asking for it' },
    code: {
      value: 'CODE',
      help: 'of the second factor, or a recovery code (else it is asked for)',
    },
    'token-out': { value: 'FILE', help: 'write the token here (mode 0600), and no context' },
    print: { help: 'print the token, and write no context' },
    ...MANAGER_OPTION,
  },
  notes: [
    'A session works for 8 hours. The context is called as --context says, else as the manager.',
  ],
  run: async (given, terminal) => {
    const isPerson = given.operand(0) !== '';
    if (isPerson === given.isSet('token')) {
      throw usageError('`login` needs a LOGIN, or --token', 'Give one of the two.');
    }
    const out = given.optional('token-out');
    if (out !== undefined) await signInForFile(given, terminal, out);
    else if (given.isSet('print') && isPerson) {
      const { client } = await connectAsNobody(given, terminal);
      const { token } = await signIn(client, given, terminal);
      terminal.out(`${token ?? ''}\n`);
    } else await signInForContext(given, terminal);
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
    await forget(given, terminal);
    terminal.out('signed out\n');
  },
};

/** Takes the ended session out of the context that it came from. */
async function forget(given: Given, terminal: Terminal): Promise<void> {
  if ((given.optional('token-file') ?? terminal.env['BELLWETHER_TOKEN']) !== undefined) return;
  const config = await readConfig(terminal);
  const name = contextNamed(given, terminal) ?? config.current ?? '';
  const entry = config.contexts[name];
  if (entry === undefined) return;
  const { token: _token, expires_at: _ends, ...rest } = entry;
  await writeConfig(terminal, { ...config, contexts: { ...config.contexts, [name]: rest } });
}

const factorText = ({ user, second_factor_missing: isMissing }: Answer<'session.show'>): string => {
  if (user.has_second_factor) return 'yes';
  return isMissing ? 'no: nothing can be done before there is one' : 'no';
};

export const whoami: Command = {
  name: 'whoami',
  summary: 'who is signed in, with which roles',
  operands: [],
  options: SHOW_OPTIONS,
  run: async (given, terminal) => {
    const client = await connect(given, terminal);
    await showOne(
      given,
      terminal,
      () => client.call('session.show'),
      (me) =>
        facts([
          ['login', me.user.login],
          ['name', me.user.name],
          ['second factor', factorText(me)],
          ...me.grants.map(({ role, group_id: group }): [string, string] => [
            'role',
            group === null ? role : `${role} on ${group}`,
          ]),
          ['until', me.session.expires_at],
        ]),
    );
  },
};
