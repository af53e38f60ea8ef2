/** One page of a list, as every list route answers. */
export interface PageOf<Item> {
  readonly items: readonly Item[];
  readonly next_cursor: string | null;
}

/**
 * All items of a list, page by page, in the order of the manager; `limit` items at most. Asks for a page
 * when the one before was used up.
 */
export async function* itemsOf<Item>(
  page: (cursor: string | undefined) => Promise<PageOf<Item>>,
  limit = Infinity,
): AsyncGenerator<Item, void> {
  let cursor: string | undefined;
  let given = 0;
  do {
    const { items, next_cursor: next } = await page(cursor);
    for (const item of items) {
      if (given >= limit) return;
      given += 1;
      yield item;
    }
    cursor = next ?? undefined;
  } while (cursor !== undefined);
}
