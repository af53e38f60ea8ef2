import { EllipsisVertical, UserPlus, UsersRound } from 'lucide-react';
import { useMemo, useState, type ReactNode } from 'react';
import type { Answer } from '../../../client/index.js';
import { useCall, useList } from '../../app/api.js';
import { useMe } from '../../app/session.js';
import {
  Badge,
  Button,
  Confirm,
  Empty,
  IconButton,
  Menu,
  say,
  StateBadge,
  Table,
  Time,
  type Column,
  type MenuChoice,
} from '../../ui/index.js';
import { Invite } from './invite.js';
import { PersonDialog } from './person.js';

export type User = Answer<'users.list'>['items'][number];
type Deed = 'disable' | 'enable' | 'sign_out' | 'reset_factor';
interface Asking {
  readonly user: User;
  readonly deed: Deed;
}

/** Everybody who may sign in. */
export const People = (): ReactNode => {
  const list = useList('users.list', { query: { limit: 100 } });
  const [isInviting, setInviting] = useState(false);
  const [asking, setAsking] = useState<Asking | null>(null);
  const [opened, setOpened] = useState<string | null>(null);
  const columns = useColumns(setAsking, setOpened);
  return (
    <div className="stack">
      <div className="row row-between row-wrap">
        <p className="soft">Everybody who may sign in. People are disabled, never deleted.</p>
        <Button kind="primary" icon={<UserPlus aria-hidden />} onPress={() => setInviting(true)}>
          Invite
        </Button>
      </div>
      <Table
        label="People"
        list={list}
        keyOf={({ id }) => id}
        columns={columns}
        empty={
          <Empty icon={<UsersRound aria-hidden />} title="Nobody yet">
            Invite somebody: the link makes one user, once.
          </Empty>
        }
      />
      {isInviting ? <Invite onClose={() => setInviting(false)} /> : null}
      {opened === null ? null : <PersonDialog id={opened} onClose={() => setOpened(null)} />}
      {asking === null ? null : <Ask {...asking} onClose={() => setAsking(null)} />}
    </div>
  );
};

const DEEDS: Readonly<
  Record<
    Deed,
    {
      readonly title: (name: string) => string;
      readonly verb: string;
      readonly done: string;
      readonly danger: boolean;
      readonly consequences: readonly string[];
    }
  >
> = {
  disable: {
    title: (name) => `Disable ${name}?`,
    verb: 'Disable',
    done: 'is let in no more.',
    danger: true,
    consequences: [
      'All sessions end at once, and no new one begins.',
      'API tokens and invitations made by this person stop working.',
      'Enabling again gives the tokens back.',
    ],
  },
  enable: {
    title: (name) => `Enable ${name}?`,
    verb: 'Enable',
    done: 'may sign in again.',
    danger: false,
    consequences: ['Signing in works again, with the roles as they are now.', 'Tokens work again.'],
  },
  sign_out: {
    title: (name) => `Sign ${name} out everywhere?`,
    verb: 'Sign out',
    done: 'is signed out everywhere.',
    danger: false,
    consequences: ['Every session ends within seconds.', 'Signing in again is possible at once.'],
  },
  reset_factor: {
    title: (name) => `Take the second factor of ${name} away?`,
    verb: 'Take it away',
    done: 'has no second factor now.',
    danger: true,
    consequences: [
      'For somebody who lost the device and the recovery codes. Make sure who is asking.',
      'All sessions end. Until a new one is set up, the password alone is enough.',
    ],
  },
};

const Ask = ({ user, deed, onClose }: Asking & { readonly onClose: () => void }): ReactNode => {
  const stale = { stale: ['audit', 'session'] };
  const calls = {
    disable: useCall('users.disable', stale),
    enable: useCall('users.enable', stale),
    sign_out: useCall('users.sign_out', stale),
    reset_factor: useCall('users.reset_factor', stale),
  };
  const { title, verb, done, danger, consequences } = DEEDS[deed];
  return (
    <Confirm
      title={title(user.name)}
      consequences={consequences}
      verb={verb}
      danger={danger}
      run={async () => {
        await calls[deed].run({ params: { id: user.id } });
        say(`${user.name} ${done}`);
      }}
      onClose={onClose}
    />
  );
};

const deedsFor = (user: User, isMe: boolean): readonly (readonly [Deed, string])[] => [
  ...(user.status === 'disabled'
    ? ([['enable', 'Enable…']] as const)
    : ([['sign_out', 'Sign out everywhere…']] as const)),
  ...(user.has_second_factor ? ([['reset_factor', 'Reset second factor…']] as const) : []),
  ...(user.status === 'disabled' || isMe ? [] : ([['disable', 'Disable…']] as const)),
];

function useColumns(
  ask: (asking: Asking) => void,
  open: (id: string) => void,
): readonly Column<User>[] {
  const me = useMe();
  return useMemo(
    () => [
      {
        id: 'name',
        title: 'Name',
        width: 'minmax(170px, 2fr)',
        cell: ({ id, name }) => (
          <button type="button" className="cell-button cut" onClick={() => open(id)}>
            <bdi>{name}</bdi>
          </button>
        ),
      },
      {
        id: 'login',
        title: 'Login',
        width: 'minmax(110px, 1fr)',
        cell: ({ login }) => <code>{login}</code>,
      },
      {
        id: 'status',
        title: 'State',
        width: '130px',
        cell: ({ id, status }) => (
          <span className="row">
            {status === 'active' ? (
              <Badge tone="good">active</Badge>
            ) : (
              <StateBadge state={status} />
            )}
            {id === me.user.id ? <span className="soft">you</span> : null}
          </span>
        ),
      },
      {
        id: 'role',
        title: 'Platform role',
        width: '130px',
        cell: ({ super_admin: isSuper }) =>
          isSuper ? <Badge tone="trial">super admin</Badge> : <span className="soft">none</span>,
      },
      {
        id: 'how',
        title: 'Signs in by',
        width: '190px',
        cell: ({ kind, has_second_factor: has }) =>
          kind === 'sso' ? 'single sign-on' : has ? 'password and code' : 'password alone',
      },
      {
        id: 'last',
        title: 'Last sign-in',
        width: '140px',
        cell: ({ last_sign_in_at: at }) => <Time at={at} />,
      },
      {
        id: 'expires',
        title: 'Ends',
        width: '120px',
        cell: ({ expires_at: at }) => <Time at={at} />,
      },
      {
        id: 'more',
        title: '',
        width: '60px',
        cell: (user) => <PersonMenu user={user} isMe={user.id === me.user.id} ask={ask} />,
      },
    ],
    [me.user.id, ask, open],
  );
}

const PersonMenu = ({
  user,
  isMe,
  ask,
}: {
  readonly user: User;
  readonly isMe: boolean;
  readonly ask: (asking: Asking) => void;
}): ReactNode => {
  const choices: MenuChoice[] = deedsFor(user, isMe).map(([deed, label]) => ({
    id: deed,
    label,
    danger: DEEDS[deed].danger,
    run: () => ask({ user, deed }),
  }));
  return (
    <Menu label={`What to do with ${user.name}`} choices={choices}>
      <IconButton label={`More about ${user.name}`}>
        <EllipsisVertical aria-hidden />
      </IconButton>
    </Menu>
  );
};
