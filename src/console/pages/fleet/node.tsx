import { ArrowRightLeft, ArrowUpCircle, Ban } from 'lucide-react';
import { useState, type ReactNode } from 'react';
import { useParams } from 'react-router';
import { useApi, useCall } from '../../app/api.js';
import { useCan, useGroups } from '../../app/session.js';
import { Button, Confirm, Loaded, Page, say, StateBadge } from '../../ui/index.js';
import '../../style/fleet.css';
import { UpgradeBadge } from './node-columns.js';
import { HostCard, LabelsCard, LinkCard } from './node-facts.js';
import type { FleetNode } from './node-rows.js';
import { DiagnosticsCard, ServicesCard, WhyCard } from './node-services.js';
import { NodeTimeline } from './node-timeline.js';
import { TransferDialog } from './transfer-dialog.js';
import { UpgradeDialog } from './upgrade-dialog.js';

/** One machine: what it runs, what became of its upgrades, and how it is connected. */
export default function NodePage(): ReactNode {
  const { id = '' } = useParams();
  const query = useApi('nodes.show', { params: { id } }, { everyMs: 30_000, keep: false });
  if (query.data !== undefined) return <Shown node={query.data} />;
  return (
    <Page title="Node" crumbs={[{ to: '/nodes', label: 'Nodes' }]}>
      <Loaded query={query} lines={10}>
        {() => null}
      </Loaded>
    </Page>
  );
}

const Shown = ({ node }: { readonly node: FleetNode }): ReactNode => {
  const can = useCan();
  const { pathOf, nameOf } = useGroups();
  const path = pathOf(node.group_id);
  const maySeeUpgrades = can('rollout.view', node.group_id);
  return (
    <Page
      title={node.name}
      crumbs={[
        { to: '/nodes', label: 'Nodes' },
        ...path.map((id) => ({ to: `/groups/${id}`, label: nameOf(id) })),
      ]}
      beside={
        <>
          <StateBadge state={node.status} />
          {node.upgrade.state === 'none' ? null : <UpgradeBadge upgrade={node.upgrade} />}
        </>
      }
      actions={<Actions node={node} />}
    >
      <div className="columns">
        <div className="stack">
          <ServicesCard node={node} />
          {maySeeUpgrades ? (
            <>
              <WhyCard node={node} />
              <NodeTimeline node={node} />
            </>
          ) : null}
        </div>
        <div className="stack">
          <HostCard node={node} />
          <LinkCard node={node} />
          <LabelsCard node={node} />
          <DiagnosticsCard node={node} />
        </div>
      </div>
    </Page>
  );
};

const Actions = ({ node }: { readonly node: FleetNode }): ReactNode => {
  const can = useCan();
  const [open, setOpen] = useState<'upgrade' | 'transfer' | 'revoke' | null>(null);
  const close = (): void => setOpen(null);
  const isHere = node.status !== 'revoked';
  const mayEnroll = isHere && can('node.enroll', node.group_id);
  const mayUpgrade =
    isHere && node.capabilities.includes('upgrade') && can('node.upgrade', node.group_id);
  return (
    <>
      {mayEnroll ? (
        <>
          <Button icon={<Ban aria-hidden />} onPress={() => setOpen('revoke')}>
            Revoke…
          </Button>
          <Button icon={<ArrowRightLeft aria-hidden />} onPress={() => setOpen('transfer')}>
            Transfer…
          </Button>
        </>
      ) : null}
      {mayUpgrade ? (
        <Button
          kind="primary"
          icon={<ArrowUpCircle aria-hidden />}
          onPress={() => setOpen('upgrade')}
        >
          Upgrade…
        </Button>
      ) : null}
      {open === 'upgrade' ? <UpgradeDialog node={node} onClose={close} /> : null}
      {open === 'transfer' ? <TransferDialog nodes={[node]} onClose={close} /> : null}
      {open === 'revoke' ? <RevokeDialog node={node} onClose={close} /> : null}
    </>
  );
};

const RevokeDialog = ({
  node,
  onClose,
}: {
  readonly node: FleetNode;
  readonly onClose: () => void;
}): ReactNode => {
  const revoke = useCall('nodes.revoke', { stale: ['fleet', 'node-rows', 'groups'] });
  return (
    <Confirm
      title={`Revoke ${node.name}`}
      consequences={[
        'Its key is trusted no more, and its link is closed at once.',
        'What it runs goes on running; nothing can upgrade it from here.',
        'This cannot be taken back: the machine has to be enrolled anew, as another node.',
      ]}
      verb="Revoke the node"
      danger
      // A name of foreign letters may be hard to type.
      word={/^[\x21-\x7e]{1,40}$/.test(node.name) ? node.name : 'revoke'}
      run={async () => {
        await revoke.run({ params: { id: node.id } });
        say(`${node.name} is revoked`);
      }}
      onClose={onClose}
    />
  );
};
