import { CircleAlert } from 'lucide-react';
import type { ReactNode } from 'react';
import { ApiProblem } from '../../client/index.js';
import { Button } from './button.js';

/** What went wrong, why, and what to do: each refusal of the manager says so itself. */
export const Problem = ({
  error,
  again,
}: {
  readonly error: Error;
  readonly again?: () => void;
}): ReactNode => {
  const problem = error instanceof ApiProblem ? error.problem : null;
  return (
    <div className="problem" role="alert">
      <CircleAlert aria-hidden />
      <div className="stack-tight grow">
        <strong>{problem?.detail ?? error.message}</strong>
        {problem === null ? null : <span>{problem.fix}</span>}
        {problem?.problems === undefined ? null : (
          <ul className="small">
            {problem.problems.map((one) => (
              <li key={`${one.path} ${one.message}`}>
                <code>{one.path}</code> {one.message}
              </li>
            ))}
          </ul>
        )}
        {problem === null ? null : (
          <span className="soft small">
            <a href={`/docs/errors#${problem.code}`}>
              <code>{problem.code}</code>
            </a>{' '}
            · request <code>{problem.request_id}</code>
          </span>
        )}
      </div>
      {again === undefined ? null : <Button onPress={again}>Try again</Button>}
    </div>
  );
};

/** What a field was refused for, by its path in the body; null when it was not. */
export const problemAt = (error: Error | null, path: string): string | null =>
  error instanceof ApiProblem
    ? (error.problem.problems?.find((one) => one.path === path || one.path === `body.${path}`)
        ?.message ?? null)
    : null;
