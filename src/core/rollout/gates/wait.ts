import { plus } from '../../kernel/index.js';
import { OPEN, type GateRule } from './contract.js';

/** Opens so long after the wave before was opened; a first wave does not wait. */
export const wait: GateRule<'wait'> = (gate, { rollout, wave, now }) => {
  const before = rollout.waves[wave.index - 1];
  if (before === undefined || before.status === 'skipped') return OPEN;
  if (before.openedAt === null) {
    return { say: 'wait', reason: 'previous_waves_not_done', until: null };
  }
  const until = plus(before.openedAt, gate.ms);
  return now >= until ? OPEN : { say: 'wait', reason: 'waiting_after_previous_wave', until };
};
