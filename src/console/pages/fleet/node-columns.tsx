import { ArrowUpCircle } from 'lucide-react';
import type { ReactNode } from 'react';
import { Link } from 'react-router';
import { Badge, RowButton, StateBadge, Time, type Column } from '../../ui/index.js';
import { fixOf } from './fixes.js';
import type { FleetNode } from './node-rows.js';

const UPGRADER_WORDS: Readonly<Record<FleetNode['upgrader'], string>> = {
  agent: 'agent',
  poll: 'agent, polls',
  kubernetes: 'Kubernetes',
  none: 'nobody',
};

/** What a node does, or how its last upgrade ended, with what to do about a failure on hover. */
export const UpgradeBadge = ({
  upgrade,
}: {
  readonly upgrade: FleetNode['upgrade'];
}): ReactNode => {
  if (upgrade.state === 'none') return <span className="soft">–</span>;
  if (upgrade.state !== 'failed') return <StateBadge state={upgrade.state} />;
  const fix = upgrade.code === null ? null : fixOf(upgrade.code);
  return (
    <StateBadge
      state="upgrade_failed"
      title={
        <>
          <strong>{upgrade.code ?? 'The reason was not told'}</strong>
          <br />
          {fix ?? 'Open the node: its timeline has the step that failed.'}
        </>
      }
    />
  );
};

type Support = FleetNode['support'][number];
const WINDOWS: Partial<Record<Support['window'], ReactNode>> = {
  deprecated: <Badge tone="warn">deprecated</Badge>,
  out_of_support: <Badge tone="bad">out of support</Badge>,
};

/** How far a service is behind; nothing while it is not. */
export const WindowBadge = ({ support }: { readonly support: Support | undefined }): ReactNode => {
  if (support === undefined) return null;
  const badge = WINDOWS[support.window];
  if (badge !== undefined) return badge;
  const isBehind = support.newest !== null && support.newest !== support.version;
  return isBehind ? <Badge title={`${support.channel} has ${support.newest}`}>behind</Badge> : null;
};

const Software = ({ node }: { readonly node: FleetNode }): ReactNode => {
  const [first, ...others] = node.services;
  if (first === undefined) return <span className="soft">not told yet</span>;
  return (
    <span className="row">
      <span className="cut figures">
        {first.product} {first.version ?? '–'}
      </span>
      <WindowBadge support={node.support.find(({ service }) => service === first.name)} />
      {others.length === 0 ? null : <span className="soft">+{others.length}</span>}
    </span>
  );
};

interface Given {
  readonly nameOf: (groupId: string) => string;
  /** Only those that are away are shown: then it can be sorted by since when. */
  readonly isGone: boolean;
  readonly mayUpgrade: (node: FleetNode) => boolean;
  readonly onUpgrade: (node: FleetNode) => void;
}

export function nodeColumns(given: Given): readonly Column<FleetNode>[] {
  const { nameOf, isGone, mayUpgrade, onUpgrade } = given;
  return [
    {
      id: 'name',
      title: 'Name',
      width: 'minmax(150px, 2fr)',
      sort: 'name',
      cell: (node) => (
        <Link to={`/nodes/${node.id}`} className="cut block" title={node.name}>
          <bdi>{node.name}</bdi>
        </Link>
      ),
    },
    {
      id: 'status',
      title: 'Status',
      width: '106px',
      sort: 'status',
      cell: (node) => <StateBadge state={node.status} />,
    },
    {
      id: 'upgrade',
      title: 'Upgrade',
      width: '172px',
      sort: 'upgrade',
      cell: (node) => <UpgradeBadge upgrade={node.upgrade} />,
    },
    {
      id: 'software',
      title: 'Runs',
      width: 'minmax(170px, 2fr)',
      cell: (node) => <Software node={node} />,
    },
    {
      id: 'group',
      title: 'Group',
      width: 'minmax(110px, 1fr)',
      cell: (node) => (
        <Link to={`/groups/${node.group_id}`} className="cut block">
          <bdi>{nameOf(node.group_id)}</bdi>
        </Link>
      ),
    },
    {
      id: 'upgrader',
      title: 'Upgraded by',
      width: '126px',
      sort: 'upgrader',
      cell: (node) => <span className="soft">{UPGRADER_WORDS[node.upgrader]}</span>,
    },
    {
      id: 'seen',
      title: 'Seen',
      width: '112px',
      ...(isGone ? { sort: 'last_seen_at' } : {}),
      cell: (node) =>
        node.status === 'online' ? (
          <span className="soft">now</span>
        ) : (
          <Time at={node.last_seen_at} />
        ),
    },
    {
      id: 'do',
      title: '',
      width: '134px',
      end: true,
      cell: (node) =>
        mayUpgrade(node) ? (
          <RowButton
            icon={<ArrowUpCircle aria-hidden />}
            label={`Upgrade ${node.name}`}
            onPress={() => onUpgrade(node)}
          >
            Upgrade…
          </RowButton>
        ) : null,
    },
  ];
}
