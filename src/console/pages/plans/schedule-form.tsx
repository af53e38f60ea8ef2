import { useState, type ReactNode } from 'react';
import { useApi, useCall } from '../../app/api.js';
import { choicesOf } from '../../app/session.js';
import { FormDialog, Note, problemAt, say, Select, Switch, TextField } from '../../ui/index.js';
import { windowDraft, windowOf, type Channel, type WindowDraft } from '../change/plan-draft.js';
import { WindowFields } from '../change/plan-part.js';

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

interface Draft {
  readonly name: string;
  readonly groupId: string;
  readonly product: string;
  readonly channel: Channel;
  readonly planId: string;
  readonly window: WindowDraft | null;
  readonly whenBusy: (typeof BUSY)[number]['value'];
  readonly from: (typeof FROM)[number]['value'];
}

/** A new schedule. It has the rights of whoever makes it. */
export const NewSchedule = ({
  groups,
  onClose,
}: {
  readonly groups: readonly { readonly id: string; readonly name: string }[];
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
        const made = await create.run({
          body: {
            name: draft.name.trim(),
            group_id: draft.groupId,
            product: draft.product,
            channel: draft.channel,
            plan_id: draft.planId,
            window: draft.window === null ? null : windowOf(draft.window),
            when_busy: draft.whenBusy,
            from: draft.from,
          },
        });
        say(`The schedule ${made.name} is made.`);
        onClose();
      }}
      onClose={onClose}
    >
      <Fields draft={draft} change={change} error={create.error} groups={groups} />
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
          error={create.error}
          path="window"
        />
      )}
      <p className="soft">
        Only the start is held to the window; what follows is led by the plan. It starts rollouts
        with your rights, as you have them then.
      </p>
    </FormDialog>
  );
};

const Fields = ({
  draft,
  change,
  error,
  groups,
}: {
  readonly draft: Draft;
  readonly change: (part: Partial<Draft>) => void;
  readonly error: Error | null;
  readonly groups: readonly { readonly id: string; readonly name: string }[];
}): ReactNode => {
  const releases = useApi('releases.list', { query: { state: 'published', limit: 500 } });
  const known = (releases.data?.items ?? []).map(({ product }) => product);
  const products = [...new Set(known)].sort();
  const query = { for_group_id: draft.groupId, limit: 500 };
  const plans = useApi('plans.list', { query }, { enabled: draft.groupId !== '' });
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
          label="Plan"
          placeholder="Choose a plan"
          value={draft.planId === '' ? null : draft.planId}
          onChange={(planId) => change({ planId })}
          choices={(plans.data?.items ?? []).map(({ id, name }) => ({ value: id, label: name }))}
          error={problemAt(error, 'plan_id')}
        />
        <Select
          label="Begin with"
          value={draft.from}
          onChange={(from) => change({ from })}
          choices={FROM}
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
    </>
  );
};
