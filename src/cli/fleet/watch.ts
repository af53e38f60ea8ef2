import { FleetError } from '../../core/kernel/index.js';
import type { Client } from '../client.js';
import type { Command, Given } from '../command.js';
import { connect, MANAGER_OPTIONS, OUTPUT_OPTION, show } from '../connection.js';
import { plain } from '../table.js';
import type { Terminal } from '../terminal.js';
import { countsText, rolloutText, type Rollout } from './rollout-text.js';

/** Between two looks: often enough for a person, a hundred watchers cost a manager nothing. */
const LOOK_EVERY_MS = 1_000;
/** Looks that may fail in a row, a manager that is restarted for instance, before we give up. */
const FAILED_LOOKS_MAX = 60;

const OVER: ReadonlySet<Rollout['status']> = new Set(['complete', 'rolled_back', 'cancelled']);

export const watch: Command = {
  name: 'rollouts watch',
  summary: 'follow a rollout until it is over',
  operands: ['ID'],
  options: {
    'through-pauses': { help: 'go on watching a paused rollout' },
    ...MANAGER_OPTIONS,
    ...OUTPUT_OPTION,
  },
  notes: [
    'Ends with 0 when the rollout is complete and every node has it, with 1 when it paused, ended',
    'otherwise, or left nodes behind.',
  ],
  run: async (given, terminal) => {
    const client = await connect(given, terminal);
    await watchUntilOver(given.operand(0), { given, terminal, client });
  },
};

/**
 * Tells every change on standard error and shows the rollout at its end. Throws
 * `rollout_incomplete` when that is not `complete`, for the status and for the reason: nodes that
 * failed or kept silent are left behind.
 */
export async function watchUntilOver(
  id: string,
  { given, terminal, client }: { given: Given; terminal: Terminal; client: Client },
): Promise<void> {
  const isEnd = ({ status }: Rollout): boolean =>
    OVER.has(status) || (status === 'paused' && !given.isSet('through-pauses'));
  // The first look is not patient: a wrong address should be told at once.
  let rollout = await client.call('rollouts.show', { params: { id } });
  let told = tellChange(rollout, '', terminal);
  while (!isEnd(rollout)) {
    await terminal.sleep(LOOK_EVERY_MS);
    rollout = await lookPatiently(id, client, terminal);
    told = tellChange(rollout, told, terminal);
  }
  show(given, terminal, rollout, rolloutText);
  if (rollout.status === 'complete' && rollout.reason === 'complete') return;
  throw new FleetError('rollout_incomplete', `${id} is ${rollout.status}: ${rollout.reason}`);
}

/** One look; a manager that does not answer, because it restarts for instance, is waited for. */
async function lookPatiently(id: string, client: Client, terminal: Terminal): Promise<Rollout> {
  for (let failed = 1; ; failed += 1) {
    try {
      return await client.call('rollouts.show', { params: { id } });
    } catch (error) {
      const code = error instanceof FleetError ? error.code : '';
      const passes = code === 'manager_unreachable' || code === 'unavailable';
      if (!passes || failed > FAILED_LOOKS_MAX) throw error;
      if (failed === 1) terminal.err('the manager does not answer; still trying\n');
      await terminal.sleep(LOOK_EVERY_MS);
    }
  }
}

/** Writes a line when something changed since `before`; gives what was told. */
function tellChange(rollout: Rollout, before: string, terminal: Terminal): string {
  const waves = rollout.waves
    .filter(({ status }) => status !== 'pending')
    .map((wave) => `wave ${wave.index + 1} ${wave.status}: ${countsText(wave) || 'no nodes'}`);
  const now = [`${rollout.status} (${rollout.reason})`, ...waves].join('; ');
  if (now !== before) terminal.err(`${plain(now)}\n`);
  return now;
}
