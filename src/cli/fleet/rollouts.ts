import { ROLLOUT_STATUSES } from '../../core/rollout/index.js';
import type { Answer } from '../../protocol/api/index.js';
import type { Command } from '../command.js';
import { connect, LIST_OPTIONS, SHOW_OPTIONS, showList, showOne } from '../connection.js';
import { type Column } from '../output/index.js';
import { oneOf } from '../values.js';
import { rolloutText, type Rollout } from './rollout-text.js';

const Status = oneOf(ROLLOUT_STATUSES);

const COLUMNS: readonly Column<Rollout>[] = [
  ['id', (rollout) => rollout.id],
  ['product', (rollout) => rollout.product],
  ['version', (rollout) => rollout.version],
  ['strategy', (rollout) => rollout.strategy],
  ['scope', ({ scope }) => `${scope.kind} ${scope.id}`, 'id'],
  ['status', (rollout) => rollout.status, 'state'],
  ['reason', (rollout) => rollout.reason],
  ['since', (rollout) => rollout.created_at, 'time'],
  ['channel', (rollout) => rollout.channel, 'wide'],
  ['by', (rollout) => rollout.created_by, 'wide'],
  ['changed', (rollout) => rollout.updated_at, 'wide-time'],
];

export const listRollouts: Command = {
  name: 'rollouts list',
  summary: 'rollouts, newest first',
  operands: [],
  options: {
    group: { value: 'ID', help: 'this group only' },
    status: { value: 'S', words: ROLLOUT_STATUSES, help: ROLLOUT_STATUSES.join(', ') },
    ...LIST_OPTIONS,
  },
  run: async (given, terminal) => {
    const filter = { group_id: given.optional('group'), status: given.read('status', Status) };
    const client = await connect(given, terminal);
    await showList(given, terminal, {
      page: (page) => client.call('rollouts.list', { query: { ...filter, ...page } }),
      columns: COLUMNS,
      whenEmpty: 'no rollouts',
    });
  },
};

export const showRollout: Command = {
  name: 'rollouts show',
  summary: 'one rollout with its waves',
  operands: ['ID'],
  options: SHOW_OPTIONS,
  run: async (given, terminal) => {
    const client = await connect(given, terminal);
    const params = { id: given.operand(0) };
    await showOne(given, terminal, () => client.call('rollouts.show', { params }), rolloutText);
  },
};

type Target = Answer<'rollouts.targets'>['items'][number];

const TARGET_COLUMNS: readonly Column<Target>[] = [
  ['node', (target) => target.node_id],
  ['name', (target) => target.node_name],
  ['wave', (target) => target.wave + 1],
  ['state', ({ state, offline }) => (offline ? `${state}, offline` : state), 'state'],
  ['reason', (target) => target.reason],
  ['from', (target) => target.from_version],
  ['error', (target) => target.error_code],
  ['updated', (target) => target.updated_at, 'time'],
];

export const listTargets: Command = {
  name: 'rollouts targets',
  summary: 'the nodes of a rollout, each with state and reason',
  operands: ['ID'],
  options: { ...LIST_OPTIONS },
  run: async (given, terminal) => {
    const params = { id: given.operand(0) };
    const client = await connect(given, terminal);
    await showList(given, terminal, {
      page: (query) => client.call('rollouts.targets', { params, query }),
      columns: TARGET_COLUMNS,
      whenEmpty: 'no nodes',
    });
  },
};
