import type { Column } from './blocks.js';

/** What became of one thing between two looks. */
export interface Change<Item> {
  readonly change: 'added' | 'changed' | 'gone';
  readonly id: string;
  /** As it is now; as it was, when it is gone. */
  readonly item: Item;
  /** `status: online → offline`, one for each part that is told. */
  readonly words: readonly string[];
}

/** How one thing is told in parts. */
export type PartsOf<Item> = (item: Item) => ReadonlyMap<string, string>;

/** Parts of a row: what its columns show, but not how long ago something was. */
export const partsByColumns =
  <Row>(columns: readonly Column<Row>[]): PartsOf<Row> =>
  (row) =>
    new Map(
      columns
        .filter(([, , kind]) => kind !== 'time' && kind !== 'wide-time')
        .map(([heading, show]) => [heading, String(show(row) ?? '-')]),
    );

/** Of these only the time changes, all the time. */
const RESTLESS = /(^|\.)(last_seen_at|updated_at|used_at|last_used_at|seconds)$/;

const leafText = (value: unknown): string => {
  if (value === null || value === undefined) return '-';
  return typeof value === 'string' ? value : JSON.stringify(value);
};

/** Parts of anything: each leaf by its path. */
export function partsByPath(item: unknown): ReadonlyMap<string, string> {
  const parts = new Map<string, string>();
  const walk = (value: unknown, path: string): void => {
    if (typeof value === 'object' && value !== null) {
      for (const [key, part] of Object.entries(value))
        walk(part, path === '' ? key : `${path}.${key}`);
    } else if (!RESTLESS.test(path)) {
      parts.set(path, leafText(value));
    }
  };
  walk(item, '');
  return parts;
}

function wordsBetween(
  before: ReadonlyMap<string, string>,
  after: ReadonlyMap<string, string>,
): string[] {
  const names = new Set([...before.keys(), ...after.keys()]);
  return [...names].flatMap((name) => {
    const [was, is] = [before.get(name) ?? '-', after.get(name) ?? '-'];
    return was === is ? [] : [`${name}: ${was} → ${is}`];
  });
}

/** What changed between two looks at a list, in the order of the second; what is gone comes last. */
export function changesBetween<Item>(
  before: readonly Item[],
  after: readonly Item[],
  how: { readonly idOf: (item: Item) => string; readonly partsOf: PartsOf<Item> },
): Change<Item>[] {
  const old = new Map(before.map((item) => [how.idOf(item), item]));
  const changes: Change<Item>[] = [];
  for (const item of after) {
    const id = how.idOf(item);
    const was = old.get(id);
    old.delete(id);
    if (was === undefined) changes.push({ change: 'added', id, item, words: [] });
    else {
      const words = wordsBetween(how.partsOf(was), how.partsOf(item));
      if (words.length > 0) changes.push({ change: 'changed', id, item, words });
    }
  }
  for (const [id, item] of old) changes.push({ change: 'gone', id, item, words: [] });
  return changes;
}
