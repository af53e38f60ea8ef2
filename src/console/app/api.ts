import {
  keepPreviousData,
  useInfiniteQuery,
  useMutation,
  useQuery,
  useQueryClient,
  type QueryClient,
  type QueryKey,
  type UseQueryResult,
} from '@tanstack/react-query';
import { useMemo, useRef } from 'react';
import {
  makeClient,
  type Answer,
  type CallArguments,
  type Client,
  type Given,
  type RouteAddresses,
  type RouteName,
} from '../../client/index.js';
import { csrf } from './csrf.js';

/** Put in by the build, from the route table of the same commit. */
declare const __ROUTES__: RouteAddresses;

/** The manager that this page came from. Its session is a cookie that no script can read. */
export const api: Client = makeClient({
  manager: new URL('/', location.href),
  routes: __ROUTES__,
  headers: (method): Readonly<Record<string, string>> =>
    method === 'GET' || csrf.value === null ? {} : { 'x-bellwether-csrf': csrf.value },
});

/** Under which name an answer is kept: whoever makes it stale names the route, or its first word. */
export const keyOf = (name: RouteName, given: unknown = {}): QueryKey => [
  name.slice(0, name.indexOf('.')),
  name,
  given,
];

interface Reading {
  /** False: not asked yet. */
  readonly enabled?: boolean;
  /** Asked again after so many milliseconds, for what no event tells. */
  readonly everyMs?: number;
  /** While the next answer is on its way, the last one stays. Default true. */
  readonly keep?: boolean;
}

/** An answer that stays fresh: events of the stream make it be asked for again. */
export function useApi<N extends RouteName>(
  name: N,
  given: Given<N>,
  { enabled = true, everyMs, keep = true }: Reading = {},
): UseQueryResult<Answer<N>> {
  const answer = useQuery({
    queryKey: keyOf(name, given),
    // Typed by the route, which the library cannot know: it only passes it on.
    queryFn: async ({ signal }): Promise<unknown> => api.call(name, given, { signal }),
    enabled,
    refetchInterval: everyMs ?? false,
    ...(keep ? { placeholderData: keepPreviousData } : {}),
  });
  return answer as UseQueryResult<Answer<N>>;
}

interface PageAnswer {
  readonly items: readonly unknown[];
  readonly next_cursor: string | null;
}
type PagedRoute = {
  [N in RouteName]: Answer<N> extends PageAnswer ? N : never;
}[RouteName];
type ItemOf<N extends PagedRoute> =
  Answer<N> extends { readonly items: readonly (infer T)[] } ? T : never;

/** A list as far as it was asked for; `more` brings the next page. */
export interface Listed<Item> {
  readonly items: readonly Item[];
  readonly hasMore: boolean;
  readonly isLoading: boolean;
  readonly isLoadingMore: boolean;
  readonly error: Error | null;
  readonly more: () => void;
  readonly again: () => void;
}

/** A list that comes in pages. */
export function useList<N extends PagedRoute>(
  name: N,
  given: Given<N>,
  { enabled = true }: Reading = {},
): Listed<ItemOf<N>> {
  const query = useInfiniteQuery({
    queryKey: keyOf(name, { ...given, pages: true }),
    queryFn: async ({ pageParam, signal }) => {
      const asked = { ...(given as { query?: object }).query };
      const whole = { ...given, query: { ...asked, cursor: pageParam ?? undefined } };
      return (await api.call(name, whole as Given<N>, { signal })) as unknown as PageAnswer;
    },
    initialPageParam: null as string | null,
    getNextPageParam: (last) => last.next_cursor,
    placeholderData: (last) => last,
    enabled,
  });
  const items = useMemo(
    () => (query.data?.pages ?? []).flatMap((page) => page.items) as ItemOf<N>[],
    [query.data],
  );
  return {
    items,
    hasMore: query.hasNextPage,
    isLoading: query.isPending && enabled,
    isLoadingMore: query.isFetchingNextPage,
    error: query.error,
    more: () => {
      if (query.hasNextPage && !query.isFetchingNextPage) void query.fetchNextPage();
    },
    again: () => void query.refetch(),
  };
}

/** What a call makes stale: first words of routes, such as `rollouts`. */
export const refresh = (client: QueryClient, ...subjects: readonly string[]): void => {
  for (const subject of subjects) void client.invalidateQueries({ queryKey: [subject] });
};

interface Calling {
  /** What it makes stale besides its own subject. */
  readonly stale?: readonly string[];
  /** Only when the thing is as it was read with this tag; see `useEdit`. */
  readonly ifMatch?: string;
}

const NEVER = new Promise<never>(() => undefined);

/**
 * A call that changes something. While it is under way it is not sent again, so a double click is one
 * click. Afterwards everything that begins with the same word, or with one of `stale`, is asked for anew.
 */
export function useCall<N extends RouteName>(
  name: N,
  { stale = [], ifMatch }: Calling = {},
): {
  readonly run: (...given: CallArguments<N>) => Promise<Answer<N>>;
  readonly isRunning: boolean;
  readonly error: Error | null;
  readonly reset: () => void;
} {
  const client = useQueryClient();
  // Two clicks come before anything is drawn: `isPending` alone would let the second one through.
  const isUnderWay = useRef(false);
  const mutation = useMutation({
    mutationFn: (given: Given<N>) =>
      api.call(name, given, ifMatch === undefined ? {} : { headers: { 'if-match': ifMatch } }),
    onSettled: () => refresh(client, name.slice(0, name.indexOf('.')), ...stale),
  });
  return {
    run: (...[given]) => {
      // What the second click would do afterwards, the first one does.
      if (isUnderWay.current) return NEVER;
      isUnderWay.current = true;
      return mutation.mutateAsync((given ?? {}) as Given<N>).finally(() => {
        isUnderWay.current = false;
      });
    },
    isRunning: mutation.isPending,
    error: mutation.error,
    reset: () => mutation.reset(),
  };
}
