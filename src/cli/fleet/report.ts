import type { Answer } from '../../protocol/api/index.js';
import type { Command } from '../command.js';
import { connect, SHOW_OPTIONS, showOne } from '../connection.js';
import { type Block, type Column, facts, table } from '../output/index.js';

type Report = Answer<'rollouts.report'>;
type Ring = Report['rings'][number];
type Why = Answer<'rollouts.why'>;

export const versionsText = ({ versions }: Ring): string =>
  Object.entries(versions)
    .sort(([, a], [, b]) => b - a)
    .map(([version, count]) => `${count} on ${version}`)
    .join(', ');

const RING_COLUMNS: readonly Column<Ring>[] = [
  ['ring', (ring) => ring.ring],
  ['state', (ring) => ring.state, 'state'],
  ['reason', (ring) => ring.reason],
  ['started', (ring) => ring.started_at, 'time'],
  ['nodes', (ring) => ring.initial_count],
  ['present', (ring) => ring.present_count],
  ['up to date', (ring) => ring.up_to_date_count],
  ['failed', (ring) => ring.failed_count],
  ['versions', versionsText],
  ['until', (ring) => ring.until, 'time'],
];

const reportText = (report: Report): readonly Block[] => [
  facts([
    ['rollout', report.id],
    ['status', report.status],
    ['reason', report.reason],
    ['upgrades', report.mode],
    ['start version', report.start_version],
    ['target version', report.target_version],
  ]),
  table(report.rings, RING_COLUMNS, 'no rings'),
];

export const reportRollout: Command = {
  name: 'rollouts report',
  summary: 'where each ring of a rollout stands',
  operands: ['ID'],
  options: SHOW_OPTIONS,
  run: async (given, terminal) => {
    const client = await connect(given, terminal);
    const params = { id: given.operand(0) };
    await showOne(given, terminal, () => client.call('rollouts.report', { params }), reportText);
  },
};

const BECAUSE_COLUMNS: readonly Column<Why['because'][number]>[] = [
  ['because', (link) => link.code],
  ['which means', (link) => link.message],
  ['could change', (link) => link.until, 'time'],
];

const whyText = (why: Why): readonly Block[] => [
  facts([
    ['rollout', why.rollout_id],
    ['node', why.node_id],
    ['state', why.state],
  ]),
  table(why.because, BECAUSE_COLUMNS, 'nothing holds it back'),
];

export const whyNode: Command = {
  name: 'rollouts why',
  summary: 'why a node does not run the release yet',
  operands: ['ID', 'NODE'],
  options: SHOW_OPTIONS,
  notes: [
    'The outermost reason first: what stands above is to be mended before what stands below it.',
    'Without a time it changes by news or by people only.',
  ],
  run: async (given, terminal) => {
    const client = await connect(given, terminal);
    const params = { id: given.operand(0), node: given.operand(1) };
    await showOne(given, terminal, () => client.call('rollouts.why', { params }), whyText);
  },
};
