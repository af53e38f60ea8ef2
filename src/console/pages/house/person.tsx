import { useState, type ReactNode } from 'react';
import type { Answer } from '../../../client/index.js';
import { useApi, useCall } from '../../app/api.js';
import { useGroups } from '../../app/session.js';
import {
  Button,
  Checkbox,
  Dialog,
  exactly,
  Facts,
  Loaded,
  Problem,
  problemAt,
  say,
  TextField,
} from '../../ui/index.js';
import { daysOf } from './use-form.js';

type Person = Answer<'users.show'>;

/** One person with his roles; name, platform role and end can be changed. */
export const PersonDialog = ({
  id,
  onClose,
}: {
  readonly id: string;
  readonly onClose: () => void;
}): ReactNode => {
  const query = useApi('users.show', { params: { id } }, { keep: false });
  return (
    <Dialog title={query.data?.name ?? 'Person'} isOpen onClose={onClose}>
      <Loaded query={query}>{(person) => <Edit person={person} onClose={onClose} />}</Loaded>
    </Dialog>
  );
};

const Edit = ({
  person,
  onClose,
}: {
  readonly person: Person;
  readonly onClose: () => void;
}): ReactNode => {
  const { nameOf } = useGroups();
  const [name, setName] = useState(person.name);
  const [isSuper, setSuper] = useState(person.super_admin);
  const [isEnd, setEnd] = useState(false);
  const [days, setDays] = useState('');
  const update = useCall('users.update', { stale: ['audit', 'session'] });
  const changes = {
    ...(name === person.name ? {} : { name }),
    ...(isSuper === person.super_admin ? {} : { super_admin: isSuper }),
    ...(isEnd ? { expires_in_days: daysOf(days) } : {}),
  };
  const save = (): void => {
    update.run({ params: { id: person.id }, body: changes }).then(
      () => {
        say('Saved.');
        onClose();
      },
      () => undefined,
    );
  };
  return (
    <div className="stack">
      <Facts
        items={[
          ['Login', <code key="login">{person.login}</code>],
          ['Ends', person.expires_at === null ? 'never' : exactly(person.expires_at)],
          [
            'Roles on groups',
            person.members.length === 0 ? (
              <span className="soft">none</span>
            ) : (
              <ul className="stack-tight">
                {person.members.map(({ group_id: group, role, source }) => (
                  <li key={`${group} ${source}`}>
                    {role} on <bdi>{nameOf(group)}</bdi>
                    {source === 'sso' ? <span className="soft"> (from single sign-on)</span> : null}
                  </li>
                ))}
              </ul>
            ),
          ],
        ]}
      />
      <TextField
        label="Name"
        value={name}
        onChange={setName}
        maxLength={128}
        error={problemAt(update.error, 'body.name')}
      />
      <Checkbox isSelected={isSuper} onChange={setSuper}>
        Super admin: may do everything, everywhere
      </Checkbox>
      <Checkbox isSelected={isEnd} onChange={setEnd}>
        Set when this user ends
      </Checkbox>
      {isEnd ? (
        <TextField
          label="Ends after (days from now)"
          hint="Empty: never."
          value={days}
          onChange={setDays}
          inputMode="numeric"
          error={problemAt(update.error, 'body.expires_in_days')}
        />
      ) : null}
      {update.error === null ? null : <Problem error={update.error} />}
      <div className="row row-end">
        <Button onPress={onClose} isDisabled={update.isRunning}>
          Go back
        </Button>
        <Button
          kind="primary"
          isBusy={update.isRunning}
          isDisabled={Object.keys(changes).length === 0}
          onPress={save}
        >
          Save
        </Button>
      </div>
    </div>
  );
};
