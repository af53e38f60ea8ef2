import { useState, type ReactNode } from 'react';
import { useApi, useCall } from '../../app/api.js';
import { besidesConflict, useEdit, useRead, type Read } from '../../app/edit.js';
import { isSame } from '../../app/same.js';
import { choicesOf, useGroups } from '../../app/session.js';
import {
  Conflict,
  Dialog,
  FormDialog,
  Loaded,
  Note,
  problemAt,
  say,
  Select,
  Switch,
  TextField,
} from '../../ui/index.js';
import { windowDraft, windowOf, type Channel, type WindowDraft } from '../change/plan-draft.js';
import { WindowFields } from '../change/plan-part.js';
import { scheduleDifferences } from './differences.js';
import { windowDrafted } from './plan-drafted.js';
import type { Schedule } from './plan-words.js';

const CHANNELS: readonly { readonly value: Channel; readonly label: string }[] = [
  { value: 'stable', label: 'stable' },
  { value: 'beta', label: 'beta' },
  { value: 'dev', label: 'dev' },
];
const BUSY = [
  { value: 'wait', label: 'Wait until it is over' },
  { value: 'supersede', label: 'Cancel it, when it is of this group' },
] as const;
const FROM = [
  { value: 'next', label: 'The next release that comes' },
  { value: 'current', label: 'What is on the channel now' },
] as const;

type Groups = readonly { readonly id: string; readonly name: string }[];

/** What can be said anew of a schedule that is there. */
interface Terms {
  readonly name: string;
  readonly planId: string;
  readonly window: WindowDraft | null;
  readonly whenBusy: (typeof BUSY)[number]['value'];
}
/** What it is about, which stays. */
interface Draft extends Terms {
  readonly groupId: string;
  readonly product: string;
  readonly channel: Channel;
  readonly from: (typeof FROM)[number]['value'];
}

/** As the manager takes it. */
const asked = ({ name, planId, window, whenBusy }: Terms) => ({
  name: name.trim(),
  plan_id: planId,
  window: window === null ? null : windowOf(window),
  when_busy: whenBusy,
});

/** A new schedule. It has the rights of whoever makes it. */
export const NewSchedule = ({
  groups,
  onClose,
}: {
  readonly groups: Groups;
  readonly onClose: () => void;
}): ReactNode => {
  const create = useCall('schedules.create', { stale: ['audit', 'plans', 'rollouts'] });
  const [draft, setDraft] = useState<Draft>({
    ...{ name: '', groupId: groups[0]?.id ?? '', product: '', channel: 'stable', planId: '' },
    ...{ window: windowDraft(), whenBusy: 'wait', from: 'next' },
  });
  const change = (part: Partial<Draft>): void => setDraft((before) => ({ ...before, ...part }));
  const isReady = draft.name.trim() !== '' && draft.product !== '' && draft.planId !== '';
  return (
    <FormDialog
      title="New schedule"
      verb="Make schedule"
      wide
      isReady={isReady}
      isBusy={create.isRunning}
      error={create.error}
      onSubmit={async () => {
        const { groupId: group_id, product, channel, from } = draft;
        const made = await create.run({
          body: { ...asked(draft), group_id, product, channel, from },
        });
        say(`The schedule ${made.name} is made.`);
        onClose();
      }}
      onClose={onClose}
    >
      <TermsFields draft={draft} change={change} error={create.error} groupId={draft.groupId}>
        <Subject draft={draft} change={change} error={create.error} groups={groups} />
      </TermsFields>
      <p className="soft">
        Only the start is held to the window; what follows is led by the plan. It starts rollouts
        with your rights, as you have them then.
      </p>
    </FormDialog>
  );
};

/** What it starts, and where. */
const Subject = ({
  draft,
  change,
  error,
  groups,
}: {
  readonly draft: Draft;
  readonly change: (part: Partial<Draft>) => void;
  readonly error: Error | null;
  readonly groups: Groups;
}): ReactNode => {
  const releases = useApi('releases.list', { query: { state: 'published', limit: 500 } });
  const known = (releases.data?.items ?? []).map(({ product }) => product);
  const products = [...new Set(known)].sort();
  return (
    <>
      <Select
        label="Group"
        hint="with all below it"
        value={draft.groupId}
        onChange={(groupId) => change({ groupId, planId: '' })}
        choices={choicesOf(groups)}
        error={problemAt(error, 'group_id')}
      />
      <Select
        label="Product"
        placeholder="Choose a product"
        value={draft.product === '' ? null : draft.product}
        onChange={(product) => change({ product })}
        choices={products.map((one) => ({ value: one, label: one }))}
        error={problemAt(error, 'product')}
      />
      <Select
        label="Channel"
        value={draft.channel}
        onChange={(channel) => change({ channel })}
        choices={CHANNELS}
        error={problemAt(error, 'channel')}
      />
      <Select
        label="Begin with"
        value={draft.from}
        onChange={(from) => change({ from })}
        choices={FROM}
      />
    </>
  );
};

interface Editing {
  readonly id: string;
  readonly onClose: () => void;
}

/** A schedule that is there: as it is now, not as a list had it. */
export const EditSchedule = (given: Editing): ReactNode => {
  const read = useRead('schedules.show', given.id);
  if (read.data !== undefined) return <EditRead {...given} latest={read.data} />;
  return (
    <Dialog title="Edit schedule" isOpen wide onClose={given.onClose}>
      <Loaded query={read} lines={6}>
        {() => null}
      </Loaded>
    </Dialog>
  );
};

const draftOf = (schedule: Schedule): Terms => ({
  name: schedule.name,
  planId: schedule.plan_id,
  window: schedule.window === null ? null : windowDrafted(schedule.window),
  whenBusy: schedule.when_busy,
});

/** Only what is not as it was. */
function changesOf(before: Schedule, draft: Terms): Partial<ReturnType<typeof asked>> {
  const was: object = asked(draftOf(before));
  const changed = Object.entries(asked(draft)).filter(
    ([key, value]) => !isSame(value, was[key as keyof typeof was]),
  );
  return Object.fromEntries(changed);
}

const EditRead = ({
  id,
  latest,
  onClose,
}: Editing & { readonly latest: Read<Schedule> }): ReactNode => {
  const { nameOf } = useGroups();
  const { before, ifMatch, draft, change, conflict } = useEdit(latest, draftOf);
  const call = useCall('schedules.change', { stale: ['audit', 'plans', 'rollouts'], ifMatch });
  const error = besidesConflict(call.error);
  const body = changesOf(before, draft);
  return (
    <FormDialog
      title={`Edit ${before.name}`}
      verb="Save schedule"
      wide
      isReady={conflict === null && draft.name.trim() !== '' && Object.keys(body).length > 0}
      isBusy={call.isRunning}
      error={error}
      onSubmit={async () => {
        const { name } = await call.run({ params: { id }, body });
        say(`The schedule ${name} is saved.`);
        onClose();
      }}
      onClose={onClose}
    >
      <p>
        Starts <strong>{before.product}</strong> from {before.channel} in{' '}
        <bdi>{nameOf(before.group_id)}</bdi>. For something else make another schedule.
      </p>
      <TermsFields draft={draft} change={change} error={error} groupId={before.group_id} />
      <p className="soft">
        Whoever saves it answers for it: from then on it starts rollouts with your rights, in place
        of those of <bdi>{before.maker.name}</bdi>.
      </p>
      {conflict === null ? null : (
        <Conflict
          by="Somebody"
          at={conflict.now.updated_at}
          differences={scheduleDifferences(conflict.before, conflict.now)}
          onTakeOver={conflict.takeOver}
          onBeginAgain={conflict.beginAgain}
        />
      )}
    </FormDialog>
  );
};

const TermsFields = ({
  draft,
  change,
  error,
  groupId,
  children,
}: {
  readonly draft: Terms;
  readonly change: (part: Partial<Terms>) => void;
  readonly error: Error | null;
  readonly groupId: string;
  readonly children?: ReactNode;
}): ReactNode => {
  const query = { for_group_id: groupId, limit: 500 };
  const plans = useApi('plans.list', { query }, { enabled: groupId !== '' });
  const hasNoPlan = plans.data?.items.length === 0;
  return (
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
        <Select
          label="Plan"
          placeholder="Choose a plan"
          value={draft.planId === '' ? null : draft.planId}
          onChange={(planId) => change({ planId })}
          choices={(plans.data?.items ?? []).map(({ id, name }) => ({ value: id, label: name }))}
          error={problemAt(error, 'plan_id')}
        />
        <Select
          label="While a rollout is open"
          value={draft.whenBusy}
          onChange={(whenBusy) => change({ whenBusy })}
          choices={BUSY}
        />
      </div>
      {hasNoPlan ? (
        <Note>This group can take no plan yet. Store one first: in this group, or above it.</Note>
      ) : null}
      <Switch
        isSelected={draft.window !== null}
        onChange={(isOn) => change({ window: isOn ? windowDraft() : null })}
      >
        Start only in a window
      </Switch>
      {draft.window === null ? null : (
        <WindowFields
          window={draft.window}
          change={(window) => change({ window })}
          error={error}
          path="window"
        />
      )}
    </>
  );
};
