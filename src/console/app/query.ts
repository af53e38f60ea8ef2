import { QueryCache, QueryClient } from '@tanstack/react-query';
import { ApiProblem, NoAnswer } from '../../client/index.js';
import { keyOf } from './api.js';

/** Refused for good: asking again would bring the same. */
const isFinal = (error: Error): boolean =>
  error instanceof ApiProblem && error.problem.status < 500 && error.code !== 'rate_limited';

/** What was answered, for all pages. One try more, where another may help. */
export function makeQueries(): QueryClient {
  const client: QueryClient = new QueryClient({
    queryCache: new QueryCache({
      onError: (error, query) => {
        // The session ended: ask who we are, and the page of the sign-in comes.
        const isOfSession = query.queryKey[1] === 'session.show';
        if (error instanceof ApiProblem && error.problem.status === 401 && !isOfSession) {
          void client.invalidateQueries({ queryKey: keyOf('session.show').slice(0, 2) });
        }
      },
    }),
    defaultOptions: {
      queries: {
        // Events of the stream say what became stale; without them an answer is good for half a minute.
        staleTime: 30_000,
        retry: (count, error) => !isFinal(error) && count < (error instanceof NoAnswer ? 3 : 1),
        retryDelay: (count) => Math.min(500 * 2 ** count, 5_000),
      },
    },
  });
  return client;
}
