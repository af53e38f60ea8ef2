import { durationInWords, SECOND_MS } from '../../core/kernel/index.js';
import type { Answer } from '../../protocol/api/index.js';
import type { Command } from '../command.js';
import { connect, MANAGER_OPTIONS, OUTPUT_OPTION, show } from '../connection.js';
import { type Block, type Column, facts, table } from '../output/index.js';
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

/** Rings that are independent wait for their own waves only, which stand together. */
function opensText(wave: Wave, waves: readonly Wave[], isIndependent: boolean): string {
  const before = waves[wave.index - 1];
  const isNext = before !== undefined && (!isIndependent || before.ring === wave.ring);
  const waitsFor = isNext ? [`wave ${wave.index} is through`] : [];
  return [...waitsFor, ...wave.opens_when].join('; ') || 'at once';
}

const columnsOf = (waves: readonly Wave[], isIndependent: boolean): readonly Column<Wave>[] => [
  ['wave', (wave) => wave.index + 1],
  ['name', (wave) => wave.name],
  ['nodes', (wave) => wave.size],
  ['who', whoText],
  ['opens when', (wave) => opensText(wave, waves, isIndependent)],
  ['passes when', (wave) => wave.passes_when.join('; ') || 'all have ended'],
  ['earliest', (wave) => wave.opens_at, 'time'],
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

const RESTS_ON: Readonly<Record<Preview['duration_from'], string>> = {
  history: 'as upgrades of it took here so far',
  estimate: 'a guess: too few upgrades of it were seen here',
};

function takesText({ duration_seconds: seconds, duration_from: from }: Preview): string {
  if (seconds === null) return 'unknown: it waits for people';
  return `${durationInWords(seconds * SECOND_MS)} at least (${RESTS_ON[from]})`;
}

function previewText(preview: Preview, asked: RolloutBody): readonly Block[] {
  const { waves, skipped } = preview;
  const isIndependent = preview.strategy === 'scheduled' && asked.order === 'independent';
  const nodes = waves.reduce((sum, { size }) => sum + size, 0);
  return [
    facts([
      ['release', `${preview.product} ${preview.version} (${preview.channel})`],
      ['strategy', preview.strategy],
      ['nodes', `${nodes} in ${waves.length} wave${waves.length === 1 ? '' : 's'}`],
      ['takes', takesText(preview)],
      ['downloads', bytesInWords(preview.download_bytes)],
    ]),
    table(waves, columnsOf(waves, isIndependent), 'no waves'),
    ...(skipped.length === 0 ? [] : [table(countsOf(skipped), SKIPPED_COLUMNS, '')]),
  ];
}
