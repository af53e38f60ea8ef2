import { Plus, Rocket } from 'lucide-react';
import type { ReactNode } from 'react';
import { Link } from 'react-router';
import { ROLLOUT_STATUSES } from '../../../core/rollout/index.js';
import { useList } from '../../app/api.js';
import { useFilters } from '../../app/filters.js';
import { choicesOf, useCan, useGroups } from '../../app/session.js';
import {
  Button,
  ButtonLink,
  Empty,
  Page,
  Select,
  StateBadge,
  Table,
  Time,
  words,
  type Column,
} from '../../ui/index.js';
import '../../style/change.css';
import { Progress } from './progress.js';
import { standing } from './reasons.js';
import type { Rollout } from './verbs.js';

/** Every rollout that one may see, newest first. */
export default function Rollouts(): ReactNode {
  const can = useCan();
  const { groups, nameOf } = useGroups();
  const { values, set, clear, isFiltered } = useFilters(['status', 'group']);
  const status = ROLLOUT_STATUSES.find((one) => one === values.status);
  const list = useList('rollouts.list', {
    query: {
      limit: 50,
      ...(status === undefined ? {} : { status }),
      ...(values.group === undefined ? {} : { group_id: values.group }),
    },
  });
  const start = can('group.upgrade') ? (
    <ButtonLink to="/rollouts/new" kind="primary" icon={<Plus aria-hidden />}>
      New rollout
    </ButtonLink>
  ) : undefined;
  return (
    <Page title="Rollouts" actions={start}>
      <div className="toolbar">
        <Select
          label="Status"
          value={values.status ?? ''}
          onChange={(next) => set({ status: next })}
          choices={[
            { value: '', label: 'Any' },
            ...ROLLOUT_STATUSES.map((one) => ({ value: one, label: words(one) })),
          ]}
        />
        <Select
          label="Group"
          wide
          value={values.group ?? ''}
          onChange={(next) => set({ group: next })}
          choices={[{ value: '', label: 'Any' }, ...choicesOf(groups)]}
        />
        {isFiltered ? (
          <Button kind="quiet" onPress={clear}>
            Clear filters
          </Button>
        ) : null}
      </div>
      <Table
        label="Rollouts"
        list={list}
        keyOf={({ id }) => id}
        columns={columnsOf(nameOf)}
        empty={
          isFiltered ? (
            <Empty
              icon={<Rocket aria-hidden />}
              title="No rollout fits the filters"
              action={<Button onPress={clear}>Clear filters</Button>}
            />
          ) : (
            <Empty icon={<Rocket aria-hidden />} title="Nothing was rolled out yet" action={start}>
              A rollout brings a release to nodes, wave by wave, and stops by itself when nodes
              fail.
            </Empty>
          )
        }
      />
    </Page>
  );
}

const columnsOf = (nameOf: (id: string) => string): readonly Column<Rollout>[] => [
  {
    id: 'what',
    title: 'Release',
    width: 'minmax(150px, 1fr)',
    cell: ({ id, product, version }) => (
      <Link to={`/rollouts/${id}`}>
        <strong>
          {product} {version}
        </strong>
      </Link>
    ),
  },
  {
    id: 'status',
    title: 'Status',
    width: '140px',
    cell: ({ status }) => <StateBadge state={status} />,
  },
  {
    id: 'progress',
    title: 'Progress',
    width: '160px',
    cell: (rollout) => <Progress rollout={rollout} brief />,
  },
  {
    id: 'why',
    title: 'Where it stands',
    width: 'minmax(300px, 2fr)',
    cell: ({ status, reason }) => (
      <span className="table-wrap why-cell" title={reason}>
        {standing(status, reason)}
      </span>
    ),
  },
  {
    id: 'where',
    title: 'Where',
    width: '120px',
    cell: ({ scope }) =>
      scope.kind === 'node' ? (
        <Link to={`/nodes/${scope.id}`} className="mono">
          {scope.id}
        </Link>
      ) : (
        <bdi>{nameOf(scope.id)}</bdi>
      ),
  },
  {
    id: 'who',
    title: 'By',
    width: '104px',
    cell: ({ created_by: by }) => <bdi title={by}>{by}</bdi>,
  },
  {
    id: 'when',
    title: 'Begun',
    width: '148px',
    cell: ({ created_at: at }) => <Time at={at} />,
  },
];
