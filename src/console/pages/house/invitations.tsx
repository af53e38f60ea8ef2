import { MailPlus } from 'lucide-react';
import { useMemo, useState, type ReactNode } from 'react';
import type { Answer } from '../../../client/index.js';
import { useCall, useList } from '../../app/api.js';
import { useGroups } from '../../app/session.js';
import { Button, Confirm, Empty, say, Table, Time, type Column } from '../../ui/index.js';
import { Invite } from './invite.js';

type Invitation = Answer<'invitations.list'>['items'][number];

/** Links that were made and not used. */
export const Invitations = (): ReactNode => {
  const list = useList('invitations.list', { query: { limit: 100 } });
  const revoke = useCall('invitations.revoke', { stale: ['audit'] });
  const [isInviting, setInviting] = useState(false);
  const [asking, setAsking] = useState<Invitation | null>(null);
  const columns = useColumns(setAsking);
  const button = (
    <Button kind="primary" icon={<MailPlus aria-hidden />} onPress={() => setInviting(true)}>
      Invite
    </Button>
  );
  return (
    <div className="stack">
      <div className="row row-between row-wrap">
        <p className="soft">Links that nobody has used yet. Each makes one user, once.</p>
        {list.items.length === 0 ? null : button}
      </div>
      <Table
        label="Open invitations"
        list={list}
        keyOf={({ id }) => id}
        columns={columns}
        empty={
          <Empty icon={<MailPlus aria-hidden />} title="No open invitation" action={button}>
            What the new user may do is decided here, and not by who opens the link.
          </Empty>
        }
      />
      {isInviting ? <Invite onClose={() => setInviting(false)} /> : null}
      {asking === null ? null : (
        <Confirm
          title={`Take the invitation for ${asking.note} back?`}
          consequences={['Its link stops working at once.', 'You can make another one.']}
          verb="Take back"
          danger
          run={async () => {
            await revoke.run({ params: { id: asking.id } });
            say('The invitation is taken back.');
          }}
          onClose={() => setAsking(null)}
        />
      )}
    </div>
  );
};

function useColumns(revoke: (invitation: Invitation) => void): readonly Column<Invitation>[] {
  const { nameOf } = useGroups();
  return useMemo(
    () => [
      {
        id: 'note',
        title: 'For whom',
        width: 'minmax(170px, 2fr)',
        cell: ({ note }) => <bdi>{note}</bdi>,
      },
      {
        id: 'what',
        title: 'May',
        width: 'minmax(180px, 2fr)',
        cell: ({ super_admin: isSuper, role, group_id: group }) =>
          isSuper ? (
            'everything, as super admin'
          ) : (
            <>
              {role} on <bdi>{nameOf(group ?? '')}</bdi>
            </>
          ),
      },
      {
        id: 'by',
        title: 'Invited by',
        width: 'minmax(130px, 1fr)',
        cell: ({ invited_by: by }) => <bdi>{by}</bdi>,
      },
      { id: 'made', title: 'Made', width: '140px', cell: ({ created_at: at }) => <Time at={at} /> },
      { id: 'ends', title: 'Ends', width: '120px', cell: ({ expires_at: at }) => <Time at={at} /> },
      {
        id: 'do',
        title: '',
        width: '120px',
        cell: (invitation) => (
          <Button kind="quiet" onPress={() => revoke(invitation)}>
            Take back
          </Button>
        ),
      },
    ],
    [nameOf, revoke],
  );
}
