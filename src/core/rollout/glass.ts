import type { Instant } from '../kernel/index.js';
import type { Circumstances, RolloutState } from './types.js';

/**
 * Whether somebody has broken the glass: for a time, freezes, windows and missing approvals do not hold
 * this rollout. Everything else does: the switch, a yank, order, waits, settling and evidence.
 */
export const isGlassBroken = ({ glass }: RolloutState, now: Instant): boolean =>
  glass !== undefined && now < glass.until;

/** The circumstances as they hold for this rollout. */
export const heldFor = (
  rollout: RolloutState,
  circumstances: Circumstances,
  now: Instant,
): Circumstances =>
  isGlassBroken(rollout, now) ? { ...circumstances, freezes: [] } : circumstances;
