import { useInfiniteQuery } from '@tanstack/react-query';
import { useMemo, useState, useSyncExternalStore, type ReactNode } from 'react';
import { Link } from 'react-router';
import type { Answer } from '../../../client/index.js';
import { api, useApi } from '../../app/api.js';
import {
  Button,
  Countdown,
  Dialog,
  Empty,
  Loaded,
  sentence,
  Select,
  StateBadge,
  Table,
  Time,
  words,
  type Column,
} from '../../ui/index.js';
import { STATES, type CellStore } from './cells.js';
import { reasonInWords } from './reasons.js';
import type { Rollout } from './verbs.js';

type Target = Answer<'rollouts.targets'>['items'][number];
type TargetState = Target['state'];
const PAGE = 200;
/** Pages that were read are asked for anew while they are few; the states come from the cells anyway. */
const PAGES_KEPT_FRESH = 2;
const EVERY_MS = 5_000;

/** Every node in words: the picture for who cannot see it, and where a reason is asked for. */
export const RolloutTargets = ({
  rollout,
  store,
  only,
  onOnly,
}: {
  readonly rollout: Rollout;
  readonly store: CellStore;
  readonly only: string | null;
  readonly onOnly: (state: string | null) => void;
}): ReactNode => {
  const [asked, setAsked] = useState<Target | null>(null);
  const targets = useTargets(rollout.id, only);
  // Drawn again when cells change.
  useSyncExternalStore(store.subscribe, store.snapshot);
  const columns = useMemo(() => columnsOf(store, setAsked), [store]);
  return (
    <div>
      <div className="toolbar">
        <Select
          label="State"
          value={only ?? ''}
          onChange={(state) => onOnly(state === '' ? null : state)}
          choices={[
            { value: '', label: 'All' },
            ...STATES.map((state) => ({ value: state, label: words(state) })),
          ]}
        />
      </div>
      <Table
        label="Nodes of this rollout"
        list={targets}
        keyOf={(target) => target.node_id}
        columns={columns}
        height={targets.items.length > 12 ? '560px' : undefined}
        empty={
          <Empty
            title={only === null ? 'No node takes part' : `No node is ${words(only)}`}
            action={only === null ? null : <Button onPress={() => onOnly(null)}>Show all</Button>}
          >
            {only === null
              ? 'Look at what was left out, and why.'
              : 'The filter above hides the others.'}
          </Empty>
        }
      />
      {asked === null ? null : (
        <WhyNot rolloutId={rollout.id} target={asked} onClose={() => setAsked(null)} />
      )}
    </div>
  );
};

function useTargets(
  id: string,
  only: string | null,
): {
  readonly items: readonly Target[];
  readonly hasMore: boolean;
  readonly isLoading: boolean;
  readonly error: Error | null;
  readonly more: () => void;
  readonly again: () => void;
} {
  const query = useInfiniteQuery({
    // Under a name of its own: events must not make hundreds of pages be asked for again.
    queryKey: ['targets', id, only],
    queryFn: ({ pageParam, signal }) =>
      api.call(
        'rollouts.targets',
        {
          params: { id },
          query: {
            limit: PAGE,
            ...(only === null ? {} : { state: only as TargetState }),
            ...(pageParam === null ? {} : { cursor: pageParam }),
          },
        },
        { signal },
      ),
    initialPageParam: null as string | null,
    getNextPageParam: (last) => last.next_cursor,
    refetchInterval: ({ state }) =>
      (state.data?.pages.length ?? 0) <= PAGES_KEPT_FRESH ? EVERY_MS : false,
  });
  const items = useMemo(
    () => (query.data?.pages ?? []).flatMap((page) => page.items),
    [query.data],
  );
  return {
    items,
    hasMore: query.hasNextPage,
    isLoading: query.isPending,
    error: query.error,
    more: () => {
      if (query.hasNextPage && !query.isFetchingNextPage) void query.fetchNextPage();
    },
    again: () => void query.refetch(),
  };
}

const columnsOf = (store: CellStore, ask: (target: Target) => void): readonly Column<Target>[] => [
  {
    id: 'node',
    title: 'Node',
    width: 'minmax(150px, 1fr)',
    cell: (target) => (
      <Link to={`/nodes/${target.node_id}`}>
        <bdi>{target.node_name}</bdi>
      </Link>
    ),
  },
  {
    id: 'state',
    title: 'State',
    width: '140px',
    cell: (target) => <StateBadge state={store.stateOf(target.node_id) ?? target.state} />,
  },
  {
    id: 'why',
    title: 'Reason',
    width: 'minmax(280px, 2fr)',
    cell: (target) => (
      <span title={target.reason} className="table-wrap why-cell">
        {sentence(reasonInWords(target.reason))}
        {target.error_code === null ? null : (
          <>
            {' '}
            <a href={`/docs/errors#${target.error_code}`}>
              <code>{target.error_code}</code>
            </a>
          </>
        )}
        {target.offline ? <span className="soft"> · away</span> : null}
      </span>
    ),
  },
  { id: 'wave', title: 'Wave', width: '64px', end: true, cell: ({ wave }) => wave + 1 },
  {
    id: 'from',
    title: 'From',
    width: '110px',
    cell: ({ from_version: from }) => from ?? <span className="soft">unknown</span>,
  },
  {
    id: 'changed',
    title: 'Changed',
    width: '140px',
    cell: ({ updated_at: at }) => <Time at={at} />,
  },
  {
    id: 'ask',
    title: '',
    width: '144px',
    cell: (target) =>
      (store.stateOf(target.node_id) ?? target.state) === 'succeeded' ? null : (
        <Button kind="quiet" onPress={() => ask(target)}>
          Why not?
        </Button>
      ),
  },
];

/** What holds one node back, outermost first. */
const WhyNot = ({
  rolloutId,
  target,
  onClose,
}: {
  readonly rolloutId: string;
  readonly target: Target;
  readonly onClose: () => void;
}): ReactNode => {
  const query = useApi('rollouts.why', { params: { id: rolloutId, node: target.node_id } });
  return (
    <Dialog title={`Why not now: ${target.node_name}`} isOpen onClose={onClose}>
      <Loaded query={query}>
        {({ state, because }) =>
          because.length === 0 ? (
            <p>
              Nothing holds it back: it is <StateBadge state={state} />
            </p>
          ) : (
            <ol className="because">
              {because.map(({ code, message, until }) => (
                <li key={code}>
                  <strong>{sentence(reasonInWords(code))}</strong>
                  <span>
                    {sentence(message)}. <span className="soft">{untilWords(until)}</span>{' '}
                    <Countdown until={until} />
                  </span>
                </li>
              ))}
            </ol>
          )
        }
      </Loaded>
    </Dialog>
  );
};

const untilWords = (until: string | null): string =>
  until === null ? 'Only news or a person changes this.' : 'This could change in';
