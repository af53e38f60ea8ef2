import { z } from 'zod';
import { Channel, ProductName } from '../../core/release/index.js';
import { usageError, type Command, type Given, type OptionSpec } from '../command.js';
import {
  connect,
  LIST_OPTIONS,
  MANAGER_OPTIONS,
  OUTPUT_OPTION,
  show,
  SHOW_OPTIONS,
  showList,
  showOne,
} from '../connection.js';
import { facts, type Block, type Column } from '../output/index.js';
import { oneOf, present, Span, Words } from '../values.js';
import { planNamed, scheduleNamed, type Schedule } from './find.js';

const DAYS = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'] as const;
const Days = Words.pipe(
  z.array(z.enum(DAYS, { error: `take days such as mon,tue; there are ${DAYS.join(', ')}` })),
);
const Clock = z.string().regex(/^([01]\d|2[0-3]):[0-5]\d$/, 'take a time such as 22:30');

const COLUMNS: readonly Column<Schedule>[] = [
  ['name', (schedule) => schedule.name],
  ['id', (schedule) => schedule.id, 'id'],
  ['group', (schedule) => schedule.group_id],
  ['product', ({ product, channel }) => `${product} (${channel})`],
  ['plan', (schedule) => schedule.plan],
  ['state', (schedule) => schedule.state, 'state'],
  ['reason', (schedule) => schedule.reason],
  ['next window', (schedule) => schedule.next_window?.from ?? null, 'time'],
  ['last', ({ last }) => (last === null ? '' : `${last.result} ${last.version ?? ''}`.trim())],
  ['maker', ({ maker }) => maker.name, 'wide'],
  ['last at', ({ last }) => last?.at ?? null, 'wide-time'],
];

const windowText = ({ window }: Schedule): string =>
  window === null
    ? 'at any time'
    : `${window.days.join(', ')} from ${window.start} for ${window.duration_minutes} min (${window.time_zone})`;

const reasonText = ({ reason, message, until }: Schedule): string =>
  [reason, message, until === null ? '' : `until ${until}`]
    .filter((part) => part !== '')
    .join(': ');

const lastText = ({ last }: Schedule): string =>
  last === null
    ? 'nothing yet'
    : [`${last.result} ${last.version ?? ''} at ${last.at}`, last.reason, last.message]
        .filter((part) => part !== '')
        .join(': ');

const scheduleText = (schedule: Schedule): Block =>
  facts([
    ['name', schedule.name],
    ['id', schedule.id],
    ['group', schedule.group_id],
    ['starts', `${schedule.product} from ${schedule.channel}`],
    ['plan', `${schedule.plan} (${schedule.plan_id})`],
    ['window', windowText(schedule)],
    ['when busy', schedule.when_busy],
    ['state', schedule.state],
    ['reason', reasonText(schedule)],
    ['next release', schedule.next_version ?? 'none'],
    [
      'next window',
      schedule.next_window === null
        ? null
        : `${schedule.next_window.from} to ${schedule.next_window.to}`,
    ],
    ['last', lastText(schedule)],
    ['last rollout', schedule.last?.rollout_id ?? null],
    ['rights of', `${schedule.maker.kind} ${schedule.maker.name}`],
  ]);

const GROUP_OPTION = { group: { value: 'ID', help: 'of this group, for a name' } };

export const listSchedules: Command = {
  name: 'schedules list',
  summary: 'what starts rollouts by itself: next window, last result',
  operands: [],
  options: { group: { value: 'ID', help: 'of this group only' }, ...LIST_OPTIONS },
  run: async (given, terminal) => {
    const client = await connect(given, terminal);
    const wanted = present({ group_id: given.optional('group') });
    await showList(given, terminal, {
      page: (query) => client.call('schedules.list', { query: { ...wanted, ...query } }),
      columns: COLUMNS,
      whenEmpty: 'no schedules: make one with `bellwether schedules create`',
    });
  },
};

export const showSchedule: Command = {
  name: 'schedules show',
  summary: 'one schedule: what it waits for, and what became of the last release',
  operands: ['SCHEDULE'],
  options: { ...GROUP_OPTION, ...SHOW_OPTIONS },
  run: async (given, terminal) => {
    const client = await connect(given, terminal);
    const find = () => scheduleNamed(client, given.operand(0), given.optional('group'));
    await showOne(given, terminal, find, scheduleText);
  },
};

const BUSY = ['wait', 'supersede'] as const;
const WINDOW_OPTIONS: Readonly<Record<string, OptionSpec>> = {
  days: { value: 'D,D,...', help: 'window: days such as mon,tue (default every day)' },
  start: { value: 'HH:MM', help: 'window: when it opens; without a window, at any time' },
  duration: { value: 'D', help: 'window: how long it is open, such as 4h' },
  'time-zone': { value: 'Z', help: 'window: such as Europe/Berlin (default UTC)' },
};

/** What is said about a window; undefined when nothing is. */
function windowTerms(given: Given) {
  const seconds = given.read('duration', Span);
  const terms = present({
    days: given.read('days', Days),
    start: given.read('start', Clock),
    duration_minutes: seconds === undefined ? undefined : Math.round(seconds / 60),
    time_zone: given.optional('time-zone'),
  });
  return Object.keys(terms).length === 0 ? undefined : terms;
}

/** All of it, or nothing: a window of which half is a guess opens at a wrong time. */
function wholeWindow(terms: NonNullable<ReturnType<typeof windowTerms>>) {
  const { days = [...DAYS], start, duration_minutes } = terms;
  if (start !== undefined && duration_minutes !== undefined) {
    return { ...terms, days, start, duration_minutes };
  }
  const isZoneAlone = Object.keys(terms).every((name) => name === 'time_zone');
  throw usageError(
    isZoneAlone
      ? '--time-zone is of a window: give --start and --duration too'
      : 'a window needs --start and --duration',
  );
}

/** The window that is wanted in place of `before`: what is not said of it stays. Undefined: no other one. */
function windowAfter(given: Given, before: Schedule['window']) {
  const terms = windowTerms(given);
  if (!given.isSet('any-time')) {
    return terms === undefined ? undefined : wholeWindow({ ...before, ...terms });
  }
  if (terms === undefined) return null;
  throw usageError('--any-time takes the window away: leave out what is said about one');
}

export const createSchedule: Command = {
  name: 'schedules create',
  summary: 'roll releases of a product out to a group as they come to a channel; with your rights',
  operands: ['NAME'],
  options: {
    product: { value: 'P', help: 'what to upgrade', isRequired: true },
    plan: { value: 'PLAN', help: 'a stored plan, by name or id', isRequired: true },
    group: { value: 'ID', help: 'where to (default grp_default)' },
    channel: { value: 'C', help: 'its channel (default stable)' },
    ...WINDOW_OPTIONS,
    'when-busy': {
      value: 'W',
      words: BUSY,
      help: 'while a rollout of the product is open there: wait (default), or cancel it',
    },
    from: {
      value: 'WHEN',
      words: ['next', 'current'],
      help: 'with the next release (default), or the current one',
    },
    paused: { help: 'start nothing until resumed' },
    ...MANAGER_OPTIONS,
    ...OUTPUT_OPTION,
  },
  run: async (given, terminal) => {
    const group = given.optional('group');
    const window = windowTerms(given);
    const fixed = {
      name: given.operand(0),
      product: given.need('product', ProductName),
      window: window === undefined ? null : wholeWindow(window),
      paused: given.isSet('paused'),
      ...present({
        group_id: group,
        channel: given.read('channel', Channel),
        when_busy: given.read('when-busy', oneOf(BUSY)),
        from: given.read('from', oneOf(['next', 'current'])),
      }),
    };
    const client = await connect(given, terminal);
    const plan = await planNamed(client, given.need('plan', z.string()), group ?? 'grp_default');
    const body = { ...fixed, plan_id: plan.id };
    show(given, terminal, await client.call('schedules.create', { body }), scheduleText);
  },
};

export const updateSchedule: Command = {
  name: 'schedules update',
  summary: 'change what a schedule goes by: name, plan, window; from then on it has your rights',
  operands: ['SCHEDULE'],
  options: {
    name: { value: 'NAME', help: 'another name' },
    plan: { value: 'PLAN', help: 'another stored plan, by name or id' },
    ...WINDOW_OPTIONS,
    'any-time': { help: 'without a window from now on' },
    'when-busy': {
      value: 'W',
      words: BUSY,
      help: 'while a rollout of the product is open there: wait, or cancel it',
    },
    ...GROUP_OPTION,
    ...MANAGER_OPTIONS,
    ...OUTPUT_OPTION,
  },
  notes: [
    'Of a window that is there, what is not named stays.',
    'Product, channel and group stay as they are: for others make another schedule.',
  ],
  run: async (given, terminal) => {
    const client = await connect(given, terminal);
    const named = await scheduleNamed(client, given.operand(0), given.optional('group'));
    const plan = given.optional('plan');
    const changed = await client.edit('schedules', named.id, async (before) => {
      const plan_id =
        plan === undefined ? undefined : (await planNamed(client, plan, before.group_id)).id;
      const body = present({
        name: given.optional('name'),
        plan_id,
        window: windowAfter(given, before.window),
        when_busy: given.read('when-busy', oneOf(BUSY)),
      });
      if (Object.keys(body).length > 0) return body;
      throw usageError('`schedules update` needs something to change');
    });
    show(given, terminal, changed, scheduleText);
  },
};

const verb = (
  name: string,
  route: 'schedules.pause' | 'schedules.resume',
  summary: string,
): Command => ({
  name,
  summary,
  operands: ['SCHEDULE'],
  options: { ...GROUP_OPTION, ...MANAGER_OPTIONS, ...OUTPUT_OPTION },
  run: async (given, terminal) => {
    const client = await connect(given, terminal);
    const { id } = await scheduleNamed(client, given.operand(0), given.optional('group'));
    show(given, terminal, await client.call(route, { params: { id } }), scheduleText);
  },
});

export const pauseSchedule = verb(
  'schedules pause',
  'schedules.pause',
  'start nothing until resumed; rollouts that run go on',
);
export const resumeSchedule = verb(
  'schedules resume',
  'schedules.resume',
  'start rollouts again, from then on with your rights',
);

export const deleteSchedule: Command = {
  name: 'schedules delete',
  summary: 'delete a schedule; its rollouts stay',
  operands: ['SCHEDULE'],
  options: { ...GROUP_OPTION, ...MANAGER_OPTIONS },
  run: async (given, terminal) => {
    const client = await connect(given, terminal);
    const { id } = await scheduleNamed(client, given.operand(0), given.optional('group'));
    await client.call('schedules.remove', { params: { id } });
    terminal.out(`deleted ${id}\n`);
  },
};
