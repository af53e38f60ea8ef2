import type { ReactNode } from 'react';
import { problemAt, TextField } from '../../ui/index.js';
import type { Drafting, PlanDraft } from './plan-draft.js';
import { firstAt } from './plan-scope.js';

interface Term {
  readonly key: {
    [K in keyof PlanDraft]: PlanDraft[K] extends string ? K : never;
  }[keyof PlanDraft];
  readonly path: string;
  readonly label: string;
  readonly hint: string;
  readonly type?: 'datetime-local';
}

const LIMIT = 'a number, or a share such as 10%; empty: any amount';
const TERMS: readonly Term[] = [
  {
    key: 'settleMinutes',
    path: 'settle_seconds',
    label: 'Watch each wave for, in minutes',
    hint: 'after its last node is done, before the next one opens',
  },
  {
    key: 'deadlineMinutes',
    path: 'node_deadline_seconds',
    label: 'A node is silent after, in minutes',
    hint: 'when it says nothing inside a wave',
  },
  {
    key: 'failures',
    path: 'tolerate.failures',
    label: 'Failed nodes tolerated in a wave',
    hint: LIMIT,
  },
  {
    key: 'offline',
    path: 'tolerate.offline',
    label: 'Nodes gone after their upgrade tolerated',
    hint: LIMIT,
  },
  { key: 'silent', path: 'tolerate.silent', label: 'Silent nodes tolerated', hint: LIMIT },
  {
    key: 'maxUnavailable',
    path: 'max_unavailable',
    label: 'Down at once, at most',
    hint: 'of the whole scope, whatever the cause; empty: no limit',
  },
  {
    key: 'spreadMinutes',
    path: 'spread_seconds',
    label: 'Spread swaps of a wave over, in minutes',
    hint: '0: as soon as each is ready',
  },
  {
    key: 'applyAfter',
    path: 'apply_after',
    label: 'Not before',
    hint: 'your local time; empty: at once',
    type: 'datetime-local',
  },
  {
    key: 'expiresHours',
    path: 'expires_after_seconds',
    label: 'Nodes that are away can catch up for, in hours',
    hint: 'empty: as long as the rollout is open',
  },
  {
    key: 'domainLabel',
    path: 'domain.label',
    label: 'Failure domain (label)',
    hint: 'such as rack or site; empty: none',
  },
  {
    key: 'domainMax',
    path: 'domain.max',
    label: 'Of one domain in one wave, at most',
    hint: 'a number, or a share such as 10%',
  },
  {
    key: 'strata',
    path: 'strata',
    label: 'First nodes cover these labels, too',
    hint: 'besides system, architecture and version; apart by commas',
  },
];

/** Terms with defaults that fit most; folded, and opened where something is wrong inside. */
export const TermFields = ({ draft, change, error, isStored = false }: Drafting): ReactNode => {
  const problemOf = ({ path }: Term): string | null =>
    problemAt(error, path) ?? firstAt(error, `${path}.`);
  const shown = TERMS.filter(({ key }) => !isStored || key !== 'applyAfter');
  const isWrong = shown.some((term) => problemOf(term) !== null);
  return (
    <details className="folded" open={isWrong || undefined}>
      <summary>Terms: what is tolerated, limits, times, failure domains</summary>
      <div className="fields">
        {shown.map((term) => (
          <TextField
            key={term.key}
            label={term.label}
            hint={term.hint}
            {...(term.type === undefined ? {} : { type: term.type })}
            value={draft[term.key]}
            onChange={(value) => change({ [term.key]: value })}
            error={problemOf(term)}
          />
        ))}
      </div>
    </details>
  );
};
