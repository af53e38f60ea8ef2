import {
  lookOf,
  painted,
  plain,
  spanInShort,
  cut,
  type Colour,
  type Look,
} from '../output/index.js';
import type { Terminal } from '../terminal.js';
import { countsText, type Rollout } from './rollout-text.js';

type Wave = Rollout['waves'][number];
type State = keyof Wave['counts'];

/** How a node is drawn in each state, in the order in which nodes pass them; best first. */
const CELLS: Readonly<Record<State, readonly [sign: string, colour: Colour]>> = {
  succeeded: ['✓', 'green'],
  probation: ['◕', 'cyan'],
  swapping: ['◑', 'cyan'],
  staged: ['◔', 'blue'],
  downloading: ['↓', 'blue'],
  accepted: ['›', 'blue'],
  offered: ['›', 'dim'],
  pending: ['·', 'dim'],
  silent: ['?', 'yellow'],
  failed: ['✗', 'red'],
  rolled_back: ['↩', 'red'],
  skipped: ['-', 'dim'],
  cancelled: ['-', 'dim'],
};
/** In the order of the table; what a newer manager may call a state comes last. */
const ORDER = Object.keys(CELLS) as State[];

/** Cells of a wave at most: of a larger one each stands for several nodes. */
const CELLS_MAX = 60;
const WAVES_MAX = 24;

/**
 * A cell for each node of a wave, sorted by state. Of a large wave each cell stands for as many as are
 * needed; a state that some node is in has one at least, so that no failure is rounded away.
 */
export function cellsOf(wave: Wave, cells: number, look: Look): string {
  const states = ORDER.filter((state) => (wave.counts[state] ?? 0) > 0);
  const counted = states.reduce((sum, state) => sum + (wave.counts[state] ?? 0), 0);
  const scale = counted <= cells ? 1 : counted / Math.max(1, cells - states.length);
  return states
    .map((state) => {
      const [sign, colour] = CELLS[state];
      const count = Math.max(1, Math.floor((wave.counts[state] ?? 0) / scale));
      return painted(sign.repeat(count), colour, look);
    })
    .join('');
}

const countdown = (until: string | null, now: number): string =>
  until === null || Date.parse(until) <= now
    ? ''
    : `, ${spanInShort(Date.parse(until) - now)} to go`;

const VERDICTS: Readonly<Record<Wave['verdict'], readonly [string, Colour]>> = {
  good: ['good', 'green'],
  bad: ['bad', 'red'],
  unknown: ['not known yet', 'yellow'],
};

const STATUS: Readonly<Record<Wave['status'], Colour>> = {
  pending: 'dim',
  open: 'cyan',
  settling: 'yellow',
  passed: 'green',
  skipped: 'dim',
};

function waveLines(wave: Wave, look: Look, of: number): string[] {
  const cells = Math.min(CELLS_MAX, Math.max(10, (look.cells ?? 80) - 20));
  const title = `wave ${wave.index + 1}/${of}`.padEnd(12);
  const status = painted(wave.status.padEnd(9), STATUS[wave.status], look);
  const [verdict, colour] = VERDICTS[wave.verdict];
  const told = wave.status === 'pending' ? '' : `; verdict ${painted(verdict, colour, look)}`;
  const gate = `${wave.reason.replaceAll('_', ' ')}${countdown(wave.until, look.now)}`;
  const counts = countsText(wave) || `${wave.size} nodes`;
  const room = Math.max(20, (look.cells ?? 100) - 14);
  return [
    `${painted(title, 'bold', look)}  ${status} ${plain(cut(wave.name, 30))}`,
    `${' '.repeat(14)}${cellsOf(wave, cells, look)}`,
    `${' '.repeat(14)}${cut(counts, room)}`,
    `${' '.repeat(14)}${cut(plain(gate), Math.max(20, room - 24))}${told}`,
  ];
}

/** Passed and pending waves give way when there are many; what is open is always drawn. */
function drawn(waves: readonly Wave[]): readonly Wave[] {
  if (waves.length <= WAVES_MAX) return waves;
  const first = Math.max(
    0,
    waves.findIndex(({ status }) => status !== 'passed' && status !== 'skipped'),
  );
  const from = Math.min(Math.max(0, first - 2), waves.length - WAVES_MAX);
  return waves.slice(from, from + WAVES_MAX);
}

const isQuiet = ({ status }: Wave): boolean => ['pending', 'passed', 'skipped'].includes(status);

/** A rollout as it stands, for a terminal: waves as rows of cells, gates with what is left of them. */
export function pictureOf(rollout: Rollout, terminal: Terminal): string {
  const look = lookOf(terminal, { cells: terminal.screen?.columns() ?? 80 });
  const shown = drawn(rollout.waves);
  const head = `${rollout.product} ${rollout.version}: ${rollout.status.replaceAll('_', ' ')} (${rollout.reason.replaceAll('_', ' ')})`;
  const lines = shown.flatMap((wave) => {
    const all = waveLines(wave, look, rollout.waves.length);
    return isQuiet(wave) ? all.slice(0, 2) : all;
  });
  const left = rollout.waves.length - shown.length;
  const more = left > 0 ? [`(${left} more waves)`] : [];
  const since = spanInShort(look.now - Date.parse(rollout.created_at));
  return `${[painted(plain(head), 'bold', look), `${rollout.id}, for ${since}`, '', ...lines, ...more].join('\n')}\n`;
}
