import { FleetError } from '../../../core/kernel/index.js';

/** Where a page ended: the sort key of its last row. Ids break ties, so no row is met twice. */
export interface Cursor {
  readonly at: number;
  readonly id: string;
}

const badCursor = (): FleetError => {
  const message = 'give back `next_cursor` as it was';
  return new FleetError('invalid_request', `query.cursor: ${message}`, {
    context: { problems: [{ path: 'query.cursor', message }] },
  });
};

/** Reads what `pageFrom` wrote; undefined stands for the first page. Throws `invalid_request`. */
export function readCursor(text: string | undefined): Cursor | null {
  if (text === undefined) return null;
  const match = /^(\d{1,16})\.([a-z0-9_]{1,60})$/.exec(
    Buffer.from(text, 'base64url').toString('latin1'),
  );
  if (match?.[1] === undefined || match[2] === undefined) throw badCursor();
  return { at: Number(match[1]), id: match[2] };
}

/**
 * One page out of `limit + 1` rows: the extra row only tells whether there is a next page.
 */
export function pageFrom<Row, Item>(
  rows: readonly Row[],
  limit: number,
  keyOf: (row: Row) => Cursor,
  show: (row: Row) => Item,
): { items: Item[]; next_cursor: string | null } {
  const shown = rows.slice(0, limit);
  const last = rows.length > limit ? shown.at(-1) : undefined;
  const cursor = last === undefined ? null : keyOf(last);
  return {
    items: shown.map(show),
    next_cursor:
      cursor === null ? null : Buffer.from(`${cursor.at}.${cursor.id}`).toString('base64url'),
  };
}
