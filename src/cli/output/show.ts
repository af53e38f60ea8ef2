import type { Given, OptionSpec } from '../command.js';
import type { Terminal } from '../terminal.js';
import { whole } from '../values.js';
import { table, type Block, type Column } from './blocks.js';
import { changesBetween, partsByColumns, partsByPath, type Change } from './changes.js';
import { FORMS, namesText, textForPrograms, type Form } from './forms.js';
import { lookOf, type Look } from './look.js';
import { render } from './render.js';
import { sorted } from './sorting.js';
import { watching } from './watching.js';

type Options = Readonly<Record<string, OptionSpec>>;

/** What every command that shows something takes. */
export const OUTPUT_OPTION: Options = {
  output: {
    short: 'o',
    value: 'FORM',
    words: FORMS,
    help: 'table (default), wide (all columns, exact times), json, yaml or name (ids only)',
  },
};

/** What commands take that show the state of one thing. */
export const OBJECT_OPTIONS: Options = {
  watch: { short: 'w', help: 'stay, and show it again whenever it changes' },
  ...OUTPUT_OPTION,
};

/** What commands take that show rows. */
export const ROWS_OPTIONS: Options = {
  sort: { value: 'COL,…', help: 'sort what was read by columns, such as name or name:desc' },
  columns: { value: 'COL,…', help: 'show these columns' },
  'no-headers': { help: 'leave the headings of the columns out' },
  ...OBJECT_OPTIONS,
};

export const formOf = (given: Given): Form =>
  (given.optional('output') as Form | undefined) ?? 'table';

const lookFor = (given: Given, terminal: Terminal): Look =>
  lookOf(terminal, {
    isWide: formOf(given) === 'wide',
    hasHeadings: !given.isSet('no-headers'),
    columns: given.optional('columns')?.split(',') ?? null,
  });

type ForPeople<T> = (result: T) => Block | readonly Block[];

/** Shows a result in the form that was asked for; `forPeople` says it in tables and words. */
export function show<T>(
  given: Given,
  terminal: Terminal,
  result: T,
  forPeople: ForPeople<T>,
): void {
  terminal.out(textOf(given, terminal, result, forPeople));
}

const textOf = <T>(given: Given, terminal: Terminal, result: T, forPeople: ForPeople<T>): string =>
  textForPrograms(formOf(given), result) ?? render(forPeople(result), lookFor(given, terminal));

const idOf = (item: unknown): string => namesText(item).trimEnd();

/** Shows one thing as it is now; with `--watch` again whenever it changes. */
export async function showOne<T>(
  given: Given,
  terminal: Terminal,
  load: () => Promise<T>,
  forPeople: ForPeople<T>,
): Promise<void> {
  if (!given.isSet('watch')) {
    show(given, terminal, await load(), forPeople);
    return;
  }
  const name = given.operand(0) || given.name;
  await watching(
    {
      form: formOf(given),
      load,
      textOf: (result) => textOf(given, terminal, result, forPeople),
      changesBetween: (before, after) =>
        changesBetween([before], [after], { idOf: () => name, partsOf: partsByPath }),
    },
    terminal,
  );
}

const Limit = whole(1, 100_000);
const PAGE_MAX = 500;

export type PageOf<Item> = (query: { limit: number; cursor?: string }) => Promise<{
  items: readonly Item[];
  next_cursor: string | null;
}>;

interface Found<Item> {
  readonly items: readonly Item[];
  /** Whether there would have been others, so that a cut list can say so. */
  readonly more: boolean;
}

/** Reads pages until `--limit` rows are there. */
async function collect<Item>(given: Given, page: PageOf<Item>, rows = 50): Promise<Found<Item>> {
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
const moreLine = (more: boolean): Block =>
  more ? '(there are more: give a larger --limit)\n' : '';

interface Rows<Item> {
  readonly columns: readonly Column<Item>[];
  readonly whenEmpty: string;
}

/** Shows a list that the manager gives in pages, up to `--limit` rows of it. */
export async function showList<Item>(
  given: Given,
  terminal: Terminal,
  list: Rows<Item> & {
    readonly page: PageOf<Item>;
    /** Shown when no `--limit` says otherwise. */
    readonly rows?: number;
  },
): Promise<void> {
  await showRows(given, terminal, {
    ...list,
    load: () => collect(given, list.page, list.rows),
    after: ({ more }) => moreLine(more),
  });
}

/** Shows a list that comes as a whole; `after` is what stands below it. */
export async function showRows<Item, T extends { readonly items: readonly Item[] }>(
  given: Given,
  terminal: Terminal,
  list: Rows<Item> & {
    load(): Promise<T>;
    readonly after?: (result: T) => Block;
  },
): Promise<void> {
  const { columns } = list;
  // What is wrong with them is told before anything is asked for.
  const inOrder = (items: readonly Item[]) => sorted(items, columns, given.optional('sort'));
  inOrder([]);
  const blocks = (result: T): readonly Block[] => [
    table(result.items, columns, list.whenEmpty),
    list.after?.(result) ?? '',
  ];
  render(table([], columns, ''), lookFor(given, terminal));
  const load = async (): Promise<T> => {
    const result = await list.load();
    return { ...result, items: inOrder(result.items) };
  };
  if (!given.isSet('watch')) {
    show(given, terminal, await load(), blocks);
    return;
  }
  const how = { idOf, partsOf: partsByColumns(columns) };
  await watching(
    {
      form: formOf(given),
      load,
      textOf: (result) => textOf(given, terminal, result, blocks),
      changesBetween: (before, after): readonly Change<unknown>[] =>
        changesBetween(before.items, after.items, how),
    },
    terminal,
  );
}
