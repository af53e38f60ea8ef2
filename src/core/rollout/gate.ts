import { isOpen, TARGET_STATES, type Strategy, type Verdict, type WaveState } from './types.js';

/**
 * Up to this share of a wave may be silent before its swap and the wave still counts as evidence.
 * Half: below it, most of the wave has spoken; above it, mostly absence has.
 */
export const SILENT_SHARE_MAX = 0.5;

export const failuresIn = (wave: WaveState): number =>
  wave.counts.failed + wave.counts.rolled_back + wave.lost;

export const openIn = (wave: WaveState): number =>
  TARGET_STATES.reduce((sum, state) => (isOpen(state) ? sum + wave.counts[state] : sum), 0) +
  wave.counts.pending;

/**
 * What a wave proves so far. `bad` as soon as one target failed, was rolled back, or fell silent
 * after its permit. `good` only when every target has ended, at least one succeeded and not more
 * than SILENT_SHARE_MAX of those concerned kept silent. All else is `unknown`: no news is never
 * good news.
 */
export function verdictOf(wave: WaveState): Verdict {
  if (failuresIn(wave) > 0) return 'bad';
  if (openIn(wave) > 0 || wave.counts.succeeded === 0) return 'unknown';
  const concerned = wave.counts.succeeded + wave.counts.silent;
  return wave.counts.silent <= concerned * SILENT_SHARE_MAX ? 'good' : 'unknown';
}

/** Why the rollout must stop here, or null. `immediate` is never stopped by its verdict. */
export function stopReason(strategy: Strategy, wave: WaveState): string | null {
  if (strategy === 'immediate') return null;
  const verdict = verdictOf(wave);
  if (verdict === 'bad') return 'wave_failed';
  if (verdict === 'unknown' && openIn(wave) === 0) return 'not_enough_evidence';
  return null;
}
