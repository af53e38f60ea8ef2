import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { makeClient, type Client } from './client.js';
import { usageError, type Given, type OptionSpec } from './command.js';
import { table, type Column } from './table.js';
import type { Terminal } from './terminal.js';
import { whole } from './values.js';

/** Which manager is meant. */
export const MANAGER_OPTION: Readonly<Record<string, OptionSpec>> = {
  manager: {
    value: 'URL',
    help: 'the manager (or BELLWETHER_MANAGER; else http://127.0.0.1:8480)',
  },
};

/** What every command that talks to a manager takes. */
export const MANAGER_OPTIONS: Readonly<Record<string, OptionSpec>> = {
  ...MANAGER_OPTION,
  'token-file': { value: 'FILE', help: 'file with an API token (or BELLWETHER_TOKEN)' },
};

/** What every command that shows something takes. */
export const OUTPUT_OPTION: Readonly<Record<string, OptionSpec>> = {
  output: { short: 'o', value: 'FORM', help: 'table for people (default) or json for programs' },
};

const DEFAULT_MANAGER = 'http://127.0.0.1:8480';
const LOOPBACK = new Set(['127.0.0.1', '[::1]', 'localhost']);

/** The manager that is meant, without a credential. Throws `cli_usage`. */
export function managerUrl(given: Given, terminal: Terminal): URL {
  const text = given.optional('manager') ?? terminal.env['BELLWETHER_MANAGER'] ?? DEFAULT_MANAGER;
  const url = URL.canParse(text) ? new URL(text) : null;
  const isPlain = url !== null && `${url.username}${url.password}${url.search}${url.hash}` === '';
  if (!isPlain || (url.protocol !== 'http:' && url.protocol !== 'https:')) {
    throw usageError('the manager is given as http://host:port or https://host:port');
  }
  if (url.protocol === 'http:' && !LOOPBACK.has(url.hostname)) {
    terminal.err(`note: ${url.host} is reached without TLS; the token can be read on the way\n`);
  }
  return url;
}

/** A client with the token of the caller. Throws `cli_usage` when there is none. */
export async function connect(given: Given, terminal: Terminal): Promise<Client> {
  const file = given.optional('token-file');
  const text = file === undefined ? terminal.env['BELLWETHER_TOKEN'] : await readFile(file, 'utf8');
  const token = text?.trim() ?? '';
  if (token === '' || /\s/.test(token)) {
    throw usageError(
      file === undefined ? 'no token was given' : `${file} does not hold one token`,
      'Give --token-file FILE, or set BELLWETHER_TOKEN.',
    );
  }
  return makeClient({ manager: managerUrl(given, terminal), token });
}

const Form = z.enum(['table', 'json'], { error: 'take table or json' });

/** Shows a result: JSON with `-o json`, else what `forPeople` makes of it. */
export function show<T>(
  given: Given,
  terminal: Terminal,
  result: T,
  forPeople: (result: T) => string,
): void {
  const form = given.read('output', Form) ?? 'table';
  terminal.out(form === 'json' ? `${JSON.stringify(result, null, 2)}\n` : forPeople(result));
}

const Limit = whole(1, 100_000);
const PAGE_MAX = 500;

type PageOf<Item> = (query: { limit: number; cursor?: string }) => Promise<{
  items: readonly Item[];
  next_cursor: string | null;
}>;

/**
 * Reads pages until `--limit` rows are there. `more` tells whether there would have been others, so
 * that a cut list can say so.
 */
async function collect<Item>(
  given: Given,
  page: PageOf<Item>,
  rows = 50,
): Promise<{ items: Item[]; more: boolean }> {
  const limit = given.read('limit', Limit) ?? rows;
  const items: Item[] = [];
  let cursor: string | null = null;
  do {
    const wanted = Math.min(PAGE_MAX, limit - items.length);
    const answer = await page({ limit: wanted, ...(cursor === null ? {} : { cursor }) });
    items.push(...answer.items);
    cursor = answer.next_cursor;
  } while (cursor !== null && items.length < limit);
  return { items, more: cursor !== null };
}

/** The last line of a list that was cut. */
const moreLine = (more: boolean): string =>
  more ? '(there are more: give a larger --limit)\n' : '';

/** What every list takes. */
export const LIST_OPTIONS: Readonly<Record<string, OptionSpec>> = {
  limit: { value: 'N', help: 'rows at most (default 50)' },
  ...MANAGER_OPTIONS,
  ...OUTPUT_OPTION,
};

/** Shows a list that the manager gives in pages, up to `--limit` rows of it. */
export async function showList<Item>(
  given: Given,
  terminal: Terminal,
  list: {
    readonly page: PageOf<Item>;
    readonly columns: readonly Column<Item>[];
    readonly whenEmpty: string;
    /** Shown when no `--limit` says otherwise. */
    readonly rows?: number;
  },
): Promise<void> {
  const found = await collect(given, list.page, list.rows);
  show(
    given,
    terminal,
    found,
    ({ items, more }) => table(items, list.columns, list.whenEmpty) + moreLine(more),
  );
}
