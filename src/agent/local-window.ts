import { instant, MINUTE_MS } from '../core/kernel/index.js';
import type { NodePolicy } from '../core/release/index.js';
import { nextOpening, problemsOfWindow, type WindowRule } from '../core/rollout/index.js';

/** The windows of a policy as the calendar of rollouts takes them: one rule for both sides. */
const rulesOf = ({ window }: Pick<NodePolicy, 'window'>): WindowRule[] =>
  window.map(({ days, start, duration_minutes, time_zone }) => {
    const [hours = 0, minutes = 0] = start.split(':').map(Number);
    const startMinute = hours * 60 + minutes;
    return { days, startMinute, durationMinutes: duration_minutes, timeZone: time_zone };
  });

/** What the form of a policy cannot tell, such as an unknown zone; empty when the windows may be used. */
export const problemsOfLocalWindow = (policy: Pick<NodePolicy, 'window'>): string[] =>
  rulesOf(policy).flatMap((rule, index) =>
    problemsOfWindow(rule).map((problem) => `window.${index}: ${problem}`),
  );

/** Windows open and close on whole minutes, so within one the answer holds. */
const answers = new WeakMap<
  object,
  { readonly minute: number; readonly opensAtMs: number | null }
>();

/**
 * When the maintenance window of a policy is open next: `nowMs` itself, or a moment before it, while it
 * is; null when it is not within 400 days. Undefined for a policy without one: all times will do.
 */
export function windowOpensAtMs(
  policy: Pick<NodePolicy, 'window'>,
  nowMs: number,
): number | null | undefined {
  if (policy.window.length === 0) return undefined;
  const minute = Math.floor(nowMs / MINUTE_MS);
  const known = answers.get(policy);
  if (known?.minute === minute) return known.opensAtMs;
  const opensAtMs = nextOpening(rulesOf(policy), [], instant(nowMs));
  answers.set(policy, { minute, opensAtMs });
  return opensAtMs;
}

/** The same for people and machines to read; null without a window, or when it does not open. */
export function nextOpeningOf(policy: Pick<NodePolicy, 'window'>, nowMs: number): string | null {
  const opensAtMs = windowOpensAtMs(policy, nowMs) ?? null;
  return opensAtMs === null ? null : new Date(opensAtMs).toISOString();
}
