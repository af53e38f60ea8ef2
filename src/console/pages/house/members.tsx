import { UserPlus, UsersRound } from 'lucide-react';
import { useMemo, useState, type ReactNode } from 'react';
import type { Answer } from '../../../client/index.js';
import { useCall, useList } from '../../app/api.js';
import { useFilters } from '../../app/filters.js';
import { useCan, useGroups } from '../../app/session.js';
import {
  Button,
  type Column,
  Confirm,
  Empty,
  FormDialog,
  problemAt,
  say,
  Select,
  Table,
  TextField,
  Time,
} from '../../ui/index.js';
import { ROLE_CHOICES, type GroupRole } from './role-words.js';
import { daysOf, useTexts } from './use-form.js';

type Member = Answer<'members.list'>['items'][number];

/** Who holds a role on one group itself; roles on groups above count there too. */
export const Members = (): ReactNode => {
  const { groups, nameOf } = useGroups();
  const can = useCan();
  const { values, set } = useFilters(['group']);
  const own = groups.filter(({ id }) => can('member.manage', id));
  const groupId = values.group ?? own[0]?.id ?? '';
  const params = { id: groupId };
  const list = useList(
    'members.list',
    { params, query: { limit: 100 } },
    { enabled: groupId !== '' },
  );
  const remove = useCall('members.remove', { stale: ['users', 'audit', 'session'] });
  const [isGiving, setGiving] = useState(false);
  const [asking, setAsking] = useState<Member | null>(null);
  const columns = useColumns(setAsking);
  return (
    <div className="stack">
      <div className="toolbar">
        <Select
          label="Group"
          value={groupId}
          onChange={(group: string) => set({ group })}
          choices={own.map(({ id, name }) => ({ value: id, label: name }))}
          wide
        />
        <Button kind="primary" icon={<UserPlus aria-hidden />} onPress={() => setGiving(true)}>
          Give a role
        </Button>
      </div>
      <Table
        label={`Members of ${nameOf(groupId)}`}
        list={list}
        keyOf={({ user_id: user, source }) => `${user} ${source}`}
        columns={columns}
        empty={
          <Empty icon={<UsersRound aria-hidden />} title="Nobody holds a role on this group itself">
            Whoever holds one on a group above may act here too. Give a role to somebody who has an
            account, or invite somebody new.
          </Empty>
        }
      />
      {isGiving ? (
        <GiveRole groupId={groupId} name={nameOf(groupId)} onClose={() => setGiving(false)} />
      ) : null}
      {asking === null ? null : (
        <Confirm
          title={`Take the role of ${asking.name} away?`}
          consequences={[
            `${asking.name} is ${asking.role} on ${nameOf(groupId)} no more, from the next request on.`,
            'Roles on groups above stay.',
          ]}
          verb="Take away"
          danger
          run={async () => {
            await remove.run({ params: { id: groupId, user: asking.user_id } });
            say('The role is taken away.');
          }}
          onClose={() => setAsking(null)}
        />
      )}
    </div>
  );
};

const GiveRole = ({
  groupId,
  name,
  onClose,
}: {
  readonly groupId: string;
  readonly name: string;
  readonly onClose: () => void;
}): ReactNode => {
  const { texts, set } = useTexts({ login: '', days: '' });
  const [role, setRole] = useState<GroupRole>('viewer');
  const give = useCall('members.set', { stale: ['users', 'audit', 'session'] });
  return (
    <FormDialog
      title={`Give a role on ${name}`}
      verb="Give the role"
      isBusy={give.isRunning}
      error={give.error}
      onSubmit={async () => {
        const body = { login: texts.login, role, expires_in_days: daysOf(texts.days) };
        const member = await give.run({ params: { id: groupId }, body });
        say(`${member.name} is ${member.role} on ${name}.`);
        onClose();
      }}
      onClose={onClose}
    >
      <TextField
        label="Login"
        hint="Of somebody who has an account here."
        value={texts.login}
        onChange={set('login')}
        isRequired
        autoFocus
        error={problemAt(give.error, 'body.login')}
      />
      <Select label="Role" value={role} onChange={setRole} choices={ROLE_CHOICES} />
      <TextField
        label="Ends after (days)"
        hint="Empty: for good. It replaces a role that was given before."
        value={texts.days}
        onChange={set('days')}
        inputMode="numeric"
        error={problemAt(give.error, 'body.expires_in_days')}
      />
    </FormDialog>
  );
};

const useColumns = (remove: (member: Member) => void): readonly Column<Member>[] =>
  useMemo(
    () => [
      {
        id: 'name',
        title: 'Name',
        width: 'minmax(170px, 2fr)',
        cell: ({ name }) => <bdi>{name}</bdi>,
      },
      {
        id: 'login',
        title: 'Login',
        width: 'minmax(110px, 1fr)',
        cell: ({ login }) => <code>{login}</code>,
      },
      { id: 'role', title: 'Role', width: '110px', cell: ({ role }) => role },
      {
        id: 'source',
        title: 'Given',
        width: '170px',
        cell: ({ source }) => (source === 'sso' ? 'by single sign-on' : 'by hand'),
      },
      { id: 'ends', title: 'Ends', width: '130px', cell: ({ expires_at: at }) => <Time at={at} /> },
      {
        id: 'do',
        title: '',
        width: '130px',
        cell: (member) =>
          member.source === 'sso' ? null : (
            <Button kind="quiet" onPress={() => remove(member)}>
              Take away
            </Button>
          ),
      },
    ],
    [remove],
  );
