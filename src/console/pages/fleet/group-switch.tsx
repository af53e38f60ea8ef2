import { useState, type ReactNode } from 'react';
import type { Answer } from '../../../client/index.js';
import { useApi, useCall } from '../../app/api.js';
import { useCan, type Group } from '../../app/session.js';
import {
  Button,
  Card,
  Choices,
  Dialog,
  Loaded,
  Note,
  Problem,
  say,
  TextField,
  Time,
} from '../../ui/index.js';
import { MODE_WORDS, ModeBadge, type Mode } from './group-parts.js';

type Switch = Answer<'groups.switch'>;
const MODES: readonly Mode[] = ['enabled', 'suspended', 'disabled'];

/** Whether upgrades may start in a group, and who said so. */
export const SwitchCard = ({ group }: { readonly group: Group }): ReactNode => {
  const can = useCan();
  const query = useApi('groups.switch', { params: { id: group.id } }, { everyMs: 30_000 });
  const [isOpen, setOpen] = useState(false);
  return (
    <Card
      title="Upgrade switch"
      actions={
        can('group.upgrade', group.id) ? (
          <Button kind="quiet" onPress={() => setOpen(true)}>
            Change…
          </Button>
        ) : null
      }
    >
      <Loaded query={query}>
        {(state) => (
          <div className="stack-tight">
            <span className="row row-wrap">
              <ModeBadge mode={state.effective_mode} />
              {state.effective_mode === state.mode ? null : (
                <span className="soft small">by a group above; here it is {state.mode}</span>
              )}
            </span>
            <span>{MODE_WORDS[state.effective_mode]}</span>
            {state.note === '' ? null : <span className="soft wrap-anywhere">“{state.note}”</span>}
            {state.set_at === null ? null : (
              <span className="soft small">
                set <Time at={state.set_at} />
              </span>
            )}
            {isOpen ? (
              <SwitchDialog group={group} state={state} onClose={() => setOpen(false)} />
            ) : null}
          </div>
        )}
      </Loaded>
    </Card>
  );
};

const SwitchDialog = ({
  group,
  state,
  onClose,
}: {
  readonly group: Group;
  readonly state: Switch;
  readonly onClose: () => void;
}): ReactNode => {
  const [before] = useState(state.mode);
  const [mode, setMode] = useState<Mode>(state.mode);
  const [note, setNote] = useState('');
  const set = useCall('groups.set_switch', { stale: ['fleet', 'rollouts', 'nodes'] });
  const change = async (): Promise<void> => {
    const done = await set
      .run({ params: { id: group.id }, body: { mode, note: note.trim() } })
      .catch(() => null);
    if (done === null) return;
    say(`Upgrades in ${group.name} are ${done.effective_mode}`);
    onClose();
  };
  return (
    <Dialog title={`Upgrades in ${group.name}`} isOpen onClose={onClose} isBusy={set.isRunning}>
      {state.mode === before ? null : (
        <Note tone="warn">Meanwhile somebody else set it to {state.mode}.</Note>
      )}
      <Choices
        label="In this group and all below it"
        value={mode}
        onChange={setMode}
        choices={MODES.map((value) => ({ value, label: value, hint: MODE_WORDS[value] }))}
      />
      <TextField
        label="Note"
        hint="Why, for those who wonder"
        value={note}
        onChange={setNote}
        maxLength={500}
      />
      {set.error === null ? null : <Problem error={set.error} />}
      <div className="row row-end">
        <Button onPress={onClose} isDisabled={set.isRunning}>
          Go back
        </Button>
        <Button
          kind={mode === 'enabled' ? 'primary' : 'danger'}
          isBusy={set.isRunning}
          isDisabled={mode === state.mode && note.trim() === ''}
          onPress={() => void change()}
        >
          Set to {mode}
        </Button>
      </div>
    </Dialog>
  );
};
