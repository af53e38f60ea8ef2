import { useMemo, useState, type ReactNode } from 'react';
import type { Answer } from '../../../client/index.js';
import { useApi, useCall } from '../../app/api.js';
import { Badge, Button, Confirm, say, Table, Time, type Column } from '../../ui/index.js';

type Session = Answer<'sessions.list'>['items'][number];

/** Where one is signed in. */
export const OwnSessions = (): ReactNode => {
  const query = useApi('sessions.list', {});
  const revoke = useCall('sessions.revoke', { stale: ['audit'] });
  const [asking, setAsking] = useState<Session | null>(null);
  const columns = useColumns(setAsking);
  return (
    <section className="stack-tight" aria-labelledby="own-sessions">
      <h2 id="own-sessions">Where you are signed in</h2>
      <p className="soft">A session that you do not know: end it, and change the password.</p>
      <Table
        label="Your sessions"
        list={{
          items: query.data?.items ?? [],
          isLoading: query.isPending,
          error: query.error,
          again: () => void query.refetch(),
        }}
        keyOf={({ id }) => id}
        columns={columns}
        empty={null}
      />
      {asking === null ? null : (
        <Confirm
          title="End this session?"
          consequences={['Whoever uses it has to sign in again.']}
          verb="End session"
          danger
          run={async () => {
            await revoke.run({ params: { id: asking.id } });
            say('The session has ended.');
          }}
          onClose={() => setAsking(null)}
        />
      )}
    </section>
  );
};

/** `Firefox on Linux`, as far as the program told the truth. */
function programOf(agent: string): string {
  const browser = /(Firefox|Edg|OPR|Chrome|Safari)\//.exec(agent)?.[1];
  const system = /(Windows|Mac OS X|Android|iPhone|iPad|Linux)/.exec(agent)?.[1];
  if (browser === undefined) return agent === '' ? 'not told' : agent;
  const name = { Edg: 'Edge', OPR: 'Opera' }[browser] ?? browser;
  return system === undefined ? name : `${name} on ${system === 'Mac OS X' ? 'macOS' : system}`;
}

const useColumns = (end: (session: Session) => void): readonly Column<Session>[] =>
  useMemo(
    () => [
      {
        id: 'program',
        title: 'Program',
        width: 'minmax(200px, 2fr)',
        cell: ({ user_agent: agent, is_this: isThis }) => (
          <span className="row" title={agent}>
            <bdi className="cut">{programOf(agent)}</bdi>
            {isThis ? <Badge tone="good">this one</Badge> : null}
          </span>
        ),
      },
      {
        id: 'kind',
        title: 'Kind',
        width: '130px',
        cell: ({ kind }) => (kind === 'cookie' ? 'browser' : 'command line'),
      },
      { id: 'ip', title: 'From', width: 'minmax(130px, 1fr)', cell: ({ ip }) => <code>{ip}</code> },
      {
        id: 'used',
        title: 'Last used',
        width: '140px',
        cell: ({ used_at: at }) => <Time at={at} />,
      },
      {
        id: 'made',
        title: 'Signed in',
        width: '140px',
        cell: ({ created_at: at }) => <Time at={at} />,
      },
      { id: 'ends', title: 'Ends', width: '130px', cell: ({ expires_at: at }) => <Time at={at} /> },
      {
        id: 'do',
        title: '',
        width: '90px',
        cell: (session) =>
          session.is_this ? null : (
            <Button kind="quiet" onPress={() => end(session)}>
              End
            </Button>
          ),
      },
    ],
    [end],
  );
