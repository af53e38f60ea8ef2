import { FolderInput, Pencil, PlugZap, Server, Trash2 } from 'lucide-react';
import { useState, type ReactNode } from 'react';
import { useNavigate, useParams } from 'react-router';
import { useApi } from '../../app/api.js';
import { useCan, useGroupList, useGroups, type Group } from '../../app/session.js';
import {
  Button,
  ButtonLink,
  Card,
  count,
  counted,
  Empty,
  Facts,
  Loaded,
  Page,
  Time,
} from '../../ui/index.js';
import '../../style/fleet.css';
import { MoveDialog, QuotaDialog, RemoveDialog, RenameDialog } from './group-changes.js';
import { FreezesCard } from './group-freezes.js';
import { MembersCard } from './group-members.js';
import { ModeBadge } from './group-parts.js';
import { SwitchCard } from './group-switch.js';
import { VersionsCard } from './group-versions.js';

/** One group: what runs in it, who may do what there, and what holds upgrades back. */
export default function GroupPage(): ReactNode {
  const { id = '' } = useParams();
  const listed = useGroupList();
  const group = listed.data?.find((one) => one.id === id);
  if (group !== undefined) return <Shown key={id} group={group} />;
  return (
    <Page title="Group" crumbs={[{ to: '/groups', label: 'Groups' }]}>
      <Loaded query={listed} lines={8}>
        {() => (
          <Empty title="No such group" action={<ButtonLink to="/groups">All groups</ButtonLink>}>
            It was removed, or you hold no role on it.
          </Empty>
        )}
      </Loaded>
    </Page>
  );
}

const Shown = ({ group }: { readonly group: Group }): ReactNode => {
  const can = useCan();
  const { pathOf, nameOf } = useGroups();
  const numbers = useApi('fleet.groups', {});
  const mine = numbers.data?.items.find(({ group_id: id }) => id === group.id);
  const mode = mine?.upgrades ?? null;
  return (
    <Page
      title={group.name}
      crumbs={[
        { to: '/groups', label: 'Groups' },
        ...pathOf(group.id)
          .slice(0, -1)
          .map((id) => ({ to: `/groups/${id}`, label: nameOf(id) })),
      ]}
      beside={mode === null || mode === 'enabled' ? null : <ModeBadge mode={mode} />}
      actions={<Actions group={group} />}
    >
      <div className="columns">
        <div className="stack">
          <VersionsCard group={group} />
          {can('member.manage', group.id) ? <MembersCard group={group} /> : null}
        </div>
        <div className="stack">
          <FactsCard group={group} nodes={mine?.nodes} all={mine?.nodes_with_below} />
          {can('rollout.view', group.id) ? (
            <>
              <SwitchCard group={group} />
              <FreezesCard group={group} />
            </>
          ) : null}
        </div>
      </div>
    </Page>
  );
};

type Open = 'rename' | 'move' | 'remove' | null;

const Actions = ({ group }: { readonly group: Group }): ReactNode => {
  const can = useCan();
  const navigate = useNavigate();
  const [open, setOpen] = useState<Open>(null);
  const close = (): void => setOpen(null);
  // The tree stands on its first group, which stays where it is. Moving asks for rights above, too.
  const isRoot = group.id === 'grp_default';
  const mayManage = can('group.manage', group.id);
  const mayMove = mayManage && group.parent_id !== null && can('group.manage', group.parent_id);
  return (
    <>
      {mayManage ? (
        <Button icon={<Pencil aria-hidden />} onPress={() => setOpen('rename')}>
          Rename…
        </Button>
      ) : null}
      {mayMove && !isRoot ? (
        <>
          <Button icon={<FolderInput aria-hidden />} onPress={() => setOpen('move')}>
            Move…
          </Button>
          <Button icon={<Trash2 aria-hidden />} onPress={() => setOpen('remove')}>
            Remove…
          </Button>
        </>
      ) : null}
      {can('node.enroll', group.id) ? (
        <ButtonLink to={`/enrollment?group=${group.id}`} icon={<PlugZap aria-hidden />}>
          Enroll
        </ButtonLink>
      ) : null}
      <ButtonLink to={`/nodes?group=${group.id}`} icon={<Server aria-hidden />}>
        Nodes
      </ButtonLink>
      {open === 'rename' ? <RenameDialog group={group} onClose={close} /> : null}
      {open === 'move' ? <MoveDialog group={group} onClose={close} /> : null}
      {open === 'remove' ? (
        <RemoveDialog group={group} onClose={close} onGone={() => void navigate('/groups')} />
      ) : null}
    </>
  );
};

const FactsCard = ({
  group,
  nodes,
  all,
}: {
  readonly group: Group;
  readonly nodes: number | undefined;
  readonly all: number | undefined;
}): ReactNode => {
  const can = useCan();
  const [isOpen, setOpen] = useState(false);
  return (
    <Card
      title="Size"
      actions={
        can('quota.manage', group.id) ? (
          <Button kind="quiet" onPress={() => setOpen(true)}>
            Set quota…
          </Button>
        ) : null
      }
    >
      <Facts
        items={[
          ['Nodes', nodes === undefined ? '–' : counted(nodes, 'node')],
          ['With below', all === undefined ? '–' : counted(all, 'node')],
          [
            'Quota',
            group.nodes_max === null
              ? 'no limit of its own'
              : `${all === undefined ? '' : `${count(all)} of `}${counted(group.nodes_max, 'node')}`,
          ],
          ['Made', <Time key="made" at={group.created_at} />],
          ['Id', <code key="id">{group.id}</code>],
        ]}
      />
      {isOpen ? <QuotaDialog group={group} onClose={() => setOpen(false)} /> : null}
    </Card>
  );
};
