import type { Answer } from '../../protocol/api/index.js';
import type { Report } from './tally.js';

/** How often a line is written where the output is no terminal. */
const PLAIN_EVERY_MS = 5_000;

const some = (counts: Readonly<Record<string, number>>): string =>
  Object.entries(counts)
    .filter(([, count]) => count > 0)
    .sort(([, a], [, b]) => b - a)
    .map(([name, count]) => `${count} ${name}`)
    .join(', ');

export interface Look {
  readonly elapsedMs: number;
  readonly report: Report;
  /** Since the look before. */
  readonly eventsPerSecond: number;
  readonly rollout: Answer<'rollouts.show'> | null;
}

/** What can be seen at one moment, in words. */
export function linesOf({ elapsedMs, report, eventsPerSecond, rollout }: Look): readonly string[] {
  const { numbers, phases, versions } = report;
  const lines = [
    `${Math.round(elapsedMs / 1_000)} s   ${some(report.states)}`,
    `links: ${numbers.welcomed} welcomed, ${numbers.lost} lost, ${numbers.refused} refused; ` +
      `${numbers.beats} beats, ${numbers.faults} faults`,
    `events: ${numbers.events_acked} durable, ${Math.round(eventsPerSecond)}/s, ${report.backlog} waiting`,
    `updates: ${some(phases)}; ${numbers.succeeded} succeeded, ${numbers.failed} failed, ` +
      `${numbers.rolled_back} turned back`,
  ];
  if (rollout !== null) {
    const wave = rollout.waves.findLast(({ status }) => status !== 'pending');
    const counts = wave === undefined ? '' : `: ${some(wave.counts)}`;
    lines.push(
      `rollout: ${rollout.status} (${rollout.reason}), wave ${(wave?.index ?? 0) + 1} of ` +
        `${rollout.waves.length} ${wave?.status ?? ''}${counts}`,
    );
  }
  lines.push(`versions: ${some(versions)}`);
  return lines;
}

/** Draws over itself in a terminal; elsewhere it says one line now and then. */
export class Picture {
  readonly #out: NodeJS.WriteStream;
  #height = 0;
  #saidAt = -Infinity;

  constructor(out: NodeJS.WriteStream) {
    this.#out = out;
  }

  draw(look: Look): void {
    if (this.#out.isTTY) {
      const lines = linesOf(look).map((line) => line.slice(0, this.#out.columns - 1));
      const up = this.#height === 0 ? '' : `\u001b[${this.#height}A`;
      this.#out.write(`${up}${lines.map((line) => `\u001b[K${line}\n`).join('')}`);
      // Fewer lines than before leave none behind: they only grow.
      this.#height = Math.max(this.#height, lines.length);
      return;
    }
    if (look.elapsedMs - this.#saidAt < PLAIN_EVERY_MS) return;
    this.#saidAt = look.elapsedMs;
    this.say(linesOf(look).join(' | '));
  }

  say(text: string): void {
    this.#height = 0;
    this.#out.write(`${text}\n`);
  }
}
