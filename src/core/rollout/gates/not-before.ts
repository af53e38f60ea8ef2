import { OPEN, type GateRule } from './contract.js';

/** Opens at a moment. */
export const notBefore: GateRule<'not_before'> = (gate, { now }) =>
  now >= gate.at ? OPEN : { say: 'wait', reason: 'not_before', until: gate.at };
