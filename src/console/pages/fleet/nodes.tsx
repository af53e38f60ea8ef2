import { ArrowRightLeft, PlugZap, RefreshCw, Server } from 'lucide-react';
import { useMemo, useState, type ReactNode } from 'react';
import { useFilters } from '../../app/filters.js';
import { useCan, useGroups } from '../../app/session.js';
import {
  Button,
  ButtonLink,
  count,
  counted,
  Empty,
  Page,
  Table,
  type Sorting,
} from '../../ui/index.js';
import '../../style/fleet.css';
import { nodeColumns } from './node-columns.js';
import { NODE_FILTERS, NodeFilters, wishesOf } from './node-filters.js';
import { useNodeRows, type FleetNode, type NodeWishes } from './node-rows.js';
import { SavedViews } from './saved-views.js';
import { TransferDialog } from './transfer-dialog.js';
import { UpgradeDialog } from './upgrade-dialog.js';

const SORTS = ['name', 'status', 'upgrade', 'upgrader', 'enrolled_at', 'last_seen_at'];

/** Every node that the caller may see, as many as there are. */
export default function Nodes(): ReactNode {
  const can = useCan();
  const filters = useFilters(NODE_FILTERS);
  const order = useFilters(['sort', 'order']);
  const isGone = filters.values.status === 'offline';
  const sorting = sortingOf(order.values, isGone);
  const wishes: NodeWishes = {
    ...wishesOf(filters.values),
    sort: sorting.by as 'name',
    order: sorting.descending ? 'desc' : 'asc',
  };
  const rows = useNodeRows(wishes);
  const [selected, setSelected] = useState<ReadonlySet<string>>(new Set());
  const [open, setOpen] = useState<'transfer' | FleetNode | null>(null);
  const { nameOf } = useGroups();
  const columns = useMemo(
    () =>
      nodeColumns({
        nameOf,
        isGone,
        onUpgrade: setOpen,
        mayUpgrade: (node) =>
          node.status !== 'revoked' &&
          node.capabilities.includes('upgrade') &&
          can('node.upgrade', node.group_id),
      }),
    [can, nameOf, isGone],
  );
  const picked = rows.items.filter(({ id }) => selected.has(id));
  return (
    <Page
      title="Nodes"
      beside={
        <span className="soft figures" aria-live="polite">
          {rows.total === null ? '' : counted(rows.total, 'node')}
        </span>
      }
      actions={
        <>
          <SavedViews />
          {can('node.enroll') ? (
            <ButtonLink to="/enrollment" kind="primary" icon={<PlugZap aria-hidden />}>
              Enroll
            </ButtonLink>
          ) : null}
        </>
      }
    >
      <NodeFilters filters={filters} />
      {rows.isOld ? (
        <div className="banner selection-bar">
          <span className="grow">The fleet changed since these rows were read.</span>
          <Button icon={<RefreshCw aria-hidden />} onPress={rows.again}>
            Read again
          </Button>
        </div>
      ) : null}
      {picked.length > 0 ? (
        <div className="selection-bar">
          <strong className="grow figures">{counted(picked.length, 'node')} selected</strong>
          <Button icon={<ArrowRightLeft aria-hidden />} onPress={() => setOpen('transfer')}>
            Transfer…
          </Button>
          <Button kind="quiet" onPress={() => setSelected(new Set())}>
            Select none
          </Button>
        </div>
      ) : null}
      <Table
        label="Nodes"
        list={rows}
        keyOf={({ id }) => id}
        columns={columns}
        total={rows.total}
        sorting={sorting}
        onSort={({ by, descending }) => order.set({ sort: by, order: descending ? 'desc' : 'asc' })}
        {...(can('node.enroll') ? { selected, onSelect: setSelected } : {})}
        empty={<NoNodes isFiltered={filters.isFiltered} clear={filters.clear} />}
      />
      {open === 'transfer' ? (
        <TransferDialog
          nodes={picked}
          onClose={() => setOpen(null)}
          onDone={() => setSelected(new Set())}
        />
      ) : open === null ? null : (
        <UpgradeDialog node={open} onClose={() => setOpen(null)} />
      )}
    </Page>
  );
}

function sortingOf(
  { sort, order }: Readonly<Partial<Record<'sort' | 'order', string>>>,
  isGone: boolean,
): Sorting {
  const by = sort !== undefined && SORTS.includes(sort) ? sort : 'name';
  // Who is online was seen just now: there is nothing to sort by.
  if (by === 'last_seen_at' && !isGone) return { by: 'name', descending: false };
  return { by, descending: order === 'desc' };
}

const NoNodes = ({
  isFiltered,
  clear,
}: {
  readonly isFiltered: boolean;
  readonly clear: () => void;
}): ReactNode => {
  const can = useCan();
  if (isFiltered)
    return (
      <Empty
        icon={<Server aria-hidden />}
        title="No node fits"
        action={<Button onPress={clear}>Clear the filters</Button>}
      >
        Each filter that is set must fit; take one away.
      </Empty>
    );
  return (
    <Empty
      icon={<Server aria-hidden />}
      title="No nodes yet"
      action={
        can('node.enroll') ? (
          <ButtonLink to="/enrollment" kind="primary">
            Enroll the first node
          </ButtonLink>
        ) : undefined
      }
    >
      {count(0)} machines have the agent. Make a token and run one line on each.
    </Empty>
  );
};
