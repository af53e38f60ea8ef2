import { useState, type ReactNode } from 'react';
import { useCall } from '../../app/api.js';
import { useCan, useGroups, type Group } from '../../app/session.js';
import {
  Checkbox,
  Confirm,
  FormDialog,
  problemAt,
  say,
  Select,
  TextField,
} from '../../ui/index.js';
import { groupChoices } from './group-choices.js';

interface Given {
  readonly group: Group;
  readonly onClose: () => void;
}

export const RenameDialog = ({ group, onClose }: Given): ReactNode => {
  const [name, setName] = useState(group.name);
  // What it was called when the dialog was opened: somebody else may have renamed it since.
  const [before] = useState(group.name);
  const change = useCall('groups.change', { stale: ['fleet'] });
  const wanted = name.trim();
  return (
    <FormDialog
      title={`Rename ${before}`}
      verb="Rename"
      isReady={wanted !== '' && wanted !== group.name}
      isBusy={change.isRunning}
      error={change.error}
      onSubmit={async () => {
        await change.run({ params: { id: group.id }, body: { name: wanted } });
        say(`Renamed to ${wanted}`);
        onClose();
      }}
      onClose={onClose}
    >
      {group.name === before ? null : (
        <p role="status">
          Meanwhile somebody else renamed it to <bdi>{group.name}</bdi>.
        </p>
      )}
      <TextField
        label="Name"
        value={name}
        onChange={setName}
        error={problemAt(change.error, 'body.name')}
        maxLength={128}
        autoFocus
        isRequired
      />
    </FormDialog>
  );
};

export const MoveDialog = ({ group, onClose }: Given): ReactNode => {
  const can = useCan();
  const { groups, pathOf, nameOf } = useGroups();
  const [to, setTo] = useState<string | null>(null);
  const change = useCall('groups.change', { stale: ['fleet', 'nodes', 'node-rows'] });
  const open = groups.filter(
    ({ id }) => id !== group.parent_id && !pathOf(id).includes(group.id) && can('group.manage', id),
  );
  return (
    <FormDialog
      title={`Move ${group.name}`}
      verb="Move"
      isReady={to !== null}
      isBusy={change.isRunning}
      error={change.error}
      onSubmit={async () => {
        if (to === null) return;
        await change.run({ params: { id: group.id }, body: { parent_id: to } });
        say(`${group.name} is below ${nameOf(to)} now`);
        onClose();
      }}
      onClose={onClose}
    >
      <p>
        It goes with all its nodes and the groups below it. Roles, quotas, freezes and switches of
        the new place hold from then on, and those of the old place no longer.
      </p>
      <Select
        label="Below"
        value={to}
        onChange={setTo}
        choices={groupChoices(open)}
        placeholder="Choose a group"
      />
    </FormDialog>
  );
};

export const RemoveDialog = ({
  group,
  onClose,
  onGone,
}: Given & { readonly onGone: () => void }): ReactNode => {
  const remove = useCall('groups.remove', { stale: ['fleet'] });
  return (
    <Confirm
      title={`Remove ${group.name}`}
      consequences={[
        'Only a group without nodes and without groups below it can be removed.',
        'Roles on it, its quota, its freezes and its switch go with it.',
        'Its events and audit entries are kept, for those who see the group above.',
      ]}
      verb="Remove the group"
      danger
      tick="I want it to be gone"
      run={async () => {
        await remove.run({ params: { id: group.id } });
        say(`${group.name} is removed`);
        onGone();
      }}
      onClose={onClose}
    />
  );
};

const NODES_MAX = 1_000_000;

export const QuotaDialog = ({ group, onClose }: Given): ReactNode => {
  const [isLimited, setLimited] = useState(group.nodes_max !== null);
  const [text, setText] = useState(String(group.nodes_max ?? ''));
  const set = useCall('groups.set_quota', { stale: ['fleet'] });
  const max = /^\d{1,7}$/.test(text.trim()) ? Number(text.trim()) : null;
  const isGood = max !== null && max <= NODES_MAX;
  return (
    <FormDialog
      title={`Quota of ${group.name}`}
      verb="Set the quota"
      isReady={!isLimited || isGood}
      isBusy={set.isRunning}
      error={set.error}
      onSubmit={async () => {
        const body = { nodes_max: isLimited ? max : null };
        await set.run({ params: { id: group.id }, body });
        say('The quota is set');
        onClose();
      }}
      onClose={onClose}
    >
      <p>
        How many nodes the group may hold together with those below it. When it is full, enrollments
        and transfers into it are refused; nodes that are there stay.
      </p>
      <Checkbox isSelected={isLimited} onChange={setLimited}>
        Limit the number of nodes
      </Checkbox>
      {isLimited ? (
        <TextField
          label="Nodes at most"
          value={text}
          onChange={setText}
          inputMode="numeric"
          error={text === '' || isGood ? null : 'Take a whole number up to 1,000,000'}
          isRequired
        />
      ) : null}
    </FormDialog>
  );
};
