import { FleetError } from '../../core/kernel/index.js';
import type { Answer } from '../../protocol/api/index.js';
import type { Command } from '../command.js';
import { connect, MANAGER_OPTIONS, OUTPUT_OPTION, show } from '../connection.js';
import { type Block, type Column, facts, table } from '../output/index.js';
import { whole } from '../values.js';
import type { Rollout } from './rollout-text.js';

const statusLine = ({ id, status, reason }: Rollout): string => `${id} is ${status} (${reason})\n`;

const control = (
  verb: 'pause' | 'resume' | 'cancel' | 'retry_failed' | 'mark_rolled_back',
  summary: string,
): Command => ({
  name: `rollouts ${verb.replaceAll('_', '-')}`,
  summary,
  operands: ['ID'],
  options: { ...MANAGER_OPTIONS, ...OUTPUT_OPTION },
  run: async (given, terminal) => {
    const client = await connect(given, terminal);
    const rollout = await client.call(`rollouts.${verb}`, { params: { id: given.operand(0) } });
    show(given, terminal, rollout, statusLine);
  },
});

export const pauseRollout = control('pause', 'no new offer and no new permit');
export const resumeRollout = control('resume', 'go on; failed nodes of the open wave try again');
export const cancelRollout = control('cancel', 'withdraw what has not swapped, and end');
export const retryFailed = control('retry_failed', 'try failed and silent nodes of any wave again');
export const markRolledBack = control(
  'mark_rolled_back',
  'say that it was rolled back by other means; changes no node',
);

/** More than any rollout has: the manager knows how many there are. */
const WAVES_MAX = 10_000;

const ofWave = (
  verb: 'approve' | 'skip_wave' | 'start_wave' | 'mark_done',
  summary: string,
): Command => ({
  name: `rollouts ${verb.replaceAll('_', '-')}`,
  summary,
  operands: ['ID'],
  options: {
    wave: { value: 'N', help: 'the wave, counted from 1 as in the tables', isRequired: true },
    ...MANAGER_OPTIONS,
    ...OUTPUT_OPTION,
  },
  run: async (given, terminal) => {
    const wave = given.need('wave', whole(1, WAVES_MAX)) - 1;
    const params = { id: given.operand(0) };
    const client = await connect(given, terminal);
    const rollout = await client
      .call(`rollouts.${verb}`, { params, body: { wave } })
      .catch((error: unknown) => {
        throw countedFromOne(error);
      });
    show(given, terminal, rollout, (now) => statusLine(now) + waveLine(now, wave));
  },
});

/** Programs count waves from 0 and are told so; people are not. */
function countedFromOne(error: unknown): unknown {
  if (!(error instanceof FleetError) || error.code !== 'rollout_wave_unknown') return error;
  const fix = 'Waves are counted from 1; `rollouts show` lists them.';
  return new FleetError(error.code, error.message, { context: { ...error.context, fix } });
}

function waveLine({ waves }: Rollout, index: number): string {
  const wave = waves[index];
  if (wave === undefined) return '';
  const approvals = wave.approved_by.length;
  const told =
    approvals === 0 ? '' : `, approved ${approvals === 1 ? 'once' : `${approvals} times`}`;
  return `wave ${index + 1} is ${wave.status} (${wave.reason})${told}\n`;
}

export const approveWave = ofWave('approve', 'let a wave open that waits for approval');
export const skipWave = ofWave('skip_wave', 'leave out a wave that has not begun');
export const startWave = ofWave('start_wave', 'start a wave now, past its order, window and wait');
export const markDone = ofWave('mark_done', 'call a wave done: its failures stop nothing more');

/** At most; the manager says the same. */
const GLASS_MINUTES_MAX = 240;

export const breakGlass: Command = {
  name: 'rollouts break-glass',
  summary: 'for a time, let a rollout past freezes, windows and missing approvals',
  operands: ['ID'],
  options: {
    reason: { value: 'TEXT', help: 'why; everybody who sees the group reads it', isRequired: true },
    minutes: { value: 'N', help: 'for how long, 1 to 240 (60)' },
    code: { value: 'CODE', help: 'of the second factor (else it is asked for)' },
    ...MANAGER_OPTIONS,
    ...OUTPUT_OPTION,
  },
  notes: [
    'For people who are signed in (`login`), not for API tokens. It is a critical event and is audited.',
  ],
  run: async (given, terminal) => {
    const minutes = given.read('minutes', whole(1, GLASS_MINUTES_MAX)) ?? 60;
    const body = { reason: given.text('reason'), minutes };
    const params = { id: given.operand(0) };
    const code = given.optional('code');
    const client = await connect(given, terminal);
    const rollout = await client
      .call('rollouts.break_glass', { params, body: code === undefined ? body : { ...body, code } })
      .catch(async (error: unknown) => {
        const isAsked = error instanceof FleetError && error.code === 'second_factor_required';
        if (!isAsked || terminal.ask === undefined) throw error;
        const asked = (await terminal.ask('code of the second factor: ')).trim();
        return await client.call('rollouts.break_glass', {
          params,
          body: { ...body, code: asked },
        });
      });
    show(given, terminal, rollout, (now) => statusLine(now) + glassLine(now));
  },
};

const glassLine = ({ break_glass: glass }: Rollout): string =>
  glass === null ? '' : `nothing but evidence holds it until ${glass.until}\n`;

type Reverted = Answer<'rollouts.revert'>;

const SKIPPED_COLUMNS: readonly Column<Reverted['skipped'][number]>[] = [
  ['skipped', (skipped) => skipped.node_id],
  ['reason', (skipped) => skipped.reason],
];

const revertedText = ({ items, skipped }: Reverted): readonly Block[] =>
  items
    .map((rollout): Block => {
      const nodes = rollout.waves.reduce((sum, { size }) => sum + size, 0);
      return facts([
        ['rollout', rollout.id],
        ['brings', `${nodes} node${nodes === 1 ? '' : 's'} back`],
        ['release', `${rollout.product} ${rollout.version} (${rollout.channel})`],
        ['status', rollout.status],
      ]);
    })
    .concat(skipped.length === 0 ? [] : [table(skipped, SKIPPED_COLUMNS, '')]);

export const revertRollout: Command = {
  name: 'rollouts revert',
  summary: 'bring upgraded nodes back to the version that each came from',
  operands: ['ID'],
  options: { ...MANAGER_OPTIONS, ...OUTPUT_OPTION },
  notes: [
    'A rollout that still runs is cancelled first. Each version becomes a rollout of its own.',
  ],
  run: async (given, terminal) => {
    const client = await connect(given, terminal);
    const made = await client.call('rollouts.revert', { params: { id: given.operand(0) } });
    show(given, terminal, made, revertedText);
  },
};
