import { plus } from '../../kernel/index.js';
import { OPEN, type GateRule } from './contract.js';

/** Opens so long after the wave was done. */
export const settle: GateRule<'settle'> = (gate, { wave, now }) => {
  if (wave.doneAt === null) return { say: 'wait', reason: 'wave_open', until: null };
  const until = plus(wave.doneAt, gate.ms);
  return now >= until ? OPEN : { say: 'wait', reason: 'settling', until };
};
