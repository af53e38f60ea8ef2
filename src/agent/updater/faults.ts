import type { UpdateState } from '../../core/update/index.js';

/**
 * Points at which the agent can be made to die, for tests of its durability. Each stands right
 * after a durable step, or between two that belong together.
 */
export const FAULT_POINTS = [
  'after-state-started',
  'after-download-part',
  'after-download',
  'after-extract',
  'after-rename-version',
  'after-state-staged',
  'after-state-swapping',
  'after-service-stopped',
  'after-link-previous',
  'after-link-current',
  'after-service-started',
  'after-state-probation',
  'after-state-promoted',
  'after-state-rolling-back',
  'after-rollback-link',
  'after-state-rolled-back',
  'after-spool',
] as const;
/** Those that only a service with hooks, or in a set, passes. */
export const HOOK_FAULT_POINTS = [
  'after-hook-pre-stage',
  'after-hook-pre-swap',
  'after-hook-post-swap',
  'after-hook-pre-rollback',
] as const;
export const SET_FAULT_POINTS = [
  'after-set-gathering',
  'after-set-moving',
  'after-set-kept',
  'after-set-back',
] as const;
export type FaultPoint =
  | (typeof FAULT_POINTS)[number]
  | (typeof HOOK_FAULT_POINTS)[number]
  | (typeof SET_FAULT_POINTS)[number];

export interface Faults {
  hit(point: FaultPoint): void;
}

export const NO_FAULTS: Faults = { hit: () => undefined };

/** `name` or `name:n`: dies by SIGKILL, as a power cut would have it, at the n-th pass. */
export function faultsFrom(text: string | undefined): Faults {
  if (text === undefined || text === '') return NO_FAULTS;
  const [name, count = '1'] = text.split(':');
  let left = Number(count);
  return {
    hit: (point) => {
      if (point !== name) return;
      left -= 1;
      if (left === 0) process.kill(process.pid, 'SIGKILL');
    },
  };
}

/** The points that stand right after a change of phase became durable. */
export function hitFor(faults: Faults, before: UpdateState, after: UpdateState): void {
  const phase = after.job?.phase ?? null;
  if (phase === (before.job?.phase ?? null)) return;
  const result = after.outcome?.result;
  if (phase === 'staged') faults.hit('after-state-staged');
  if (phase === 'swapping') faults.hit('after-state-swapping');
  if (phase === 'probation') faults.hit('after-state-probation');
  if (phase === 'rolling_back') faults.hit('after-state-rolling-back');
  if (phase === null && result === 'succeeded') faults.hit('after-state-promoted');
  if (phase === null && result === 'rolled_back') faults.hit('after-state-rolled-back');
}
