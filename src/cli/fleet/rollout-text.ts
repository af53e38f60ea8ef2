import type { Answer } from '../../protocol/api/index.js';
import { type Block, type Column, facts, table } from '../output/index.js';

export type Rollout = Answer<'rollouts.show'>;
type Wave = Rollout['waves'][number];

/** The states of a wave's nodes in the order in which a node passes them, those with nodes only. */
export const countsText = ({ counts }: Wave): string =>
  Object.entries(counts)
    .filter(([, count]) => count > 0)
    .map(([state, count]) => `${count} ${state}`)
    .join(', ');

export const WAVE_COLUMNS: readonly Column<Wave>[] = [
  ['wave', (wave) => wave.index + 1],
  ['name', (wave) => wave.name],
  ['status', (wave) => wave.status, 'state'],
  ['nodes', (wave) => wave.size],
  ['verdict', (wave) => wave.verdict, 'state'],
  ['states', countsText],
  ['reason', (wave) => wave.reason],
  ['until', (wave) => wave.until, 'time'],
  ['opened', (wave) => wave.opened_at, 'wide-time'],
  ['ended', (wave) => wave.ended_at, 'wide-time'],
];

const APPROVED_COLUMN: Column<Wave> = ['approved by', (wave) => wave.approved_by.join(', ')];

/** Only where somebody approved: mostly nobody has to. */
const columnsOf = ({ waves }: Rollout): readonly Column<Wave>[] =>
  waves.some((wave) => wave.approved_by.length > 0)
    ? [...WAVE_COLUMNS, APPROVED_COLUMN]
    : WAVE_COLUMNS;

const SKIPPED_COLUMNS: readonly Column<Rollout['skipped'][number]>[] = [
  ['skipped', (skipped) => skipped.node_id],
  ['reason', (skipped) => skipped.reason],
];

const glassText = (glass: NonNullable<Rollout['break_glass']>): string =>
  `by ${glass.by_name} until ${glass.until}: ${glass.reason}`;

/** A manager of before says nothing of either. */
const madeByText = ({
  plan,
  schedule,
}: Partial<Pick<Rollout, 'plan' | 'schedule'>>): (readonly [string, string])[] => [
  ...(plan ? [['plan', `${plan.name}, revision ${plan.revision}`] as const] : []),
  ...(schedule ? [['schedule', schedule.name] as const] : []),
];

/** A rollout with its waves, for people. */
export const rolloutText = (rollout: Rollout): readonly Block[] => [
  facts([
    ['rollout', rollout.id],
    ['release', `${rollout.product} ${rollout.version} (${rollout.channel})`],
    ['scope', `${rollout.scope.kind} ${rollout.scope.id}`],
    ['strategy', rollout.strategy],
    ...madeByText(rollout),
    ...(rollout.reverts === null ? [] : [['reverts', rollout.reverts] as const]),
    ['status', rollout.status],
    ...(rollout.break_glass === null
      ? []
      : [['glass broken', glassText(rollout.break_glass)] as const]),
    ['reason', rollout.reason],
    ['by', rollout.created_by],
    ['since', rollout.created_at],
  ]),
  table(rollout.waves, columnsOf(rollout), 'no waves'),
  ...(rollout.skipped.length === 0 ? [] : [table(rollout.skipped, SKIPPED_COLUMNS, '')]),
];
