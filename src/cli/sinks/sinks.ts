import { z } from 'zod';
import type { Answer, RouteName } from '../../protocol/api/index.js';
import { usageError, type Command, type Given } from '../command.js';
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
import { reserveSecretFile } from '../new-file.js';
import { type Block, type Column, facts } from '../output/index.js';
import type { Terminal } from '../terminal.js';
import { Moment, oneOf, present, whole, Words } from '../values.js';
import { configOf, credentialsOf, filterOf, Kind, SETTING_OPTIONS } from './sink-options.js';

type Sink = Answer<'sinks.show'>;
type Letter = Answer<'sinks.dead_letters'>['items'][number];

const COLUMNS: readonly Column<Sink>[] = [
  ['id', (sink) => sink.id],
  ['name', (sink) => sink.name],
  ['kind', (sink) => sink.kind],
  ['group', (sink) => sink.group_id ?? 'all'],
  ['state', (sink) => sink.state, 'state'],
  ['behind', (sink) => sink.lag.events],
  ['dead', (sink) => sink.dead_letters],
  ['health', (sink) => sink.health],
];

const listText = (list: readonly string[] | null): string => list?.join(',') ?? 'all';

const sinkText = (sink: Sink): Block =>
  facts([
    ['id', sink.id],
    ['name', sink.name],
    ['kind', sink.kind],
    ['group', sink.group_id ?? 'all'],
    ...Object.entries(sink.config).map(
      ([name, value]) => [name, name === 'ca_pem' ? '(given)' : String(value)] as const,
    ),
    ['credentials', sink.credentials.join(', ') || 'none'],
    ['categories', listText(sink.filter.categories)],
    ['types', listText(sink.filter.types)],
    ['error codes', listText(sink.filter.error_codes)],
    ['min severity', sink.filter.min_severity ?? 'info'],
    ['groups', listText(sink.filter.groups)],
    ['state', sink.state],
    ['health', sink.health],
    ['cursor', sink.cursor],
    ['behind', `${sink.lag.events} events, ${sink.lag.seconds} s`],
    ['delivered', sink.delivered],
    ['missed', sink.missed],
    ['dead letters', sink.dead_letters],
    ['last delivered', sink.last_delivered_at],
    ['circuit', `${sink.circuit.state} since ${sink.circuit.since}`],
    ['next try', sink.circuit.next_try_at],
    ['last error', errorText(sink)],
  ]);

const errorText = ({ circuit: { last_error: error } }: Sink): string | null =>
  error === null ? null : `${error.message} [${error.code}] at ${error.at}`;

export const listSinks: Command = {
  name: 'sinks list',
  summary: 'where events are delivered to',
  operands: [],
  options: { group: { value: 'ID', help: 'of this group only' }, ...LIST_OPTIONS },
  run: async (given, terminal) => {
    const client = await connect(given, terminal);
    const wanted = present({ group_id: given.optional('group') });
    await showList(given, terminal, {
      page: (query) => client.call('sinks.list', { query: { ...wanted, ...query } }),
      columns: COLUMNS,
      whenEmpty: 'no sinks',
    });
  },
};

export const showSink: Command = {
  name: 'sinks show',
  summary: 'one sink: settings, place in the log, health',
  operands: ['SINK'],
  options: SHOW_OPTIONS,
  run: async (given, terminal) => {
    const client = await connect(given, terminal);
    const params = { id: given.operand(0) };
    await showOne(given, terminal, () => client.call('sinks.show', { params }), sinkText);
  },
};

export const createSink: Command = {
  name: 'sinks create',
  summary: 'deliver events to a webhook, syslog, Splunk, Elasticsearch or a file',
  operands: ['NAME'],
  options: {
    kind: {
      value: 'K',
      help: 'webhook, syslog, splunk, elasticsearch, file',
      isRequired: true,
    },
    group: { value: 'ID', help: 'see this group and those below (default: all)' },
    from: { value: 'WHEN', help: 'now (default), or beginning' },
    'secret-out': { value: 'FILE', help: 'write the secret of a webhook here (mode 0600)' },
    ...SETTING_OPTIONS,
    ...MANAGER_OPTIONS,
    ...OUTPUT_OPTION,
  },
  notes: ['A copyable example for each kind is in docs/sinks.md.'],
  run: async (given, terminal) => {
    const body = {
      name: given.operand(0),
      kind: given.need('kind', Kind),
      group_id: given.optional('group') ?? null,
      config: (await configOf(given)) ?? {},
      ...present({
        credentials: (await credentialsOf(given)) ?? undefined,
        filter: filterOf(given) ?? undefined,
        from: given.read('from', oneOf(['now', 'beginning'])),
      }),
    };
    const client = await connect(given, terminal);
    await withSecret(given, terminal, () => client.call('sinks.create', { body }), sinkText);
  },
};

/** Shows a result with its secret, or writes that into a file that is there before it is made. */
async function withSecret<T extends { readonly secret: string | null }>(
  given: Given,
  terminal: Terminal,
  make: () => Promise<T>,
  textOf: (made: T) => Block,
): Promise<void> {
  const path = given.optional('secret-out');
  const file = path === undefined ? null : await reserveSecretFile(path);
  const made = await make().catch(async (error: unknown) => {
    await file?.drop();
    throw error;
  });
  if (made.secret === null) await file?.drop();
  else await file?.fill(`${made.secret}\n`);
  const shown = file === null ? made : { ...made, secret: null };
  show(given, terminal, shown, (result) => {
    const secret = result.secret === null ? [] : [['secret (shown once)', result.secret] as const];
    return [textOf(result), ...(secret.length === 0 ? [] : [facts(secret)])];
  });
}

export const changeSink: Command = {
  name: 'sinks change',
  summary: 'change name, settings, credentials, filter or secret; it is tried again at once',
  operands: ['SINK'],
  options: {
    name: { value: 'NAME', help: 'another name' },
    'rotate-secret': { help: 'give a webhook a new secret; nothing else is changed then' },
    'grace-hours': { value: 'N', help: 'how long the old secret is signed with too (default 24)' },
    'secret-out': { value: 'FILE', help: 'write the new secret here (mode 0600)' },
    'no-filter': { help: 'let everything through again' },
    ...SETTING_OPTIONS,
    ...MANAGER_OPTIONS,
    ...OUTPUT_OPTION,
  },
  notes: ['--set KEY= takes a setting away. Credentials replace all that are there.'],
  run: async (given, terminal) => {
    const params = { id: given.operand(0) };
    const client = await connect(given, terminal);
    if (given.isSet('rotate-secret')) {
      const body = present({ grace_hours: given.read('grace-hours', whole(0, 720)) });
      const rotate = () => client.call('sinks.rotate_secret', { params, body });
      await withSecret(given, terminal, rotate, ({ old_until: until }) =>
        facts([['old secret counts until', until ?? 'now']]),
      );
      return;
    }
    const filter = given.isSet('no-filter') ? NO_FILTER : filterOf(given);
    const body = present({
      name: given.optional('name'),
      config: (await configOf(given)) ?? undefined,
      credentials: (await credentialsOf(given)) ?? undefined,
      filter: filter ?? undefined,
    });
    if (Object.keys(body).length === 0)
      throw usageError('`sinks change` needs something to change');
    show(given, terminal, await client.call('sinks.change', { params, body }), sinkText);
  },
};

const NO_FILTER = {
  categories: null,
  types: null,
  error_codes: null,
  min_severity: null,
  groups: null,
};

export const testSink: Command = {
  name: 'sinks test',
  summary: 'send one marked event and tell what the receiver said',
  operands: ['SINK'],
  options: { ...MANAGER_OPTIONS, ...OUTPUT_OPTION },
  run: async (given, terminal) => {
    const client = await connect(given, terminal);
    const params = { id: given.operand(0) };
    show(given, terminal, await client.call('sinks.test', { params }), (tested) =>
      facts([
        ['taken', tested.ok ? 'yes' : `no [${tested.code ?? ''}]`],
        ['the receiver', tested.message],
        ['took', `${tested.duration_ms} ms`],
      ]),
    );
  },
};

type Verb = Extract<RouteName, 'sinks.pause' | 'sinks.resume'>;
const verb = (name: string, route: Verb, summary: string): Command => ({
  name,
  summary,
  operands: ['SINK'],
  options: { ...MANAGER_OPTIONS, ...OUTPUT_OPTION },
  run: async (given, terminal) => {
    const client = await connect(given, terminal);
    const params = { id: given.operand(0) };
    show(given, terminal, await client.call(route, { params }), sinkText);
  },
});
export const pauseSink = verb('sinks pause', 'sinks.pause', 'deliver nothing until resumed');
export const resumeSink = verb(
  'sinks resume',
  'sinks.resume',
  'go on where it was paused, or try a failing receiver at once',
);

export const backfillSink: Command = {
  name: 'sinks backfill',
  summary: 'deliver again from a moment, or from an event, on',
  operands: ['SINK'],
  options: {
    since: { value: 'TIME', help: 'from the first event at or after this moment' },
    after: { value: 'N', help: 'from the event behind this one' },
    ...MANAGER_OPTIONS,
    ...OUTPUT_OPTION,
  },
  run: async (given, terminal) => {
    const body = present({
      since: given.read('since', Moment),
      after: given.read('after', whole(0, Number.MAX_SAFE_INTEGER)),
    });
    if (Object.keys(body).length !== 1) throw usageError('give either --since or --after');
    const client = await connect(given, terminal);
    const params = { id: given.operand(0) };
    show(given, terminal, await client.call('sinks.backfill', { params, body }), sinkText);
  },
};

const LETTER_COLUMNS: readonly Column<Letter>[] = [
  ['event', (letter) => letter.event_id],
  ['type', (letter) => letter.type],
  ['tries', (letter) => letter.tries],
  ['code', (letter) => letter.code],
  ['why', (letter) => letter.message],
  ['at', (letter) => letter.at, 'time'],
  ['replaying', (letter) => (letter.replaying ? 'yes' : 'no')],
];

export const listDeadLetters: Command = {
  name: 'sinks dead-letters',
  summary: 'events that the receiver will not take, and why',
  operands: ['SINK'],
  options: { ...LIST_OPTIONS },
  run: async (given, terminal) => {
    const client = await connect(given, terminal);
    const params = { id: given.operand(0) };
    await showList(given, terminal, {
      page: (query) => client.call('sinks.dead_letters', { params, query }),
      columns: LETTER_COLUMNS,
      whenEmpty: 'no dead letters',
    });
  },
};

const Ids = Words.transform((words) => words.map(Number)).pipe(
  z.array(z.int({ error: 'take numbers of events' }).min(1)).max(1_000),
);
const choice = (
  name: string,
  route: 'sinks.replay' | 'sinks.discard',
  summary: string,
): Command => ({
  name,
  summary,
  operands: ['SINK'],
  options: {
    events: { value: 'LIST', help: 'these events only, such as 17,23 (default: all)' },
    ...MANAGER_OPTIONS,
    ...OUTPUT_OPTION,
  },
  run: async (given, terminal) => {
    const body = present({ event_ids: given.read('events', Ids) });
    const client = await connect(given, terminal);
    const params = { id: given.operand(0) };
    const done = await client.call(route, { params, body });
    show(given, terminal, done, ({ count }) => `${count} dead letters\n`);
  },
});
export const replayLetters = choice('sinks replay', 'sinks.replay', 'try dead letters once more');
export const discardLetters = choice(
  'sinks discard',
  'sinks.discard',
  'let dead letters go for good',
);

export const deleteSink: Command = {
  name: 'sinks delete',
  summary: 'delete a sink with its dead letters',
  operands: ['SINK'],
  options: { ...MANAGER_OPTIONS },
  run: async (given, terminal) => {
    const client = await connect(given, terminal);
    await client.call('sinks.remove', { params: { id: given.operand(0) } });
    terminal.out(`deleted ${given.operand(0)}\n`);
  },
};
