import { readFile } from 'node:fs/promises';
import { FleetError } from '../core/kernel/index.js';
import { makeClient, type Client } from './client.js';
import { usageError, type Given, type OptionSpec } from './command.js';
import { CONTEXT_OPTION, readContext, type Context } from './context/index.js';
import { OBJECT_OPTIONS, ROWS_OPTIONS } from './output/index.js';
import type { Terminal } from './terminal.js';
import { trustOnly } from './trust.js';

export { OUTPUT_OPTION, show, showList, showOne, showRows } from './output/index.js';

type Options = Readonly<Record<string, OptionSpec>>;

/** Which manager is meant. */
export const MANAGER_OPTION: Options = {
  manager: {
    value: 'URL',
    help: 'the manager (or BELLWETHER_MANAGER; else the context; else http://127.0.0.1:8480)',
  },
  'ca-file': {
    value: 'FILE',
    help: 'whom to trust there, in PEM, and nobody else (or BELLWETHER_CA_FILE)',
  },
  ...CONTEXT_OPTION,
};

/** What every command that talks to a manager takes. */
export const MANAGER_OPTIONS: Options = {
  ...MANAGER_OPTION,
  'token-file': {
    value: 'FILE',
    help: 'file with an API token (or BELLWETHER_TOKEN; else that of the context)',
  },
};

/** What every command takes that shows one thing of a manager. */
export const SHOW_OPTIONS: Options = { ...MANAGER_OPTIONS, ...OBJECT_OPTIONS };

/** What every list takes that comes as a whole. */
export const ITEMS_OPTIONS: Options = { ...MANAGER_OPTIONS, ...ROWS_OPTIONS };

/** What every list takes. */
export const LIST_OPTIONS: Options = {
  limit: { value: 'N', help: 'rows at most (default 50)' },
  ...ITEMS_OPTIONS,
};

const DEFAULT_MANAGER = 'http://127.0.0.1:8480';
const LOOPBACK = new Set(['127.0.0.1', '[::1]', 'localhost']);

function parsedUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : null;
  const isPlain = url !== null && `${url.username}${url.password}${url.search}${url.hash}` === '';
  if (!isPlain || (url.protocol !== 'http:' && url.protocol !== 'https:')) {
    throw usageError('the manager is given as http://host:port or https://host:port');
  }
  return url;
}

/** Where the manager is, and the context that says so or holds the token for it. */
interface Place {
  readonly manager: URL;
  /** Null when there is none, or when it is of another manager: its token must not go there. */
  readonly context: Context | null;
}

/** Options hold before the environment, that before the context. */
async function placeOf(given: Given, terminal: Terminal, mayBeNew = false): Promise<Place> {
  const context = await readContext(given, terminal, mayBeNew);
  const said = given.optional('manager') ?? terminal.env['BELLWETHER_MANAGER'];
  const manager = parsedUrl(said ?? context?.manager ?? DEFAULT_MANAGER);
  if (manager.protocol === 'http:' && !LOOPBACK.has(manager.hostname)) {
    terminal.err(
      `note: ${manager.host} is reached without TLS; the token can be read on the way\n`,
    );
  }
  const isOf = context !== null && parsedUrl(context.manager).href === manager.href;
  return { manager, context: isOf ? context : null };
}

/** Whom to trust: the option, else the environment, else the context; left out, whom Node trusts. */
async function trust(given: Given, terminal: Terminal, context: Context | null): Promise<void> {
  const file = given.optional('ca-file') ?? terminal.env['BELLWETHER_CA_FILE'];
  const pem = file === undefined ? context?.ca_pem : await readFile(file, 'utf8');
  if (pem === undefined) return;
  if (!pem.includes('-----BEGIN CERTIFICATE-----')) {
    throw usageError(`${file ?? 'the context'} holds no certificate in PEM`);
  }
  trustOnly(pem);
}

/** A client without a credential, for those who have none yet. Throws `cli_usage`. */
export async function connectAsNobody(
  given: Given,
  terminal: Terminal,
): Promise<{ readonly client: Client; readonly manager: URL }> {
  const { manager, context } = await placeOf(given, terminal, true);
  await trust(given, terminal, context);
  return { client: makeClient({ manager, token: null }), manager };
}

const HOW_TO_SIGN_IN =
  'Sign in with `bellwether login`, give --token-file FILE, or set BELLWETHER_TOKEN.';

async function tokenOf(given: Given, terminal: Terminal, context: Context | null): Promise<string> {
  const file = given.optional('token-file');
  const said = file === undefined ? terminal.env['BELLWETHER_TOKEN'] : await readFile(file, 'utf8');
  const token = (said ?? context?.token ?? '').trim();
  if (token === '' || /\s/.test(token)) {
    throw usageError(
      file === undefined ? 'no token was given' : `${file} does not hold one token`,
      HOW_TO_SIGN_IN,
    );
  }
  const ends = said === undefined ? context?.expires_at : null;
  if (ends !== null && ends !== undefined && Date.parse(ends) <= terminal.now()) {
    throw new FleetError(
      'unauthenticated',
      `the session of context ${context?.name ?? ''} has ended`,
      {
        context: { fix: 'Sign in again with `bellwether login`.' },
      },
    );
  }
  return token;
}

/** A client with the token of the caller. Throws `cli_usage` when there is none. */
export async function connect(given: Given, terminal: Terminal): Promise<Client> {
  const { manager, context } = await placeOf(given, terminal);
  const token = await tokenOf(given, terminal, context);
  await trust(given, terminal, context);
  return makeClient({ manager, token });
}
