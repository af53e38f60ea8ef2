import { FleetError, SECOND_MS } from '../../core/kernel/index.js';
import type { Client } from '../client.js';
import { usageError, type Command, type Given, type OptionSpec } from '../command.js';
import { connect, MANAGER_OPTIONS, OUTPUT_OPTION, show } from '../connection.js';
import { makeCanvas, plain } from '../output/index.js';
import { patiently } from '../patience.js';
import type { Terminal } from '../terminal.js';
import { Span } from '../values.js';
import { pictureOf } from './picture.js';
import { countsText, rolloutText, type Rollout } from './rollout-text.js';

/** Between two looks: often enough for a person, a hundred watchers cost a manager nothing. */
const LOOK_EVERY_MS = 1_000;

const OVER: ReadonlySet<Rollout['status']> = new Set(['complete', 'rolled_back', 'cancelled']);

/** What goes with waiting for the end of a rollout. */
export const WAIT_OPTIONS: Readonly<Record<string, OptionSpec>> = {
  timeout: { value: 'D', help: 'wait no longer than this (such as 2h); then exit code 8' },
  'through-pauses': { help: 'go on waiting while it is paused' },
};

export const watch: Command = {
  name: 'rollouts watch',
  summary: 'follow a rollout until it is over; drawn live in a terminal',
  operands: ['ID'],
  options: {
    ...WAIT_OPTIONS,
    ...MANAGER_OPTIONS,
    ...OUTPUT_OPTION,
  },
  notes: [
    'Ends with 0 when the rollout is complete and every node has it, with 7 when it paused, ended',
    'otherwise, or left nodes behind, and with 8 when --timeout was over first.',
    'One sign a node: ✓ done, ◕ on probation, ◑ swapping, ◔ staged, ↓ downloading, › offered, · waiting,',
    '? silent, ✗ failed, ↩ rolled back, - skipped. In a large wave a sign stands for several nodes.',
  ],
  run: async (given, terminal) => {
    const client = await connect(given, terminal);
    await watchUntilOver(given.operand(0), { given, terminal, client });
  },
};

/**
 * Tells every change on standard error, drawn in place where that is a terminal, and shows the rollout at
 * its end. Throws `rollout_incomplete` when that is not `complete`, for the status and for the reason:
 * nodes that failed or kept silent are left behind. Throws `wait_timed_out` after `--timeout`.
 */
export async function watchUntilOver(
  id: string,
  { given, terminal, client }: { given: Given; terminal: Terminal; client: Client },
): Promise<void> {
  const seconds = timeoutOf(given);
  const endsAt = seconds === undefined ? Infinity : terminal.now() + seconds * SECOND_MS;
  const isEnd = ({ status }: Rollout): boolean =>
    OVER.has(status) || (status === 'paused' && !given.isSet('through-pauses'));
  const look = (): Promise<Rollout> => client.call('rollouts.show', { params: { id } });
  const teller = tellerFor(terminal);
  // The first look is not patient: a wrong address should be told at once.
  let rollout = await look();
  teller.tell(rollout);
  while (!isEnd(rollout)) {
    if (terminal.now() >= endsAt) {
      teller.end();
      throw timedOut(rollout, given);
    }
    await terminal.sleep(Math.min(LOOK_EVERY_MS, endsAt - terminal.now()));
    rollout = await patiently(look, terminal);
    teller.tell(rollout);
  }
  teller.end();
  show(given, terminal, rollout, rolloutText);
  if (rollout.status === 'complete' && rollout.reason === 'complete') return;
  throw new FleetError('rollout_incomplete', `${id} is ${rollout.status}: ${rollout.reason}`);
}

export const timeoutOf = (given: Given): number | undefined => given.read('timeout', Span);

/** `--timeout` alone would be passed over without a word. */
export function checkWait(given: Given): boolean {
  const waits = given.isSet('wait') || given.isSet('watch');
  for (const option of Object.keys(WAIT_OPTIONS)) {
    if (!waits && given.isSet(option)) throw usageError(`--${option} goes with --wait`);
  }
  timeoutOf(given);
  return waits;
}

const timedOut = ({ id, status, reason }: Rollout, given: Given): FleetError =>
  new FleetError(
    'wait_timed_out',
    `${id} is still ${status} (${reason}) after ${given.optional('timeout') ?? ''}`,
  );

interface Teller {
  tell(rollout: Rollout): void;
  end(): void;
}

/** Drawn where somebody watches, else a line for each change. */
function tellerFor(terminal: Terminal): Teller {
  const { screen, env } = terminal;
  if (!terminal.isWatched || screen === undefined || env['TERM'] === 'dumb') {
    let told = '';
    return { tell: (rollout) => void (told = tellChange(rollout, told, terminal)), end: () => {} };
  }
  const canvas = makeCanvas(
    (text) => terminal.err(text),
    () => screen.rows(),
  );
  return {
    tell: (rollout) => canvas.draw(pictureOf(rollout, terminal)),
    end: () => canvas.clear(),
  };
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
