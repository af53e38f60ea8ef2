import { useState, type ReactNode } from 'react';
import { ApiProblem } from '../../../client/index.js';
import { useCall } from '../../app/api.js';
import { besidesConflict, useEdit, useRead, type Read } from '../../app/edit.js';
import { isSame } from '../../app/same.js';
import { choicesOf } from '../../app/session.js';
import {
  Conflict,
  counted,
  Dialog,
  FormDialog,
  Loaded,
  problemAt,
  say,
  Select,
  TextField,
} from '../../ui/index.js';
import { EMPTY, termsOf, type PlanDraft } from '../change/plan-draft.js';
import { PlanFields } from '../change/plan-fields.js';
import { planDifferences } from './differences.js';
import { planDrafted, termsAfter } from './plan-drafted.js';
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

interface Named {
  readonly name: string;
  readonly note: string;
}

/** What people call it, and choose it by. */
const NameFields = ({
  draft,
  change,
  error,
  children,
}: {
  readonly draft: Named;
  readonly change: (part: Partial<Named>) => void;
  readonly error: Error | null;
  readonly children?: ReactNode;
}): ReactNode => (
  <>
    <div className="fields">
      <TextField
        label="Name"
        value={draft.name}
        onChange={(name) => change({ name })}
        error={problemAt(error, 'name')}
        maxLength={128}
        autoFocus
        isRequired
      />
      {children}
    </div>
    <TextField
      label="Note"
      hint="for those who choose"
      value={draft.note}
      onChange={(note) => change({ note })}
      maxLength={500}
      error={problemAt(error, 'note')}
    />
  </>
);

/** A new plan, whole. */
export const NewPlan = ({
  groups,
  onClose,
}: {
  readonly groups: Groups;
  readonly onClose: () => void;
}): ReactNode => {
  const create = useCall('plans.create', { stale: ['audit'] });
  const [named, setNamed] = useState<Named>({ name: '', note: '' });
  const [groupId, setGroupId] = useState(groups[0]?.id ?? '');
  const [draft, setDraft] = useState<PlanDraft>(EMPTY);
  const change = (part: Partial<PlanDraft>): void => setDraft((before) => ({ ...before, ...part }));
  const error = withinTerms(create.error);
  const name = named.name.trim();
  return (
    <FormDialog
      title="New plan"
      verb="Store plan"
      wide
      isReady={name !== ''}
      isBusy={create.isRunning}
      error={create.error}
      onSubmit={async () => {
        const body = { name, note: named.note, group_id: groupId, terms: termsOf(draft) };
        const made = await create.run({ body });
        say(`The plan ${made.name} is stored.`);
        onClose();
      }}
      onClose={onClose}
    >
      <NameFields
        draft={named}
        change={(part) => setNamed((before) => ({ ...before, ...part }))}
        error={error}
      >
        <Select
          label="Group"
          hint="rollouts of it, and of all below, can go by this plan"
          value={groupId}
          onChange={setGroupId}
          choices={choicesOf(groups)}
          error={problemAt(error, 'group_id')}
        />
      </NameFields>
      <PlanFields draft={draft} change={change} error={error} groups={groups} isStored />
    </FormDialog>
  );
};

interface Editing {
  readonly id: string;
  readonly groups: Groups;
  readonly onClose: () => void;
}

/** A plan that is there, whole: as it is now, not as a list had it. */
export const EditPlan = (given: Editing): ReactNode => {
  const read = useRead('plans.show', given.id);
  if (read.data !== undefined) return <EditRead {...given} latest={read.data} />;
  return (
    <Dialog title="Edit plan" isOpen wide onClose={given.onClose}>
      <Loaded query={read} lines={8}>
        {() => null}
      </Loaded>
    </Dialog>
  );
};

const draftOf = ({ name, note, terms }: Plan): PlanDraft & Named => ({
  ...planDrafted(terms),
  ...{ name, note },
});

/** Only what is not as it was. */
function changesOf(before: Plan, draft: PlanDraft & Named) {
  const name = draft.name.trim();
  const note = draft.note.trim();
  const terms = termsAfter(before.terms, draft);
  return {
    ...(name === before.name ? {} : { name }),
    ...(note === before.note ? {} : { note }),
    ...(isSame(terms, before.terms) ? {} : { terms }),
  };
}

const EditRead = ({
  id,
  groups,
  latest,
  onClose,
}: Editing & { readonly latest: Read<Plan> }): ReactNode => {
  const { before, ifMatch, draft, change, conflict } = useEdit(latest, draftOf);
  const call = useCall('plans.change', { stale: ['audit', 'schedules'], ifMatch });
  const refused = besidesConflict(call.error);
  const error = withinTerms(refused);
  const body = changesOf(before, draft);
  return (
    <FormDialog
      title={`Edit ${before.name}`}
      verb="Save plan"
      wide
      isReady={conflict === null && draft.name.trim() !== '' && Object.keys(body).length > 0}
      isBusy={call.isRunning}
      error={refused}
      onSubmit={async () => {
        const { name, revision } = await call.run({ params: { id }, body });
        say(`The plan ${name} is saved, revision ${revision}.`);
        onClose();
      }}
      onClose={onClose}
    >
      <NameFields draft={draft} change={change} error={error} />
      <PlanFields draft={draft} change={change} error={error} groups={groups} isStored />
      <p className="soft">
        Rollouts keep the terms that they were made with. {scheduled(before.schedules)}
      </p>
      {conflict === null ? null : (
        <Conflict
          by={conflict.now.updated_by}
          at={conflict.now.updated_at}
          differences={planDifferences(conflict.before, conflict.now)}
          onTakeOver={conflict.takeOver}
          onBeginAgain={conflict.beginAgain}
        />
      )}
    </FormDialog>
  );
};

const scheduled = (schedules: number): string =>
  schedules === 0
    ? 'No schedule uses this plan.'
    : `${counted(schedules, 'schedule')} will start rollouts by the new ones.`;
