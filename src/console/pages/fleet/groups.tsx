import { FolderPlus, FolderTree } from 'lucide-react';
import { useState, type CSSProperties, type ReactNode } from 'react';
import { Link, useNavigate } from 'react-router';
import { useApi, useCall } from '../../app/api.js';
import { useCan, useGroups } from '../../app/session.js';
import {
  Button,
  count,
  counted,
  Dialog,
  Empty,
  Page,
  PartsBar,
  Problem,
  problemAt,
  say,
  Select,
  Table,
  TextField,
  type Column,
} from '../../ui/index.js';
import '../../style/fleet.css';
import { groupChoices, treeOf, type GroupPlace } from './group-choices.js';
import { ModeBadge, type Numbers } from './group-parts.js';

/** The tree of groups that the caller may see. */
export default function Groups(): ReactNode {
  const can = useCan();
  const { groups } = useGroups();
  const listed = useApi('groups.list', { query: { limit: 500 } });
  const numbers = useApi('fleet.groups', {}, { everyMs: 30_000 });
  const [isMaking, setMaking] = useState(false);
  const byId = new Map((numbers.data?.items ?? []).map((one) => [one.group_id, one]));
  return (
    <Page
      title="Groups"
      beside={
        <span className="soft">{groups.length === 0 ? '' : counted(groups.length, 'group')}</span>
      }
      actions={
        can('group.manage') ? (
          <Button kind="primary" icon={<FolderPlus aria-hidden />} onPress={() => setMaking(true)}>
            New group
          </Button>
        ) : undefined
      }
    >
      <Table
        label="Groups"
        rows={treeOf(groups)}
        keyOf={({ group }) => group.id}
        columns={columnsOf(byId)}
        isLoading={listed.isPending}
        error={listed.error}
        again={() => void listed.refetch()}
        empty={
          <Empty icon={<FolderTree aria-hidden />} title="No group that you may see">
            Ask an admin of a group to give you a role on it.
          </Empty>
        }
      />
      {listed.data?.next_cursor == null ? null : (
        <p className="soft small">The first 500 groups; the command line lists all of them.</p>
      )}
      {isMaking ? <NewGroup onClose={() => setMaking(false)} /> : null}
    </Page>
  );
}

const columnsOf = (numbers: ReadonlyMap<string, Numbers>): readonly Column<GroupPlace>[] => [
  {
    id: 'name',
    title: 'Group',
    width: 'minmax(200px, 3fr)',
    cell: ({ group, depth }) => (
      <Link
        to={`/groups/${group.id}`}
        className="cut block tree-name"
        style={{ '--depth': Math.min(depth, 8) } as CSSProperties}
        title={group.name}
      >
        <bdi>{group.name}</bdi>
      </Link>
    ),
  },
  {
    id: 'nodes',
    title: 'Nodes',
    width: '110px',
    end: true,
    cell: ({ group }) => {
      const one = numbers.get(group.id);
      return one === undefined ? <span className="soft">–</span> : count(one.nodes);
    },
  },
  {
    id: 'all',
    title: 'With below',
    width: '120px',
    end: true,
    cell: ({ group }) => {
      const one = numbers.get(group.id);
      return one === undefined ? (
        <span className="soft">–</span>
      ) : (
        <Link to={`/nodes?group=${group.id}`}>{count(one.nodes_with_below)}</Link>
      );
    },
  },
  {
    id: 'quota',
    title: 'Quota',
    width: 'minmax(150px, 1fr)',
    cell: ({ group }) => (
      <QuotaBar max={group.nodes_max} used={numbers.get(group.id)?.nodes_with_below ?? 0} />
    ),
  },
  {
    id: 'upgrades',
    title: 'Upgrades',
    width: '130px',
    cell: ({ group }) => {
      const mode = numbers.get(group.id)?.upgrades ?? null;
      return mode === null ? <span className="soft">–</span> : <ModeBadge mode={mode} />;
    },
  },
];

const QuotaBar = ({
  max,
  used,
}: {
  readonly max: number | null;
  readonly used: number;
}): ReactNode => {
  if (max === null) return <span className="soft">no limit</span>;
  const isFull = used >= max;
  return (
    <span className="stack-tight">
      <span className="small figures">
        {count(used)} of {counted(max, 'node')}
      </span>
      <PartsBar
        label="Quota"
        parts={[
          { name: 'used', tone: isFull ? 'bad' : 'good', n: Math.min(used, max) },
          { name: 'free', tone: 'none', n: Math.max(0, max - used) },
        ]}
      />
    </span>
  );
};

const NewGroup = ({ onClose }: { readonly onClose: () => void }): ReactNode => {
  const can = useCan();
  const navigate = useNavigate();
  const { groups } = useGroups();
  const create = useCall('groups.create', { stale: ['fleet'] });
  const open = groups.filter(({ id }) => can('group.manage', id));
  const [name, setName] = useState('');
  const [parent, setParent] = useState<string | null>(treeOf(open)[0]?.group.id ?? null);
  const make = async (): Promise<void> => {
    const body = { name, ...(parent === null ? {} : { parent_id: parent }) };
    const made = await create.run({ body }).catch(() => null);
    if (made === null) return;
    say(`${made.name} is made`);
    void navigate(`/groups/${made.id}`);
  };
  return (
    <Dialog title="New group" isOpen onClose={onClose} isBusy={create.isRunning}>
      <form
        className="stack"
        onSubmit={(event) => {
          event.preventDefault();
          if (!create.isRunning) void make();
        }}
      >
        <TextField
          label="Name"
          hint="Such as a site, a customer, a stage"
          value={name}
          onChange={setName}
          error={problemAt(create.error, 'body.name')}
          maxLength={128}
          autoFocus
          isRequired
        />
        <Select
          label="Below"
          hint="Roles, quotas, freezes and the upgrade switch flow down from there"
          value={parent}
          onChange={setParent}
          choices={groupChoices(open)}
        />
        {create.error === null ? null : <Problem error={create.error} />}
        <div className="row row-end">
          <Button onPress={onClose} isDisabled={create.isRunning}>
            Go back
          </Button>
          <Button
            kind="primary"
            type="submit"
            isBusy={create.isRunning}
            isDisabled={name.trim() === ''}
          >
            Make the group
          </Button>
        </div>
      </form>
    </Dialog>
  );
};
