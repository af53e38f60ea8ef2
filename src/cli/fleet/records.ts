import { z } from 'zod';
import type { Answer } from '../../protocol/api/index.js';
import type { Command } from '../command.js';
import {
  connect,
  LIST_OPTIONS,
  MANAGER_OPTIONS,
  OUTPUT_OPTION,
  show,
  showList,
} from '../connection.js';
import { table, type Column } from '../table.js';
import { Moment, oneOf, whole } from '../values.js';

type Event = Answer<'events.list'>['items'][number];
type Entry = Answer<'audit.list'>['items'][number];

const OUTCOMES = ['allowed', 'refused', 'failed'] as const;
const SEVERITIES = ['info', 'warning', 'critical'] as const;
const Severity = oneOf(SEVERITIES);
const After = z.coerce
  .number({ error: 'take a number' })
  .int('take a whole number')
  .min(0, 'take 0 or more');
const Rows = whole(1, 1_000);

const EVENT_COLUMNS: readonly Column<Event>[] = [
  ['id', (event) => event.id],
  ['at', (event) => event.at],
  ['severity', (event) => event.severity],
  ['type', (event) => event.type],
  ['node', (event) => event.node_id],
  ['service', (event) => event.service],
  ['message', (event) => event.message],
];

export const listEvents: Command = {
  name: 'events list',
  summary: 'what happened, oldest first',
  operands: [],
  options: {
    after: { value: 'N', help: 'events behind this id (default 0)' },
    category: { value: 'C', help: 'such as upgrade, service, agent, connection, release' },
    severity: { value: 'S', help: SEVERITIES.join(', ') },
    node: { value: 'ID', help: 'this node only' },
    rollout: { value: 'ID', help: 'this rollout only' },
    limit: { value: 'N', help: 'rows at most (default 100, 1000 at most)' },
    ...MANAGER_OPTIONS,
    ...OUTPUT_OPTION,
  },
  run: async (given, terminal) => {
    const query = {
      after: given.read('after', After),
      limit: given.read('limit', Rows),
      severity: given.read('severity', Severity),
      category: given.optional('category'),
      node_id: given.optional('node'),
      rollout_id: given.optional('rollout'),
    };
    const client = await connect(given, terminal);
    const page = await client.call('events.list', { query });
    show(
      given,
      terminal,
      page,
      ({ items, next_after: next }) =>
        table(items, EVENT_COLUMNS, 'no events') + `(go on with --after ${next})\n`,
    );
  },
};

const AUDIT_COLUMNS: readonly Column<Entry>[] = [
  ['id', (entry) => entry.id],
  ['at', (entry) => entry.at],
  ['who', (entry) => `${entry.actor_kind} ${entry.actor_name || entry.actor_id}`.trim()],
  ['action', (entry) => entry.action],
  ['target', (entry) => `${entry.target_kind} ${entry.target_id}`.trim()],
  ['outcome', (entry) => entry.outcome],
];

export const listAudit: Command = {
  name: 'audit list',
  summary: 'who did what, newest first',
  operands: [],
  options: {
    action: { value: 'A', help: 'such as release.publish' },
    outcome: { value: 'O', help: OUTCOMES.join(', ') },
    actor: { value: 'ID', help: 'done by this token, node or part' },
    target: { value: 'ID', help: 'done to this one' },
    group: { value: 'ID', help: 'of this group and those below' },
    since: { value: 'TIME', help: 'from this moment on' },
    until: { value: 'TIME', help: 'before this moment' },
    ...LIST_OPTIONS,
  },
  run: async (given, terminal) => {
    const wanted = {
      action: given.optional('action'),
      outcome: given.read('outcome', oneOf(OUTCOMES)),
      actor_id: given.optional('actor'),
      target_id: given.optional('target'),
      group_id: given.optional('group'),
      since: given.read('since', Moment),
      until: given.read('until', Moment),
    };
    const client = await connect(given, terminal);
    await showList(given, terminal, {
      page: (page) => client.call('audit.list', { query: { ...wanted, ...page } }),
      columns: AUDIT_COLUMNS,
      whenEmpty: 'no entries',
    });
  },
};
