import { useInfiniteQuery } from '@tanstack/react-query';
import { useEffect, useMemo, useRef } from 'react';
import type { Answer, Given } from '../../../client/index.js';
import { api, useApi, type Listed } from '../../app/api.js';

export type FleetNode = Answer<'nodes.show'>;
export type NodeWishes = Omit<
  NonNullable<Given<'nodes.list'>['query']>,
  'cursor' | 'limit' | 'total'
>;

const PAGE_ROWS = 200;
/** Fill the highest window, and are there sooner. */
const FIRST_ROWS = 80;
/** So many pages are asked for anew with each change; further down the reader asks. */
const LIVE_PAGES_MAX = 3;

/**
 * Nodes that fit, page by page, and how many there are. Rows do not wait for the count. Of 100 000 rows only
 * what was scrolled to is here; the first pages follow what happens, and who is far down is told.
 */
export function useNodeRows(wishes: NodeWishes): Listed<FleetNode> & {
  readonly total: number | null;
  /** The count changed or an event came since the rows were read. */
  readonly isOld: boolean;
} {
  const rows = useInfiniteQuery({
    // Not under `nodes`: a flood of events must not ask for all pages again each second.
    queryKey: ['node-rows', wishes],
    queryFn: async ({ pageParam, signal }) => {
      const limit = pageParam === null ? FIRST_ROWS : PAGE_ROWS;
      const query = { ...wishes, limit, cursor: pageParam ?? undefined };
      return await api.call('nodes.list', { query }, { signal });
    },
    initialPageParam: null as string | null,
    getNextPageParam: (last) => last.next_cursor,
    placeholderData: (last) => last,
  });
  // After the rows, in the order in which the manager is asked: whoever filters waits for rows.
  const counted = useApi('nodes.list', { query: { ...wishes, limit: 1, total: 'true' } });
  const pages = rows.data?.pages.length ?? 0;
  const heardAt = counted.dataUpdatedAt;
  const isOld = pages > LIVE_PAGES_MAX && heardAt > rows.dataUpdatedAt + 1_000;
  const { refetch } = rows;
  const asked = JSON.stringify(wishes);
  const heard = useRef({ asked: '', at: 0 });
  useEffect(() => {
    // The first count of these wishes is no news: their rows were asked for together with it.
    const isNews = heard.current.asked === asked && heard.current.at !== 0;
    heard.current = { asked, at: heardAt };
    if (isNews && pages > 0 && pages <= LIVE_PAGES_MAX) void refetch();
    // Only what was heard counts, not that pages came.
  }, [asked, heardAt]);
  const items = useMemo(() => (rows.data?.pages ?? []).flatMap((page) => page.items), [rows.data]);
  return {
    items,
    total: counted.isPlaceholderData ? null : (counted.data?.total ?? null),
    isOld,
    hasMore: rows.hasNextPage,
    isLoading: rows.isPending,
    isLoadingMore: rows.isFetchingNextPage,
    error: rows.error,
    more: () => {
      if (rows.hasNextPage && !rows.isFetching) void rows.fetchNextPage();
    },
    again: () => void refetch(),
  };
}
