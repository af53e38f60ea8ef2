import { FolderPlus, FolderTree } from 'lucide-react';
import { useMemo, useState, type CSSProperties, type ReactNode } from 'react';
import { Link, useNavigate } from 'react-router';
import { useApi, useCall } from '../../app/api.js';
import { useFilters } from '../../app/filters.js';
import { useCan, useGroupList, useGroups } from '../../app/session.js';
import {
  Button,
  count,
  counted,
  Empty,
  FormDialog,
  Page,
  PartsBar,
  problemAt,
  say,
  SearchField,
  Select,
  Table,
  TextField,
  type Column,
} from '../../ui/index.js';
import '../../style/fleet.css';
import { groupChoices, placesWith, treeOf, type GroupPlace } from './group-choices.js';
import { ModeBadge, type Numbers } from './group-parts.js';

/** Fewer than this are seen at a glance. */
const SEARCHED_FROM = 12;

/** The tree of groups that the caller may see. */
export default function Groups(): ReactNode {
  const can = useCan();
  const { groups, pathOf } = useGroups();
  const listed = useGroupList();
  const { values, set } = useFilters(['text']);
  const numbers = useApi('fleet.groups', {}, { everyMs: 30_000 });
  const [isMaking, setMaking] = useState(false);
  const columns = useMemo(
    () => columnsOf(new Map((numbers.data?.items ?? []).map((one) => [one.group_id, one]))),
    [numbers.data],
  );
  const places = useMemo(() => treeOf(groups), [groups]);
  const text = values.text ?? '';
  const shown = useMemo(() => placesWith(places, text, pathOf), [places, text, pathOf]);
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
      {groups.length <= SEARCHED_FROM && text === '' ? null : (
        <div className="toolbar" role="search" aria-label="Filters">
          <SearchField
            label="Search groups"
            placeholder="Name or id"
            value={text}
            onChange={(next) => set({ text: next })}
          />
        </div>
      )}
      <Table
        label="Groups"
        list={{
          items: shown,
          isLoading: listed.isPending,
          error: listed.error,
          again: () => void listed.refetch(),
        }}
        keyOf={({ group }) => group.id}
        columns={columns}
        empty={
          text === '' ? (
            <Empty icon={<FolderTree aria-hidden />} title="No group that you may see">
              Ask an admin of a group to give you a role on it.
            </Empty>
          ) : (
            <Empty
              icon={<FolderTree aria-hidden />}
              title="No group has this in its name"
              action={<Button onPress={() => set({ text: null })}>Show all</Button>}
            />
          )
        }
      />
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
  return (
    <FormDialog
      title="New group"
      verb="Make the group"
      isReady={name.trim() !== ''}
      isBusy={create.isRunning}
      error={create.error}
      onSubmit={async () => {
        const body = { name, ...(parent === null ? {} : { parent_id: parent }) };
        const made = await create.run({ body });
        say(`${made.name} is made`);
        void navigate(`/groups/${made.id}`);
      }}
      onClose={onClose}
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
    </FormDialog>
  );
};
