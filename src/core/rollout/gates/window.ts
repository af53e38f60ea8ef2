import type { Instant } from '../../kernel/index.js';
import { nextOpening, windowAt, type Freeze, type Span } from '../calendar.js';
import { isGlassBroken } from '../glass.js';
import type { Gate, RolloutState } from '../types.js';
import { OPEN, type GateRule } from './contract.js';

type WindowGate = Extract<Gate, { kind: 'window' }>;

const spanAt = (gate: WindowGate, at: Instant): Span | null => {
  const spans = gate.rules.flatMap((rule) => windowAt(rule, at) ?? []);
  return spans.sort((a, b) => b.to - a.to)[0] ?? null;
};

/** Whether swaps may happen now; freezes are looked at by whoever asks. */
export const isInWindow = (gate: WindowGate, rollout: RolloutState, now: Instant): boolean => {
  const span = spanAt(gate, now);
  return span !== null && !(gate.notTheFirst && rollout.plan.createdAt >= span.from);
};

/** The first moment from `now` on at which it is open; null when there is none. */
export function opensInWindow(
  gate: WindowGate,
  look: {
    readonly rollout: RolloutState;
    readonly now: Instant;
    readonly freezes: readonly Freeze[];
  },
): Instant | null {
  const { rollout, now, freezes } = look;
  if (isInWindow(gate, rollout, now)) return now;
  const span = spanAt(gate, now);
  return nextOpening(gate.rules, freezes, span === null ? now : span.to);
}

/**
 * Opens inside a maintenance window. A rollout that was made in the middle of one waits for the
 * next when `notTheFirst` is set: nobody expects a new release to start in the hour it is published.
 */
export const window: GateRule<'window'> = (gate, { rollout, now, circumstances }) => {
  if (isInWindow(gate, rollout, now) || isGlassBroken(rollout, now)) return OPEN;
  const { freezes } = circumstances;
  return {
    say: 'wait',
    reason: spanAt(gate, now) === null ? 'outside_window' : 'rollout_changed_during_window',
    until: opensInWindow(gate, { rollout, now, freezes }),
  };
};
