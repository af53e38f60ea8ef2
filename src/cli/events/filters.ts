import { EVENT_CATEGORIES, SEVERITIES } from '../../protocol/index.js';
import type { Given, OptionSpec } from '../command.js';
import { type Column } from '../output/index.js';
import { Moment, oneOf, whole } from '../values.js';
import type { Event } from '../../protocol/api/index.js';

export const EventId = whole(0, Number.MAX_SAFE_INTEGER);
const Severity = oneOf(SEVERITIES);

/** What every command that shows events takes. */
export const FILTER_OPTIONS: Readonly<Record<string, OptionSpec>> = {
  category: { value: 'C,…', help: EVENT_CATEGORIES.join(', ') },
  type: { value: 'T,…', help: 'such as rollout_paused,upgrade_rolled_back' },
  severity: { value: 'S', help: `${SEVERITIES.join(', ')}: just this one` },
  'min-severity': { value: 'S', help: 'this or graver' },
  group: { value: 'ID', help: 'of this group and those below' },
  node: { value: 'ID', help: 'this node only' },
  rollout: { value: 'ID', help: 'this rollout only' },
  'error-code': { value: 'CODE', help: 'such as upgrade_unhealthy' },
  since: { value: 'TIME', help: 'received from this moment on' },
  until: { value: 'TIME', help: 'received before this moment' },
  text: { value: 'TEXT', help: 'stands in the message' },
};

/** The query of them; the manager checks the words. */
export const filtersOf = (given: Given) => ({
  category: given.optional('category'),
  type: given.optional('type'),
  severity: given.read('severity', Severity),
  min_severity: given.read('min-severity', Severity),
  group_id: given.optional('group'),
  node_id: given.optional('node'),
  rollout_id: given.optional('rollout'),
  error_code: given.optional('error-code'),
  since: given.read('since', Moment),
  until: given.read('until', Moment),
  text: given.optional('text'),
});

export const isFiltered = (filters: object): boolean =>
  Object.values(filters).some((value) => value !== undefined);

export const EVENT_COLUMNS: readonly Column<Event>[] = [
  ['id', (event) => event.id],
  ['at', (event) => event.at, 'time'],
  ['severity', (event) => event.severity, 'state'],
  ['type', (event) => event.type],
  ['node', (event) => event.node_id, 'id'],
  ['service', (event) => event.service],
  ['message', (event) => event.message],
  ['group', (event) => event.group_id, 'wide'],
  ['rollout', (event) => event.rollout_id, 'wide'],
  ['happened', (event) => event.occurred_at, 'wide-time'],
];
