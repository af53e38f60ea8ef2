import { OPEN, type GateRule } from './contract.js';

/** Opens when enough different people or tokens approved the wave. Waits for ever. */
export const approval: GateRule<'approval'> = (gate, { wave }) =>
  wave.approvedBy.length >= gate.needed
    ? OPEN
    : { say: 'wait', reason: 'waiting_for_approval', until: null };
