import { DAY_MS, MINUTE_MS } from '../../../core/kernel/index.js';
import type { Gate, RolloutState } from '../../../core/rollout/index.js';

/**
 * Says for each kind of gate whether it is closed, from what DESIGN says and not by asking the machine: a
 * second opinion. Windows are read in UTC, every day of the week alike; the simulator plans no others.
 */
export function isClosed(
  gate: Gate,
  at: { readonly rollout: RolloutState; readonly wave: number; readonly now: number },
): boolean {
  const { rollout, wave: index, now } = at;
  const wave = rollout.waves[index];
  if (wave === undefined) return true;
  switch (gate.kind) {
    case 'approval':
      return new Set(wave.approvedBy).size < gate.needed;
    case 'not_before':
      return now < gate.at;
    case 'wait': {
      const before = rollout.waves[index - 1];
      if (before === undefined || before.status === 'skipped') return false;
      return before.openedAt === null || now < before.openedAt + gate.ms;
    }
    case 'window':
      return isOutside(gate, rollout.plan.createdAt, now);
    case 'settle':
      return wave.doneAt === null || now < wave.doneAt + gate.ms;
    case 'verdict': {
      const { counts, lost, offline, size } = wave;
      const most = (limit: typeof gate.failures, of: number): number => {
        if (limit === null) return Infinity;
        return 'count' in limit ? limit.count : Math.floor((of * limit.percent) / 100);
      };
      const failures = counts.failed + counts.rolled_back + lost;
      if (failures > most(gate.failures, size) || offline > most(gate.offline, size)) return true;
      if (counts.succeeded - offline <= 0) return true;
      return counts.silent - lost > most(gate.silent, counts.succeeded + counts.silent);
    }
  }
}

/** Whether swaps are not allowed by this window. */
export function isOutside(
  gate: Extract<Gate, { kind: 'window' }>,
  createdAt: number,
  now: number,
): boolean {
  return !gate.rules.some((rule) => {
    const startOfDay = Math.floor(now / DAY_MS) * DAY_MS;
    // Today's window, and yesterday's when that goes past midnight.
    return [startOfDay, startOfDay - DAY_MS].some((day) => {
      const from = day + rule.startMinute * MINUTE_MS;
      const isIn = now >= from && now < from + rule.durationMinutes * MINUTE_MS;
      return isIn && !(gate.notTheFirst && createdAt >= from);
    });
  });
}
