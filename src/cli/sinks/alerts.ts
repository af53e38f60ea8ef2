import { ALERT_RULES } from '../../core/event/index.js';
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
import { type Column } from '../output/index.js';
import { oneOf, present } from '../values.js';

type Alert = Answer<'alerts.list'>['items'][number];

const COLUMNS: readonly Column<Alert>[] = [
  ['id', (alert) => alert.id],
  ['raised', (alert) => alert.raised_at, 'time'],
  ['resolved', (alert) => alert.resolved_at, 'time'],
  ['severity', (alert) => alert.severity, 'state'],
  ['rule', (alert) => alert.rule],
  ['node', (alert) => alert.node_id, 'id'],
  ['rollout', (alert) => alert.rollout_id, 'id'],
  ['message', (alert) => alert.message],
];

export const listAlerts: Command = {
  name: 'alerts list',
  summary: 'what is wrong now, and what was, newest first',
  operands: [],
  options: {
    state: { value: 'S', help: 'raised or resolved (default: both)' },
    rule: { value: 'R', help: ALERT_RULES.join(', ') },
    ...LIST_OPTIONS,
  },
  run: async (given, terminal) => {
    const wanted = present({
      state: given.read('state', oneOf(['raised', 'resolved'])),
      rule: given.read('rule', oneOf(ALERT_RULES)),
    });
    const client = await connect(given, terminal);
    await showList(given, terminal, {
      page: (query) => client.call('alerts.list', { query: { ...wanted, ...query } }),
      columns: COLUMNS,
      whenEmpty: 'no alerts',
    });
  },
};

export const resolveAlert: Command = {
  name: 'alerts resolve',
  summary: 'say that an alert is dealt with',
  operands: ['ALERT'],
  options: { ...MANAGER_OPTIONS, ...OUTPUT_OPTION },
  run: async (given, terminal) => {
    const client = await connect(given, terminal);
    const params = { id: given.operand(0) };
    const done = await client.call('alerts.resolve', { params });
    show(
      given,
      terminal,
      done,
      ({ id, resolved_at: at }) => `${id} is resolved since ${at ?? '-'}\n`,
    );
  },
};
