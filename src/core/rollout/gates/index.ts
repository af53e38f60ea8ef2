import type { Gate } from '../types.js';
import { approval } from './approval.js';
import { OPEN, type GateAnswer, type GateRule, type GateView } from './contract.js';
import { notBefore } from './not-before.js';
import { settle } from './settle.js';
import { verdict } from './verdict.js';
import { wait } from './wait.js';
import { window } from './window.js';

const RULES: { readonly [K in Gate['kind']]: GateRule<K> } = {
  settle,
  verdict,
  approval,
  window,
  wait,
  not_before: notBefore,
};

const ask = (gate: Gate, view: GateView): GateAnswer =>
  // The table pairs each kind with its own rule; the compiler cannot follow that through a union.
  (RULES[gate.kind] as (gate: Gate, view: GateView) => GateAnswer)(gate, view);

/** The answer of the first gate, in order, that is not open. */
export function askAll(gates: readonly Gate[], view: GateView): GateAnswer {
  for (const gate of gates) {
    const answer = ask(gate, view);
    if (answer.say !== 'open') return answer;
  }
  return OPEN;
}

export type { GateAnswer, GateRule, GateView } from './contract.js';
export {
  allowanceOf,
  badBecause,
  failuresIn,
  isDone,
  openIn,
  verdictGate,
  verdictOf,
} from './verdict.js';
export { isInWindow, opensInWindow } from './window.js';
