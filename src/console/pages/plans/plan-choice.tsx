import type { ReactNode } from 'react';
import { useApi } from '../../app/api.js';
import { Facts, problemAt, Select } from '../../ui/index.js';
import type { Drafting } from '../change/plan-draft.js';
import { useGroups } from '../../app/session.js';
import { howInWords, type Plan } from './plan-words.js';

const OWN = 'own';

/** By a stored plan, as it is, or by terms of its own. Not asked while there is no stored plan. */
export const PlanChoice = ({ draft, change, error }: Drafting): ReactNode => {
  const { data } = useApi(
    'plans.list',
    { query: { for_group_id: draft.groupId, limit: 500 } },
    { enabled: draft.groupId !== '' },
  );
  const plans = data?.items ?? [];
  const chosen = plans.find(({ id }) => id === draft.planId);
  if (plans.length === 0) return null;
  return (
    <div className="stack">
      <div className="fields">
        <Select
          label="Plan"
          value={chosen?.id ?? OWN}
          onChange={(id) => change({ planId: id === OWN ? '' : id })}
          choices={[
            { value: OWN, label: 'Terms of its own' },
            ...plans.map(({ id, name, note }) => ({
              value: id,
              label: name,
              ...(note === '' ? {} : { hint: note }),
            })),
          ]}
          error={problemAt(error, 'plan_id')}
        />
      </div>
      {chosen === undefined ? null : <Chosen plan={chosen} />}
    </div>
  );
};

const Chosen = ({ plan }: { readonly plan: Plan }): ReactNode => {
  const { nameOf } = useGroups();
  return (
    <Facts
      items={[
        ['How', howInWords(plan)],
        [
          'Of',
          <span key="of">
            <bdi>{nameOf(plan.group_id)}</bdi>, revision {plan.revision}; the rollout keeps it as it
            is now
          </span>,
        ],
        ...(plan.note === '' ? [] : [['Note', <bdi key="note">{plan.note}</bdi>] as const]),
      ]}
    />
  );
};
