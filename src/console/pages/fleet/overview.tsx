import { PlugZap } from 'lucide-react';
import type { ReactNode } from 'react';
import { Link } from 'react-router';
import { useApi } from '../../app/api.js';
import { useCan } from '../../app/session.js';
import { Bones, ButtonLink, Card, count, Empty, Page, PartsBar, Problem } from '../../ui/index.js';
import '../../style/fleet.css';
import { ActiveRollouts } from './active-rollouts.js';
import { NeedList } from './need-list.js';
import { RecentFailures } from './recent-failures.js';
import { VersionsOverTime } from './versions-over-time.js';

/** What an operator looks at first: is the fleet well, what moves, what waits for him. */
export default function Overview(): ReactNode {
  const can = useCan();
  const summary = useApi(
    'fleet.summary',
    { query: {} },
    { enabled: can('node.view'), everyMs: 60_000 },
  );
  const isEmpty = summary.data?.nodes === 0 && (summary.data.by_status.revoked ?? 0) === 0;
  if (!can('node.view')) return <NothingToSee />;
  return (
    <Page title="Overview">
      {isEmpty ? (
        <FirstNode />
      ) : (
        <div className="stack">
          <Totals query={summary} />
          <div className="columns">
            <div className="stack">
              <VersionsOverTime summary={summary.data} />
              {can('rollout.view') ? <ActiveRollouts /> : null}
            </div>
            <div className="stack">
              <NeedList />
              {can('event.view') ? <RecentFailures /> : null}
            </div>
          </div>
        </div>
      )}
    </Page>
  );
}

const NothingToSee = (): ReactNode => (
  <Page title="Overview">
    <Empty title="You hold no role on any group yet">
      An admin of a group can give you one under Access; then its nodes are here.
    </Empty>
  </Page>
);

const FirstNode = (): ReactNode => {
  const can = useCan();
  return (
    <Card>
      <Empty
        icon={<PlugZap aria-hidden />}
        title="No nodes yet"
        action={
          can('node.enroll') ? (
            <ButtonLink to="/enrollment" kind="primary">
              Enroll the first node
            </ButtonLink>
          ) : undefined
        }
      >
        A node is a machine with the agent on it. Make a token, run one line there, and it appears
        here.
      </Empty>
    </Card>
  );
};

interface Tile {
  readonly to: string;
  readonly title: string;
  readonly n: number;
  readonly more: string;
  readonly tone?: string;
}

const Totals = ({
  query,
}: {
  readonly query: ReturnType<typeof useApi<'fleet.summary'>>;
}): ReactNode => {
  const { data } = query;
  if (data === undefined)
    return query.error === null ? (
      <div className="tiles">
        {Array.from({ length: 5 }, (_, i) => (
          <div key={i} className="tile">
            <Bones lines={2} />
          </div>
        ))}
      </div>
    ) : (
      <Problem error={query.error} again={() => void query.refetch()} />
    );
  const online = data.by_status.online ?? 0;
  const upgrading = data.by_upgrade.upgrading ?? 0;
  const failed = data.by_upgrade.failed ?? 0;
  const tiles: readonly Tile[] = [
    { to: '/nodes', title: 'Nodes', n: data.nodes, more: 'that may connect' },
    {
      to: '/nodes?status=online',
      title: 'Online',
      n: online,
      more: data.nodes === 0 ? 'of none' : `${Math.floor((online / data.nodes) * 100)} % of all`,
    },
    {
      to: '/nodes?outdated=true',
      title: 'Behind',
      n: data.outdated,
      more: 'older than their channel',
      tone: data.outdated > 0 ? 'warn' : 'idle',
    },
    { to: '/nodes?upgrade=upgrading', title: 'Upgrading', n: upgrading, more: 'right now' },
    {
      to: '/nodes?upgrade=failed',
      title: 'Upgrade failed',
      n: failed,
      more: 'the last one did',
      tone: failed > 0 ? 'bad' : 'idle',
    },
  ];
  return (
    <div className="stack-tight">
      <div className="tiles">
        {tiles.map(({ to, title, n, more, tone }) => (
          <Link key={to} to={to} className="tile" data-tone={tone ?? 'idle'}>
            <span className="soft small">{title}</span>
            <span className="figure">{count(n)}</span>
            <span className="soft small">{more}</span>
          </Link>
        ))}
      </div>
      <PartsBar
        label="Nodes by state"
        parts={[
          { name: 'online', tone: 'good', n: online },
          { name: 'offline', tone: 'idle', n: data.by_status.offline ?? 0 },
          { name: 'pending', tone: 'moving', n: data.by_status.pending ?? 0 },
        ]}
      />
    </div>
  );
};
