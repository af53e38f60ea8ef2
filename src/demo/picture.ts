import { durationInWords } from '../core/kernel/index.js';
import type { Answer } from '../protocol/api/index.js';

export type Targets = Answer<'rollouts.targets'>['items'];
type Rollout = Answer<'rollouts.show'>;

const COLOURS: Readonly<Record<string, number>> = {
  pending: 90,
  offered: 36,
  accepted: 36,
  downloading: 36,
  staged: 34,
  swapping: 33,
  probation: 33,
  succeeded: 32,
  failed: 31,
  rolled_back: 31,
  silent: 35,
  cancelled: 90,
};
const MARKS: Readonly<Record<string, string>> = {
  pending: '·',
  offered: '→',
  accepted: '→',
  downloading: '↓',
  staged: '▣',
  swapping: '↻',
  probation: '◔',
  succeeded: '●',
  failed: '✗',
  rolled_back: '↩',
  silent: '?',
  cancelled: '–',
};

const hasColour = process.stdout.isTTY && process.env['NO_COLOR'] === undefined;
export const paint = (text: string, colour: number): string =>
  hasColour ? `\u001b[${colour}m${text}\u001b[0m` : text;

const cell = (state: string): string => paint(MARKS[state] ?? '?', COLOURS[state] ?? 0);

/** One line a wave: its nodes, each with its state, and what the gate says. */
export function waves(rollout: Rollout, targets: Targets, nowMs: number): string[] {
  return rollout.waves.map((wave) => {
    const mine = targets.filter((target) => target.wave === wave.index);
    const cells = mine.map((target) => cell(target.state)).join(' ');
    const settlesIn = wave.until === null ? 0 : Date.parse(wave.until) - nowMs;
    const settles =
      wave.status === 'settling' && settlesIn > 0
        ? `, settles in ${durationInWords(settlesIn)}`
        : '';
    const counts = Object.entries(wave.counts).map(([state, count]) => `${count} ${state}`);
    const head = `wave ${wave.index + 1}/${rollout.waves.length}`;
    return `  ${head}  ${cells.padEnd(14)}  ${wave.status}${settles}: ${counts.join(', ')}`;
  });
}

/** Draws over what it drew before; without a terminal it prints a line whenever one is new. */
export class Canvas {
  #drawn = 0;
  readonly #seen = new Set<string>();

  draw(lines: readonly string[]): void {
    if (process.stdout.isTTY) {
      const up = this.#drawn > 0 ? `\u001b[${this.#drawn}A` : '';
      process.stdout.write(`${up}${lines.map((line) => `\u001b[2K${line}\n`).join('')}`);
      this.#drawn = lines.length;
      return;
    }
    for (const line of lines) {
      const said = line.replace(/, settles in [^:]*/, '');
      if (this.#seen.has(said)) continue;
      this.#seen.add(said);
      process.stdout.write(`${said}\n`);
    }
  }
}
