import { isGlassBroken } from '../glass.js';
import { OPEN, type GateRule } from './contract.js';

/** Opens when enough different people approved the wave. Waits for ever. */
export const approval: GateRule<'approval'> = (gate, { wave, rollout, now }) =>
  wave.approvedBy.length >= gate.needed || isGlassBroken(rollout, now)
    ? OPEN
    : { say: 'wait', reason: 'waiting_for_approval', until: null };
