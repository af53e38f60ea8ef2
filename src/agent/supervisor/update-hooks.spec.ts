import { describe, expect, it } from 'vitest';
import { UpdateHooks } from './update-hooks.js';

describe('hooks in agent.toml', () => {
  it.each([
    ['a relative program', { pre_swap: { command: ['check'] } }],
    ['no program', { pre_swap: { command: [] } }],
    ['more than five minutes', { pre_swap: { command: ['/bin/true'], timeout_secs: 301 } }],
    [
      'more than one before a rollback',
      { pre_rollback: { command: ['/bin/true'], timeout_secs: 61 } },
    ],
    ['an unknown hook', { before_swap: { command: ['/bin/true'] } }],
  ])('%s is a wrong configuration', (_, hooks) => {
    expect(UpdateHooks.safeParse(hooks).success).toBe(false);
  });
});
