import type { WorldResult } from './world/index.js';

/** What a run came to, as it goes from one process to another. */
export interface RunReport {
  readonly run: number;
  readonly steps: number;
  readonly rollouts: number;
  readonly faults: Readonly<Record<string, number>>;
  /** What was reached: events of rollouts, commands, permits, swaps and their ends. */
  readonly deeds: Readonly<Record<string, number>>;
  /** Null when nothing was wrong. */
  readonly violation: string | null;
}

export const reportOf = (run: number, result: WorldResult): RunReport => ({
  run,
  steps: result.steps,
  rollouts: result.rollouts,
  faults: Object.fromEntries(result.faults),
  deeds: Object.fromEntries(result.deeds),
  violation: result.violation?.message ?? null,
});

/** All runs added up. */
export class Tally {
  runs = 0;
  rollouts = 0;
  steps = 0;
  readonly violations: RunReport[] = [];
  readonly #faults = new Map<string, number>();
  readonly #deeds = new Map<string, number>();

  add(report: RunReport): void {
    this.runs += 1;
    this.rollouts += report.rollouts;
    this.steps += report.steps;
    addTo(this.#faults, report.faults);
    addTo(this.#deeds, report.deeds);
    if (report.violation !== null) this.violations.push(report);
  }

  get faults(): number {
    return [...this.#faults.values()].reduce((sum, count) => sum + count, 0);
  }

  /** For a line that is written again and again. */
  line(total: number, elapsedMs: number): string {
    const wrong = this.violations.length;
    return [
      `run ${this.runs} of ${total}`,
      `${this.rollouts} rollouts`,
      `${this.steps} steps`,
      `${this.faults} faults`,
      `${perMinute(this.rollouts, elapsedMs)} rollouts/min`,
      `${wrong} ${wrong === 1 ? 'violation' : 'violations'}`,
    ].join(', ');
  }

  /** For the end. */
  summary(elapsedMs: number): string {
    return [
      `runs         ${this.runs}`,
      `rollouts     ${this.rollouts} (${perMinute(this.rollouts, elapsedMs)} a minute)`,
      `steps        ${this.steps}`,
      `faults       ${this.faults}`,
      ...listOf(this.#faults),
      'reached',
      ...listOf(this.#deeds),
      `violations   ${this.violations.length}`,
    ].join('\n');
  }
}

function addTo(sums: Map<string, number>, counts: Readonly<Record<string, number>>): void {
  for (const [name, count] of Object.entries(counts)) sums.set(name, (sums.get(name) ?? 0) + count);
}

const listOf = (counts: ReadonlyMap<string, number>): string[] =>
  [...counts].sort(([, a], [, b]) => b - a).map(([name, count]) => `  ${name.padEnd(28)} ${count}`);

const perMinute = (count: number, ms: number): number =>
  Math.round((count / Math.max(1, ms)) * 60_000);
