import { useState, type ReactNode } from 'react';
import { ApiProblem } from '../../../client/index.js';
import { useCall } from '../../app/api.js';
import { choicesOf } from '../../app/session.js';
import { FormDialog, problemAt, say, Select, TextField } from '../../ui/index.js';
import { EMPTY, termsOf, type PlanDraft } from '../change/plan-draft.js';
import { PlanFields } from '../change/plan-fields.js';
import type { Plan } from './plan-words.js';

type Groups = readonly { readonly id: string; readonly name: string }[];

/** The same refusal with places as the fields know them: without what is around the terms. */
function withinTerms(error: Error | null): Error | null {
  if (!(error instanceof ApiProblem)) return error;
  const problems = error.problem.problems?.map((one) => ({
    ...one,
    path: one.path.replace(/^(body\.)?terms\./, ''),
  }));
  return new ApiProblem({ ...error.problem, ...(problems === undefined ? {} : { problems }) });
}

/** A new plan, whole. */
export const NewPlan = ({
  groups,
  onClose,
}: {
  readonly groups: Groups;
  readonly onClose: () => void;
}): ReactNode => {
  const create = useCall('plans.create', { stale: ['audit'] });
  const [name, setName] = useState('');
  const [note, setNote] = useState('');
  const [groupId, setGroupId] = useState(groups[0]?.id ?? '');
  const [draft, setDraft] = useState<PlanDraft>(EMPTY);
  const change = (part: Partial<PlanDraft>): void => setDraft((before) => ({ ...before, ...part }));
  const error = withinTerms(create.error);
  return (
    <FormDialog
      title="New plan"
      verb="Store plan"
      wide
      isReady={name.trim() !== ''}
      isBusy={create.isRunning}
      error={create.error}
      onSubmit={async () => {
        const body = { name: name.trim(), note, group_id: groupId, terms: termsOf(draft) };
        const made = await create.run({ body });
        say(`The plan ${made.name} is stored.`);
        onClose();
      }}
      onClose={onClose}
    >
      <div className="fields">
        <TextField
          label="Name"
          value={name}
          onChange={setName}
          error={problemAt(error, 'name')}
          maxLength={128}
          autoFocus
          isRequired
        />
        <Select
          label="Group"
          hint="rollouts of it, and of all below, can go by this plan"
          value={groupId}
          onChange={setGroupId}
          choices={choicesOf(groups)}
          error={problemAt(error, 'group_id')}
        />
        <TextField
          label="Note"
          hint="for those who choose"
          value={note}
          onChange={setNote}
          maxLength={500}
          error={problemAt(error, 'note')}
        />
      </div>
      <PlanFields draft={draft} change={change} error={error} groups={groups} isStored />
    </FormDialog>
  );
};

/** Name and note; another way to go is another plan, or the command line's to say. */
export const RenamePlan = ({
  plan,
  onClose,
}: {
  readonly plan: Plan;
  readonly onClose: () => void;
}): ReactNode => {
  const change = useCall('plans.change', { stale: ['audit', 'schedules'] });
  const [name, setName] = useState(plan.name);
  const [note, setNote] = useState(plan.note);
  return (
    <FormDialog
      title={`Rename ${plan.name}`}
      verb="Rename"
      isReady={name.trim() !== ''}
      isBusy={change.isRunning}
      error={change.error}
      onSubmit={async () => {
        await change.run({ params: { id: plan.id }, body: { name: name.trim(), note } });
        say('The plan is renamed.');
        onClose();
      }}
      onClose={onClose}
    >
      <TextField
        label="Name"
        value={name}
        onChange={setName}
        error={problemAt(change.error, 'name')}
        maxLength={128}
        autoFocus
        isRequired
      />
      <TextField
        label="Note"
        hint="for those who choose"
        value={note}
        onChange={setNote}
        error={problemAt(change.error, 'note')}
        maxLength={500}
      />
      <p className="soft">
        Its terms are changed by <code>bellwether plans update</code> or{' '}
        <code>bellwether apply</code>. Rollouts keep those that they were made with.
      </p>
    </FormDialog>
  );
};
