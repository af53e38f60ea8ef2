import { useQuery, type UseQueryResult } from '@tanstack/react-query';
import { useState } from 'react';
import { ApiProblem, type Answer, type Given } from '../../client/index.js';
import { api, keyOf } from './api.js';
import { isSame } from './same.js';

/** What can be edited by more than one person at once. */
type Edited = 'plans.show' | 'schedules.show';

/** One thing, with the tag of how it was read. */
export interface Read<T> {
  readonly thing: T;
  readonly etag: string;
}

/** Read when the form opens, and again whenever the tab comes back or a change was refused. */
export function useRead<N extends Edited>(name: N, id: string): UseQueryResult<Read<Answer<N>>> {
  const given = { params: { id } };
  return useQuery({
    queryKey: keyOf(name, { ...given, etag: true }),
    queryFn: async ({ signal }): Promise<Read<Answer<N>>> => {
      const { answer, etag } = await api.tagged(name, given as Given<N>, { signal });
      return { thing: answer, etag };
    },
    staleTime: 0,
    gcTime: 0,
  });
}

interface Edit<T, D> {
  /** As it was when this form was filled. */
  readonly before: T;
  /** The condition under which it is changed: that it still is so. */
  readonly ifMatch: string;
  readonly draft: D;
  readonly change: (part: Partial<D>) => void;
  /** Somebody changed it meanwhile; null: nobody did. */
  readonly conflict: Changed<T> | null;
}
export interface Changed<T> {
  readonly before: T;
  readonly now: T;
  /** What was typed here stays, the rest becomes as it is now. */
  readonly takeOver: () => void;
  /** As it is now; what was typed here is gone. */
  readonly beginAgain: () => void;
}

/** A form over one thing that others may change, too. `latest` is what `useRead` has. */
export function useEdit<T, D extends object>(
  latest: Read<T>,
  draftOf: (thing: T) => D,
): Edit<T, D> {
  const [base, setBase] = useState(latest);
  const [draft, setDraft] = useState(() => draftOf(latest.thing));
  const goOnWith = (next: D): void => {
    setDraft(next);
    setBase(latest);
  };
  const conflict: Changed<T> = {
    before: base.thing,
    now: latest.thing,
    takeOver: () => goOnWith(merged(draftOf(base.thing), draft, draftOf(latest.thing))),
    beginAgain: () => goOnWith(draftOf(latest.thing)),
  };
  return {
    before: base.thing,
    ifMatch: base.etag,
    draft,
    change: (part) => setDraft((old) => ({ ...old, ...part })),
    conflict: latest.etag === base.etag ? null : conflict,
  };
}

/** That it was changed is shown by what was changed, once that is here. */
export const besidesConflict = (error: Error | null): Error | null =>
  error instanceof ApiProblem && error.code === 'precondition_failed' ? null : error;

const merged = <D extends object>(before: D, mine: D, theirs: D): D =>
  Object.fromEntries(
    (Object.keys(theirs) as (keyof D)[]).map((name) => [
      name,
      isSame(before[name], mine[name]) ? theirs[name] : mine[name],
    ]),
  ) as D;
