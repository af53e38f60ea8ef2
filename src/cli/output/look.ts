import type { Terminal } from '../terminal.js';

/** How things are to look: decided once for a command, from its options and the terminal. */
export interface Look {
  readonly now: number;
  /** Cells of a line; null when nobody counts them: a pipe, a file. */
  readonly cells: number | null;
  readonly hasColours: boolean;
  /** Everything, exactly, uncut. */
  readonly isWide: boolean;
  readonly hasHeadings: boolean;
  /** Headings of columns to show, in this order; null for the usual ones. */
  readonly columns: readonly string[] | null;
}

/** NO_COLOR (no-color.org) and dumb terminals are honoured; a pipe never gets colours. */
const hasColours = ({ screen, env }: Terminal): boolean =>
  screen !== undefined && (env['NO_COLOR'] ?? '') === '' && env['TERM'] !== 'dumb';

/** The look of a terminal, changed by what was asked for. */
export const lookOf = (terminal: Terminal, change: Partial<Look> = {}): Look => ({
  now: terminal.now(),
  cells: terminal.screen?.columns() ?? null,
  hasColours: hasColours(terminal),
  isWide: false,
  hasHeadings: true,
  columns: null,
  ...change,
});

const CODES = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33, blue: 34, cyan: 36 } as const;
export type Colour = keyof typeof CODES;

export const painted = (text: string, colour: Colour | null, look: Look): string =>
  colour === null || !look.hasColours || text === ''
    ? text
    : `\u001b[${CODES[colour]}m${text}\u001b[0m`;

const WORDS: Readonly<Record<string, Colour>> = Object.fromEntries(
  (
    [
      [
        'green',
        'online complete passed good succeeded published active enabled ok done yes closed',
      ],
      [
        'yellow',
        'pending paused settling in_progress open warning unknown suspended silent draft offered canary',
      ],
      ['red', 'failed rolled_back bad revoked critical yanked disabled failing refused raised no'],
      ['dim', 'offline cancelled skipped resolved unstarted info'],
    ] as const
  ).flatMap(([colour, words]) => words.split(' ').map((word) => [word, colour])),
);

/** The colour of a state; by its first word, so that `online, idle` counts as `online`. */
export const colourOf = (state: string): Colour | null =>
  WORDS[/^[a-z_]+/.exec(state)?.[0] ?? ''] ?? null;
