import { ArrowUp, Download, Pause, Play, ScrollText } from 'lucide-react';
import {
  useCallback,
  useEffect,
  useMemo,
  useState,
  useSyncExternalStore,
  type ReactNode,
} from 'react';
import { Link } from 'react-router';
import { api } from '../../app/api.js';
import { useFilters } from '../../app/filters.js';
import { useGroups } from '../../app/session.js';
import '../../style/evidence.css';
import {
  Badge,
  Button,
  count,
  counted,
  Empty,
  Note,
  Page,
  Problem,
  sentence,
  Table,
  words,
  type Column,
} from '../../ui/index.js';
import { EventChart } from './event-chart.js';
import { EventDetails } from './event-details.js';
import {
  EventFeed,
  ROWS_MAX,
  type EventFilter,
  type FeedRow,
  type FeedState,
} from './event-feed.js';
import { useEventFilter } from './event-filter.js';
import { EventToolbar } from './event-toolbar.js';
import { useNodeNames } from './node-names.js';
import { SeverityBadge } from './severity.js';
import { Stamp } from './stamp.js';

/** Closer to the top than this counts as at the top. */
const TOP_PX = 8;

function useFeed(filter: EventFilter): { readonly feed: EventFeed; readonly state: FeedState } {
  const feed = useMemo(() => new EventFeed(filter), [filter]);
  useEffect(() => {
    // A stretch of time that is over has nothing to follow.
    void feed.start(filter.until === undefined);
    return () => feed.stop();
  }, [feed, filter]);
  return { feed, state: useSyncExternalStore(feed.subscribe, feed.state) };
}

export default function Events(): ReactNode {
  const { values, set, clear, isFiltered, filter } = useEventFilter();
  const opened = useFilters(['event']);
  const { feed, state } = useFeed(filter);
  const [isPaused, setPaused] = useState(false);
  const [isAtTop, setAtTop] = useState(true);
  useEffect(() => feed.hold(isPaused || !isAtTop), [feed, isPaused, isAtTop]);
  const pick = useCallback(
    (since: string, until: string) => set({ since, until, range: null }),
    [set],
  );
  const open = useCallback((id: number) => opened.set({ event: String(id) }), [opened.set]);
  const openId = Number(opened.values.event ?? NaN);
  const columns = useColumns(open);
  return (
    <Page
      title="Events"
      beside={<TailBadge state={state} isPaused={isPaused} isOver={filter.until !== undefined} />}
      actions={
        <>
          {filter.until === undefined ? (
            <Button
              icon={isPaused ? <Play aria-hidden /> : <Pause aria-hidden />}
              onPress={() => setPaused(!isPaused)}
            >
              {isPaused ? 'Resume' : 'Pause'}
            </Button>
          ) : null}
          <a
            className="button button-plain"
            href={api.addressOf('events.export', { query: filter }).href}
            download
          >
            <Download aria-hidden />
            Export NDJSON
          </a>
        </>
      }
    >
      <div className="stack">
        <EventToolbar values={values} set={set} clear={clear} isFiltered={isFiltered} />
        <EventChart filter={filter} onPick={pick} />
        <FeedNotes state={state} />
        <div
          className="feed"
          onScrollCapture={({ target }) => {
            if (target instanceof HTMLElement && target.classList.contains('table-frame'))
              setAtTop(target.scrollTop <= TOP_PX);
          }}
        >
          {state.waiting === 0 ? null : (
            <Waiting
              n={state.waiting}
              onShow={() => {
                setPaused(false);
                setAtTop(true);
                document.querySelector('.feed .table-frame')?.scrollTo({ top: 0 });
                feed.hold(false);
              }}
            />
          )}
          <Table
            label="Events, newest first"
            list={{ ...state, items: state.rows, more: feed.more }}
            keyOf={({ id }) => String(id)}
            columns={columns}
            empty={<NoEvents isFiltered={isFiltered} clear={clear} />}
          />
        </div>
      </div>
      {Number.isSafeInteger(openId) && openId > 0 ? (
        <EventDetails
          id={openId}
          found={state.rows.find(({ id }) => id === openId)}
          onClose={() => opened.set({ event: null })}
        />
      ) : null}
    </Page>
  );
}

const TailBadge = ({
  state,
  isPaused,
  isOver,
}: {
  readonly state: FeedState;
  readonly isPaused: boolean;
  readonly isOver: boolean;
}): ReactNode => {
  if (isOver) return <Badge>a time that is over</Badge>;
  if (isPaused) return <Badge tone="warn">paused</Badge>;
  if (state.tail === 'live') return <Badge tone="good">live</Badge>;
  return <Badge>{state.tail === 'connecting' ? 'connecting' : 'not live'}</Badge>;
};

const FeedNotes = ({ state }: { readonly state: FeedState }): ReactNode => (
  <>
    {state.tailError === null || state.tail === 'live' ? null : <Problem error={state.tailError} />}
    {state.error !== null && state.rows.length > 0 ? <Problem error={state.error} /> : null}
    {state.notDrawn === 0 ? null : (
      <Note tone="warn">
        <span role="status">
          {counted(state.notDrawn, 'event')} came faster than can be shown and{' '}
          {state.notDrawn === 1 ? 'was' : 'were'} not drawn. All are in the log: scroll down, narrow
          the filter, or export.
        </span>
      </Note>
    )}
    {state.rows.length >= ROWS_MAX ? (
      <Note>
        These are the newest {count(ROWS_MAX)} events that fit. Narrow the time to see older ones.
      </Note>
    ) : null}
  </>
);

const Waiting = ({ n, onShow }: { readonly n: number; readonly onShow: () => void }): ReactNode => (
  <div className="feed-waiting">
    <Button kind="primary" icon={<ArrowUp aria-hidden />} onPress={onShow}>
      {counted(n, 'new event')}
    </Button>
  </div>
);

const NoEvents = ({
  isFiltered,
  clear,
}: {
  readonly isFiltered: boolean;
  readonly clear: () => void;
}): ReactNode => (
  <Empty
    icon={<ScrollText aria-hidden />}
    title={isFiltered ? 'No event fits these filters' : 'Nothing has happened yet'}
    action={isFiltered ? <Button onPress={clear}>Clear all filters</Button> : null}
  >
    {isFiltered
      ? 'Widen the time or take a filter away. New events that fit come in by themselves.'
      : 'Events come when nodes connect, upgrade and report. Enroll a node to see the first.'}
  </Empty>
);

function useColumns(open: (id: number) => void): readonly Column<FeedRow>[] {
  const { nameOf } = useGroups();
  const nodeName = useNodeNames();
  return useMemo(
    () => [
      {
        id: 'at',
        title: 'Received',
        width: '192px',
        cell: ({ event }) => <Stamp at={event.at} />,
      },
      {
        id: 'type',
        title: 'Type',
        width: 'minmax(170px, 1fr)',
        cell: ({ id, event }) => (
          <button type="button" className="cell-button cut" onClick={() => open(id)}>
            {sentence(words(event.type))}
          </button>
        ),
      },
      {
        id: 'severity',
        title: 'Severity',
        width: '112px',
        cell: ({ event }) => <SeverityBadge severity={event.severity} />,
      },
      {
        id: 'message',
        title: 'What happened',
        width: 'minmax(300px, 1.7fr)',
        cell: ({ event }) => (
          <span title={event.message} className="fill">
            {event.error_code === null ? null : (
              <code className="code-chip">{event.error_code}</code>
            )}
            <bdi>{event.message}</bdi>
          </span>
        ),
      },
      {
        id: 'node',
        title: 'Node',
        width: 'minmax(130px, 1fr)',
        cell: ({ event }) =>
          event.node_id === null ? (
            <span className="soft">–</span>
          ) : (
            <Link to={`/nodes/${event.node_id}`}>
              <bdi title={event.node_id}>{nodeName(event.node_id)}</bdi>
            </Link>
          ),
      },
      {
        id: 'group',
        title: 'Group',
        width: 'minmax(110px, 1fr)',
        cell: ({ event }) => <bdi>{nameOf(event.group_id)}</bdi>,
      },
    ],
    [open, nameOf, nodeName],
  );
}
