import { EVENT_TYPES } from '../../protocol/index.js';
import { FleetError } from '../../core/kernel/index.js';
import { usageError, type Command } from '../command.js';
import {
  connect,
  ITEMS_OPTIONS,
  MANAGER_OPTIONS,
  OUTPUT_OPTION,
  show,
  showRows,
} from '../connection.js';
import { facts, table } from '../output/index.js';
import { Moment, oneOf, Span, whole } from '../values.js';
import { EVENT_COLUMNS, EventId, FILTER_OPTIONS, filtersOf } from './filters.js';

const Rows = whole(1, 1_000);
const GROUPINGS = ['type', 'category', 'severity', 'group_id'] as const;
const DAY_SECONDS = 86_400;

export const listEvents: Command = {
  name: 'events list',
  summary: 'what happened, oldest first or newest first',
  operands: [],
  options: {
    after: { value: 'N', help: 'events behind this id (default 0)' },
    newest: { help: 'newest first' },
    before: { value: 'N', help: 'with --newest: events before this id' },
    ...FILTER_OPTIONS,
    limit: { value: 'N', help: 'rows at most (default 100, 1000 at most)' },
    ...ITEMS_OPTIONS,
  },
  run: async (given, terminal) => {
    const isNewest = given.isSet('newest');
    const query = {
      after: given.read('after', EventId),
      before: given.read('before', EventId),
      order: isNewest ? ('newest' as const) : undefined,
      limit: given.read('limit', Rows),
      ...filtersOf(given),
    };
    const client = await connect(given, terminal);
    await showRows(given, terminal, {
      load: () => client.call('events.list', { query }),
      columns: EVENT_COLUMNS,
      whenEmpty: 'no events',
      after: ({ next_before: before, next_after: after }) => {
        const older = before === null ? '' : `(older ones: --before ${before})\n`;
        return isNewest ? older : `(go on with --after ${after})\n`;
      },
    });
  },
};

export const showEvent: Command = {
  name: 'events show',
  summary: 'one event with all its details',
  operands: ['ID'],
  options: { ...MANAGER_OPTIONS, ...OUTPUT_OPTION },
  run: async (given, terminal) => {
    const read = EventId.safeParse(given.operand(0));
    if (!read.success) throw usageError('`events show` takes the number of an event');
    const client = await connect(given, terminal);
    const query = { after: Math.max(0, read.data - 1), limit: 1 };
    const { items } = await client.call('events.list', { query });
    const found = items.find(({ id }) => id === read.data);
    if (found === undefined) {
      throw new FleetError('not_found', `there is no event ${read.data}, or you may not see it`);
    }
    show(given, terminal, found, ({ details, ...event }) =>
      facts([
        ...Object.entries(event).map(
          ([name, value]) => [name.replaceAll('_', ' '), value] as const,
        ),
        ...Object.entries(details).map(
          ([name, value]) =>
            [`details ${name}`, typeof value === 'string' ? value : JSON.stringify(value)] as const,
        ),
      ]),
    );
  },
};

export const countEvents: Command = {
  name: 'events count',
  summary: 'how many events there were over time',
  operands: [],
  options: {
    last: { value: 'SPAN', help: 'such as 6h or 7d (default 1d)' },
    since: { value: 'TIME', help: 'from this moment on, instead of --last' },
    until: { value: 'TIME', help: 'before this moment (default now)' },
    bucket: { value: 'SPAN', help: 'one row for so long, 5m and more (default 1h)' },
    by: { value: 'WHAT', help: `${GROUPINGS.join(', ')} (default type)` },
    category: FILTER_OPTIONS['category'] ?? { help: '' },
    type: FILTER_OPTIONS['type'] ?? { help: '' },
    'min-severity': FILTER_OPTIONS['min-severity'] ?? { help: '' },
    group: FILTER_OPTIONS['group'] ?? { help: '' },
    ...MANAGER_OPTIONS,
    ...OUTPUT_OPTION,
  },
  run: async (given, terminal) => {
    const { category, type, min_severity, group_id } = filtersOf(given);
    const lastMs = (given.read('last', Span) ?? DAY_SECONDS) * 1_000;
    const until = given.read('until', Moment) ?? new Date(terminal.now()).toISOString();
    const since = given.read('since', Moment) ?? new Date(Date.parse(until) - lastMs).toISOString();
    const bucketSeconds = given.read('bucket', Span);
    const client = await connect(given, terminal);
    const answer = await client.call('events.counts', {
      query: {
        since,
        until,
        by: given.read('by', oneOf(GROUPINGS)),
        bucket_minutes: bucketSeconds === undefined ? undefined : bucketSeconds / 60,
        category,
        type,
        min_severity,
        group_id,
      },
    });
    show(given, terminal, answer, ({ buckets, totals }) => {
      const rows = buckets.flatMap(({ at, counts }) =>
        Object.entries(counts).map(([what, count]) => ({ at, what, count })),
      );
      const all = Object.entries(totals).map(([what, count]) => ({ at: 'in all', what, count }));
      return table(
        [...rows, ...all],
        [
          ['from', (row) => row.at, 'time'],
          ['what', (row) => row.what],
          ['events', (row) => row.count],
          ['meaning', ({ what }) => meaningOf(what)],
        ],
        'no events',
      );
    });
  },
};

const meaningOf = (what: string): string | null =>
  Object.hasOwn(EVENT_TYPES, what) ? EVENT_TYPES[what as keyof typeof EVENT_TYPES].meaning : null;
