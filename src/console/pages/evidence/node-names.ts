import { useQuery } from '@tanstack/react-query';
import { useCallback } from 'react';
import { api } from '../../app/api.js';

/** One page of nodes: a larger fleet shows ids, whose links lead to the names. */
const NAMES_MAX = 500;
const FRESH_MS = 5 * 60_000;

/** Names of nodes for a log, asked for once in a while: whatever happens there does not change them. */
export function useNodeNames(): (id: string) => string {
  const { data } = useQuery({
    queryKey: ['node-names'],
    queryFn: async ({ signal }) => {
      const { items } = await api.call('nodes.list', { query: { limit: NAMES_MAX } }, { signal });
      return new Map(items.map(({ id, name }) => [id, name]));
    },
    staleTime: FRESH_MS,
    retry: false,
  });
  return useCallback((id) => data?.get(id) ?? id, [data]);
}
