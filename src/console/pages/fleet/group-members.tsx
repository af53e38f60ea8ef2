import { UserPlus, UserRound } from 'lucide-react';
import { useState, type ReactNode } from 'react';
import { Link } from 'react-router';
import type { Answer, Call } from '../../../client/index.js';
import { useCall, useList } from '../../app/api.js';
import type { Group } from '../../app/session.js';
import {
  Badge,
  Bones,
  Button,
  Card,
  Confirm,
  Empty,
  FormDialog,
  Problem,
  problemAt,
  say,
  Select,
  TextField,
  Time,
} from '../../ui/index.js';

type Member = Answer<'members.list'>['items'][number];
type Role = Call<'members.set'>['body']['role'];
const ROLES: readonly { readonly value: Role; readonly label: string; readonly hint: string }[] = [
  { value: 'viewer', label: 'viewer', hint: 'sees everything of the group' },
  { value: 'operator', label: 'operator', hint: 'also upgrades single nodes and leads rollouts' },
  { value: 'admin', label: 'admin', hint: 'also enrolls nodes, starts rollouts and gives roles' },
];

/** Who holds a role on the group itself. */
export const MembersCard = ({ group }: { readonly group: Group }): ReactNode => {
  const list = useList('members.list', { params: { id: group.id }, query: { limit: 50 } });
  const [open, setOpen] = useState<'add' | Member | null>(null);
  const close = (): void => setOpen(null);
  return (
    <Card
      title="Members"
      actions={
        <Button kind="quiet" icon={<UserPlus aria-hidden />} onPress={() => setOpen('add')}>
          Give a role…
        </Button>
      }
    >
      {list.error !== null && list.items.length === 0 ? (
        <Problem error={list.error} again={list.again} />
      ) : list.isLoading ? (
        <Bones lines={3} />
      ) : list.items.length === 0 ? (
        <Empty icon={<UserRound aria-hidden />} title="Nobody holds a role on this group itself">
          Roles on groups above hold here, too. People without a user are invited under{' '}
          <Link to="/access">Access</Link>.
        </Empty>
      ) : (
        <ul className="lines">
          {list.items.map((member) => (
            <MemberLine key={member.user_id} member={member} onRemove={() => setOpen(member)} />
          ))}
        </ul>
      )}
      {list.hasMore ? (
        <Button isBusy={list.isLoadingMore} onPress={list.more}>
          More members
        </Button>
      ) : null}
      {open === 'add' ? <MemberDialog group={group} onClose={close} /> : null}
      {open === null || open === 'add' ? null : (
        <RemoveMember group={group} member={open} onClose={close} />
      )}
    </Card>
  );
};

const MemberLine = ({
  member,
  onRemove,
}: {
  readonly member: Member;
  readonly onRemove: () => void;
}): ReactNode => (
  <li className="line">
    <UserRound aria-hidden className="sign-idle" />
    <div className="stack-tight grow">
      <span className="row row-wrap">
        <bdi className="wrap-anywhere">{member.name}</bdi>
        <Badge tone={member.role === 'admin' ? 'trial' : 'idle'}>{member.role}</Badge>
        {member.source === 'sso' ? (
          <Badge title="Taken from the provider at each sign-in, and changed there">sso</Badge>
        ) : null}
      </span>
      <span className="soft small">
        {member.login}
        {member.expires_at === null ? null : (
          <>
            , ends <Time at={member.expires_at} />
          </>
        )}
      </span>
    </div>
    {member.source === 'manual' ? (
      <Button kind="quiet" aria-label={`Take away the role of ${member.name}`} onPress={onRemove}>
        Take away
      </Button>
    ) : null}
  </li>
);

const RemoveMember = ({
  group,
  member,
  onClose,
}: {
  readonly group: Group;
  readonly member: Member;
  readonly onClose: () => void;
}): ReactNode => {
  const remove = useCall('members.remove', { stale: ['users'] });
  return (
    <Confirm
      title={`Take the role of ${member.name} away`}
      consequences={[
        `${member.name} is no longer ${member.role} of ${group.name} and the groups below it.`,
        'Roles on groups above are not touched.',
      ]}
      verb="Take it away"
      danger
      run={async () => {
        await remove.run({ params: { id: group.id, user: member.user_id } });
        say('The role is taken away');
      }}
      onClose={onClose}
    />
  );
};

const MemberDialog = ({
  group,
  onClose,
}: {
  readonly group: Group;
  readonly onClose: () => void;
}): ReactNode => {
  const set = useCall('members.set', { stale: ['users'] });
  const [login, setLogin] = useState('');
  const [role, setRole] = useState<Role>('viewer');
  return (
    <FormDialog
      title={`Give a role on ${group.name}`}
      verb="Give the role"
      isReady={login.trim() !== ''}
      isBusy={set.isRunning}
      error={set.error}
      onSubmit={async () => {
        const body = { login: login.trim(), role };
        const done = await set.run({ params: { id: group.id }, body });
        say(`${done.name} is ${done.role} of ${group.name}`);
        onClose();
      }}
      onClose={onClose}
    >
      <TextField
        label="Login"
        hint="Of somebody who has a user. A role that was given before is replaced"
        value={login}
        onChange={setLogin}
        error={problemAt(set.error, 'body.login')}
        autoComplete="off"
        autoFocus
        isRequired
      />
      <Select label="Role" value={role} onChange={setRole} choices={ROLES} />
    </FormDialog>
  );
};
