import type { Answer } from '../../protocol/api/index.js';
import type { Command } from '../command.js';
import { connect, LIST_OPTIONS, showList } from '../connection.js';
import { type Column } from '../output/index.js';
import { Moment, oneOf } from '../values.js';

type Entry = Answer<'audit.list'>['items'][number];

const OUTCOMES = ['allowed', 'refused', 'failed'] as const;
const AUDIT_COLUMNS: readonly Column<Entry>[] = [
  ['id', (entry) => entry.id],
  ['at', (entry) => entry.at, 'time'],
  ['who', (entry) => `${entry.actor_kind} ${entry.actor_name || entry.actor_id}`.trim()],
  ['action', (entry) => entry.action],
  ['target', (entry) => `${entry.target_kind} ${entry.target_id}`.trim()],
  ['outcome', (entry) => entry.outcome, 'state'],
  ['group', (entry) => entry.group_id, 'wide'],
  ['from', (entry) => entry.ip, 'wide'],
  ['request', (entry) => entry.request_id, 'wide'],
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
