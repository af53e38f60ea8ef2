import { expect, it } from 'vitest';
import { answerTo, FRESH_WATCH, freshState, GENERATION_STEP_MAX, step } from './index.js';
import type { Facts, Input, Machine, UpgradeOrder } from './index.js';

const FACTS: Facts = {
  nowMs: 1_790_000_000_000,
  monotonicMs: 1_000,
  healthWindowMs: 10_000,
  bootAttemptsMax: 3,
  manualOnly: false,
};
const FAR = Number.MAX_SAFE_INTEGER;

const order = (command_id: string, generation: number): UpgradeOrder => ({
  command_id,
  generation,
  version: '1.1.0',
  channel: 'stable',
  sources: [],
  apply_after_ms: null,
  expires_at_ms: FACTS.nowMs + 3_600_000,
  needs_permit: true,
});

it('commands cannot use up the numbers: one far ahead is taken, and the next one of a sane manager, too', () => {
  let machine: Machine = {
    state: freshState({ service: 'edge', product: 'edge', variant: 'default' }),
    watch: FRESH_WATCH,
  };
  const take = (input: Input): void => void (machine = step(machine, input, FACTS));
  take({ type: 'upgrade', order: order('cmd_far1111', FAR) });
  expect(answerTo(machine.state, 'cmd_far1111')?.error_code).toBeNull();
  expect(machine.state.generation).toBe(GENERATION_STEP_MAX);
  take({ type: 'withdraw', command_id: 'cmd_far2222', generation: FAR, withdraws: 'cmd_far1111' });
  expect(machine.state).toMatchObject({ job: null, generation: 2 * GENERATION_STEP_MAX });
  take({ type: 'upgrade', order: order('cmd_stale1', 2 * GENERATION_STEP_MAX - 1) });
  expect(answerTo(machine.state, 'cmd_stale1')?.error_code).toBe('command_stale');
  take({ type: 'upgrade', order: order('cmd_sane11', 2 * GENERATION_STEP_MAX + 1) });
  expect(machine.state.job?.command_id).toBe('cmd_sane11');
});
