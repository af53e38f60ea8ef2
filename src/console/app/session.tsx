import { useQuery, useQueryClient, type UseQueryResult } from '@tanstack/react-query';
import { createContext, useContext, useMemo, type ReactNode } from 'react';
import { decide, holdsAnywhere, type Grant, type Permission } from '../../core/access/index.js';
import { ApiProblem, type Answer, type Given } from '../../client/index.js';
import { api, keyOf } from './api.js';
import { csrf } from './csrf.js';

export type Me = Answer<'session.show'>;
export type Group = Answer<'groups.list'>['items'][number];

const MeContext = createContext<Me | null>(null);

/** Who is signed in; only under `WithSession`. */
export function useMe(): Me {
  const me = useContext(MeContext);
  if (me === null) throw new Error('nobody is signed in here');
  return me;
}

export type SessionState =
  | { readonly kind: 'asking' }
  | { readonly kind: 'nobody' }
  | { readonly kind: 'failed'; readonly error: Error; readonly again: () => void }
  | { readonly kind: 'somebody'; readonly me: Me };

/** Asks the manager who is signed in. */
export function useSession(): SessionState {
  const query = useQuery({
    queryKey: keyOf('session.show'),
    queryFn: async ({ signal }) => {
      try {
        const me = await api.call('session.show', {}, { signal });
        csrf.value = me.csrf;
        return me;
      } catch (error) {
        if (error instanceof ApiProblem && error.problem.status === 401) return null;
        throw error;
      }
    },
  });
  if (query.data !== undefined && query.data !== null) return { kind: 'somebody', me: query.data };
  if (query.data === null) return { kind: 'nobody' };
  if (query.error !== null)
    return { kind: 'failed', error: query.error, again: () => void query.refetch() };
  return { kind: 'asking' };
}

export const WithSession = ({ me, children }: { me: Me; children: ReactNode }): ReactNode => (
  <MeContext value={me}>{children}</MeContext>
);

/** Ends the session here and forgets everything that it was shown. */
export function useSignOut(): () => Promise<void> {
  const client = useQueryClient();
  return async () => {
    await api.call('session.sign_out', {}).catch(() => undefined);
    csrf.value = null;
    client.clear();
    location.assign('/');
  };
}

/** The most groups that one answer holds, and that are asked for: 40 answers. */
const GROUPS_PER_PAGE = 500;
const GROUPS_MAX = 20_000;

export interface Groups {
  readonly groups: readonly Group[];
  readonly nameOf: (id: string) => string;
  readonly pathOf: (id: string) => readonly string[];
}
const NO_GROUPS: readonly Group[] = [];

/** One look-up for each answer, however many parts of a page ask: there may be thousands of groups. */
const looked = new WeakMap<readonly Group[], Groups>();
function lookUp(groups: readonly Group[]): Groups {
  const known = looked.get(groups);
  if (known !== undefined) return known;
  const byId = new Map(groups.map((group) => [group.id, group]));
  const made: Groups = {
    groups,
    nameOf: (id) => byId.get(id)?.name ?? id,
    pathOf: (id) => pathIn(byId, id),
  };
  looked.set(groups, made);
  return made;
}

/** For a select: what a person reads is the name. */
export const choicesOf = (
  groups: readonly Pick<Group, 'id' | 'name'>[],
): { readonly value: string; readonly label: string }[] =>
  groups.map(({ id, name }) => ({ value: id, label: name }));

/** All groups that the caller may see, however many pages they come in. */
export const useGroupList = (): UseQueryResult<readonly Group[]> =>
  useQuery({
    queryKey: keyOf('groups.list', { all: true }),
    queryFn: async ({ signal }): Promise<readonly Group[]> => {
      const groups: Group[] = [];
      let cursor: string | null = null;
      do {
        const query: Given<'groups.list'>['query'] = {
          limit: GROUPS_PER_PAGE,
          ...(cursor === null ? {} : { cursor }),
        };
        const page: Answer<'groups.list'> = await api.call('groups.list', { query }, { signal });
        groups.push(...page.items);
        cursor = page.next_cursor;
      } while (cursor !== null && groups.length < GROUPS_MAX);
      return groups;
    },
  });

/** The groups that the caller may see, and each one's way down from the top. The same object until they change. */
export function useGroups(): Groups {
  const { data } = useGroupList();
  return lookUp(data ?? NO_GROUPS);
}

function pathIn(byId: ReadonlyMap<string, Group>, id: string): string[] {
  const path = [id];
  for (let at = byId.get(id); at?.parent_id != null && path.length < 32;) {
    path.unshift(at.parent_id);
    at = byId.get(at.parent_id);
  }
  return path;
}

/**
 * Whether the caller may do something: on a group, or anywhere at all. Controls that he may not use are not
 * shown; the manager decides again by the same rules, whatever is shown. The same function until rights change.
 */
export function useCan(): (permission: Permission, groupId?: string) => boolean {
  const me = useMe();
  const { pathOf } = useGroups();
  return useMemo(() => canOf(me, pathOf), [me, pathOf]);
}

function canOf(
  me: Me,
  pathOf: Groups['pathOf'],
): (permission: Permission, groupId?: string) => boolean {
  const grants = me.grants.map(({ role, group_id: groupId }) =>
    groupId === null ? { role } : { role, groupId },
  ) as readonly Grant[];
  return (permission, groupId) =>
    groupId === undefined
      ? holdsAnywhere(grants, permission)
      : decide(grants, permission, pathOf(groupId)).ok;
}
