import type { Answer } from '../../protocol/api/index.js';
import type { Command } from '../command.js';
import { connect, MANAGER_OPTIONS, OUTPUT_OPTION, show } from '../connection.js';
import { facts, table, type Column } from '../table.js';

type Report = Answer<'rollouts.report'>;
type Ring = Report['rings'][number];
type Why = Answer<'rollouts.why'>;

const versionsText = ({ versions }: Ring): string =>
  Object.entries(versions)
    .sort(([, a], [, b]) => b - a)
    .map(([version, count]) => `${count} on ${version}`)
    .join(', ');

const RING_COLUMNS: readonly Column<Ring>[] = [
  ['ring', (ring) => ring.ring],
  ['state', (ring) => ring.state],
  ['reason', (ring) => ring.reason],
  ['started', (ring) => ring.started_at],
  ['nodes', (ring) => ring.initial_count],
  ['present', (ring) => ring.present_count],
  ['up to date', (ring) => ring.up_to_date_count],
  ['failed', (ring) => ring.failed_count],
  ['versions', versionsText],
  ['until', (ring) => ring.until],
];

const reportText = (report: Report): string =>
  facts([
    ['rollout', report.id],
    ['status', report.status],
    ['reason', report.reason],
    ['upgrades', report.mode],
    ['start version', report.start_version],
    ['target version', report.target_version],
  ]) + `\n${table(report.rings, RING_COLUMNS, 'no rings')}`;

export const reportRollout: Command = {
  name: 'rollouts report',
  summary: 'where each ring of a rollout stands',
  operands: ['ID'],
  options: { ...MANAGER_OPTIONS, ...OUTPUT_OPTION },
  run: async (given, terminal) => {
    const client = await connect(given, terminal);
    const report = await client.call('rollouts.report', { params: { id: given.operand(0) } });
    show(given, terminal, report, reportText);
  },
};

const BECAUSE_COLUMNS: readonly Column<Why['because'][number]>[] = [
  ['because', (link) => link.code],
  ['which means', (link) => link.message],
  ['could change at', (link) => link.until],
];

const whyText = (why: Why): string =>
  facts([
    ['rollout', why.rollout_id],
    ['node', why.node_id],
    ['state', why.state],
  ]) + `\n${table(why.because, BECAUSE_COLUMNS, 'nothing holds it back')}`;

export const whyNode: Command = {
  name: 'rollouts why',
  summary: 'why a node does not run the release yet',
  operands: ['ID', 'NODE'],
  options: { ...MANAGER_OPTIONS, ...OUTPUT_OPTION },
  notes: [
    'The outermost reason first: what stands above is to be mended before what stands below it.',
    'Without a time it changes by news or by people only.',
  ],
  run: async (given, terminal) => {
    const client = await connect(given, terminal);
    const why = await client.call('rollouts.why', {
      params: { id: given.operand(0), node: given.operand(1) },
    });
    show(given, terminal, why, whyText);
  },
};
