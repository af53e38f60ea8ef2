import { countOf } from '../evolve.js';
import type { Limit } from '../cut.js';
import { isOpen, type Gate, type Verdict, type WavePlan, type WaveState } from '../types.js';
import { OPEN, type GateRule } from './contract.js';

type VerdictGate = Extract<Gate, { kind: 'verdict' }>;

/** The verdict of a wave that no gate judges is told by the strictest rule. */
const STRICT: VerdictGate = {
  kind: 'verdict',
  failures: { count: 0 },
  offline: { count: 0 },
  silent: { percent: 50 },
};

/** How many of `total` are tolerated: a percent is rounded down, so 5 % of ten is none. */
export const allowanceOf = (limit: Limit | null, total: number): number => {
  if (limit === null) return Number.POSITIVE_INFINITY;
  return 'count' in limit ? limit.count : Math.floor((total * limit.percent) / 100);
};

export const failuresIn = (wave: WaveState): number =>
  wave.counts.failed + wave.counts.rolled_back + wave.lost;

export const openIn = (wave: WaveState): number =>
  wave.counts.pending + countOf(wave.counts, isOpen);

/** Whether enough of the wave has ended for its settle time to start. */
export function isDone(wave: WaveState, plan: WavePlan): boolean {
  if (openIn(wave) === 0) return true;
  if (plan.doneAtPercent === null) return false;
  const concerned = wave.size - wave.counts.skipped - wave.counts.cancelled;
  return wave.counts.succeeded >= Math.ceil((concerned * plan.doneAtPercent) / 100);
}

/** Why the evidence of a wave is bad, or null. Tells as soon as a limit is passed. */
export function badBecause(gate: VerdictGate, wave: WaveState): string | null {
  if (failuresIn(wave) > allowanceOf(gate.failures, wave.size)) return 'wave_failed';
  if (wave.offline > allowanceOf(gate.offline, wave.size)) return 'nodes_went_offline';
  return null;
}

const isEvidence = (gate: VerdictGate, wave: WaveState): boolean => {
  const { succeeded, silent } = wave.counts;
  const present = succeeded - wave.offline;
  return present > 0 && silent - wave.lost <= allowanceOf(gate.silent, succeeded + silent);
};

/**
 * What a wave proves so far. `good` only when it is done, somebody succeeded and is still there, and
 * not more kept silent than allowed. All else is `unknown`: no news is never good news.
 */
export function verdictOf(wave: WaveState, plan: WavePlan): Verdict {
  const gate = verdictGate(plan) ?? STRICT;
  if (badBecause(gate, wave) !== null) return 'bad';
  return isDone(wave, plan) && isEvidence(gate, wave) ? 'good' : 'unknown';
}

export const verdictGate = (plan: WavePlan): VerdictGate | null =>
  plan.passes.find((gate) => gate.kind === 'verdict') ?? null;

/** Opens on good evidence; bad or missing evidence stops. */
export const verdict: GateRule<'verdict'> = (gate, { wave, plan }) => {
  const bad = badBecause(gate, wave);
  if (bad !== null) return { say: 'stop', reason: bad };
  if (!isDone(wave, plan)) return { say: 'wait', reason: 'wave_open', until: null };
  return isEvidence(gate, wave) ? OPEN : { say: 'stop', reason: 'not_enough_evidence' };
};
