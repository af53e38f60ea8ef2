import { durationInWords, SECOND_MS } from '../../core/kernel/index.js';
import type { Answer } from '../../protocol/api/index.js';
import type { Command } from '../command.js';
import { connect, MANAGER_OPTIONS, OUTPUT_OPTION, show } from '../connection.js';
import { facts, table, type Column } from '../table.js';
import { bytesInWords } from '../terminal.js';
import {
  PLAN_NOTES,
  PLAN_OPTIONS,
  readRolloutPlan,
  SCOPE_OPTIONS,
  type RolloutBody,
} from './plan-options.js';

type Preview = Answer<'rollouts.preview'>;
type Wave = Preview['waves'][number];

export const previewRollout: Command = {
  name: 'rollouts preview',
  summary: 'what a rollout would be, wave by wave; starts nothing',
  operands: [],
  options: { ...SCOPE_OPTIONS, ...PLAN_OPTIONS, ...MANAGER_OPTIONS, ...OUTPUT_OPTION },
  notes: PLAN_NOTES,
  run: async (given, terminal) => {
    const body = await readRolloutPlan(given);
    const client = await connect(given, terminal);
    const preview = await client.call('rollouts.preview', { body });
    show(given, terminal, preview, (found) => previewText(found, body));
  },
};

/** Names of so many nodes stand in the table; the rest is a number. */
const NAMES_SHOWN = 3;

const whoText = ({ nodes, size }: Wave): string => {
  const names = nodes.slice(0, NAMES_SHOWN).map(({ name }) => name);
  const more = size - names.length;
  return more > 0 ? `${names.join(', ')} and ${more} more` : names.join(', ');
};

function opensText(wave: Wave, isIndependent: boolean): string {
  const waitsFor = wave.index > 0 && !isIndependent ? [`wave ${wave.index} is through`] : [];
  return [...waitsFor, ...wave.opens_when].join('; ') || 'at once';
}

const columnsOf = (isIndependent: boolean): readonly Column<Wave>[] => [
  ['wave', (wave) => wave.index + 1],
  ['name', (wave) => wave.name],
  ['nodes', (wave) => wave.size],
  ['who', whoText],
  ['opens when', (wave) => opensText(wave, isIndependent)],
  ['passes when', (wave) => wave.passes_when.join('; ') || 'all have ended'],
  ['earliest', (wave) => wave.opens_at],
];

const SKIPPED_COLUMNS: readonly Column<readonly [string, number]>[] = [
  ['skipped', ([, count]) => count],
  ['reason', ([reason]) => reason],
];

function countsOf(skipped: Preview['skipped']): [string, number][] {
  const counts = new Map<string, number>();
  for (const { reason } of skipped) counts.set(reason, (counts.get(reason) ?? 0) + 1);
  return [...counts].sort(([, a], [, b]) => b - a);
}

function previewText(preview: Preview, asked: RolloutBody): string {
  const { waves, skipped, duration_seconds: seconds } = preview;
  const isIndependent = preview.strategy === 'scheduled' && asked.order === 'independent';
  const nodes = waves.reduce((sum, { size }) => sum + size, 0);
  return (
    facts([
      ['release', `${preview.product} ${preview.version} (${preview.channel})`],
      ['strategy', preview.strategy],
      ['nodes', `${nodes} in ${waves.length} wave${waves.length === 1 ? '' : 's'}`],
      [
        'takes',
        seconds === null
          ? 'unknown: it waits for people'
          : `${durationInWords(seconds * SECOND_MS)} at least`,
      ],
      ['downloads', bytesInWords(preview.download_bytes)],
    ]) +
    `\n${table(waves, columnsOf(isIndependent), 'no waves')}` +
    (skipped.length === 0 ? '' : `\n${table(countsOf(skipped), SKIPPED_COLUMNS, '')}`)
  );
}
