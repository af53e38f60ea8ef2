import { describe, expect, it } from 'vitest';
import type { IndexMemory } from '../release/index.js';
import { FRESH_WATCH, freshState, step, type Facts, type Input, type Machine } from './index.js';

const FACTS: Facts = {
  nowMs: 1_790_000_000_000,
  monotonicMs: 0,
  healthWindowMs: 1_000,
  bootAttemptsMax: 3,
  manualOnly: false,
};
const version = (name: string) =>
  ({ version: name, channel: 'stable', sequence: 1, state_schema: null }) as const;
const NODE: Machine = {
  state: {
    ...freshState({ service: 'edge', product: 'edge', variant: 'default' }),
    current: version('1.5.0'),
    previous: version('1.4.0'),
  },
  watch: FRESH_WATCH,
};
const INDEX: IndexMemory = {
  sequence: 5,
  digest: 'd'.repeat(64),
  expires_at: '2026-11-27T00:00:00Z',
  current: { version: '1.5.0', manifest_sha256: 'c'.repeat(64) },
  floor: 0,
  revoked: [],
  signers: ['e'.repeat(64)],
  expiry_told: false,
};
const revocation = { version: '1.5.0', sha256: 'a'.repeat(64), reason: 'it leaks' };
const take = (machine: Machine, ...inputs: Input[]): Machine =>
  inputs.reduce((at, input) => step(at, input, FACTS), machine);
const types = ({ state }: Machine): string[] => state.outbox.map(({ type }) => type);

describe('what becomes known of the channels', () => {
  it('is remembered, and said again changes nothing', () => {
    const seen = take(NODE, { type: 'index_seen', channel: 'stable', index: INDEX });
    expect(seen.state.indexes).toEqual({ stable: INDEX });
    expect(take(seen, { type: 'index_seen', channel: 'stable', index: INDEX })).toBe(seen);
  });

  it('tells once for each index that it has expired', () => {
    const expired: Input = { type: 'index_expired', channel: 'stable' };
    expect(take(NODE, expired)).toBe(NODE);
    const seen = take(NODE, { type: 'index_seen', channel: 'stable', index: INDEX });
    expect(types(take(seen, expired, expired))).toEqual(['channel_index_expired']);
  });

  it('remembers the highest downgrade permit only', () => {
    const used = (sequence: number): Input => ({
      type: 'downgrade_used',
      channel: 'beta',
      sequence,
    });
    expect(take(NODE, used(3), used(2)).state.downgrades).toEqual({ beta: 3 });
  });
});

describe('a revoked version', () => {
  it('gives way to the one before, and nothing leads back to it', () => {
    const back = take(NODE, { type: 'revoked', revocation, done: 'back' });
    expect(back.state).toMatchObject({ current: version('1.4.0'), previous: null });
    expect(types(back)).toEqual(['service_revoked']);
  });

  it('is told once when there is no way back', () => {
    for (const done of ['stopped', 'alerted'] as const) {
      const input: Input = { type: 'revoked', revocation, done };
      const told = take(NODE, input, input);
      expect(told.state).toMatchObject({ current: version('1.5.0'), revoked_told: '1.5.0' });
      expect(types(told)).toEqual(['service_revoked']);
    }
  });

  const order = {
    command_id: 'cmd_000001',
    generation: 1,
    version: '1.6.0',
    channel: 'stable',
    sources: [],
    apply_after_ms: null,
    expires_at_ms: FACTS.nowMs + 1_000,
    needs_permit: true,
  } as const;

  it('is what a job no longer comes from', () => {
    const job = take(
      NODE,
      { type: 'upgrade', order },
      { type: 'revoked', revocation, done: 'back' },
    );
    expect(job.state.job).toMatchObject({ from: version('1.4.0'), from_previous: null });
  });

  it('on probation is turned back like any other that fails there', () => {
    const on = take(NODE, { type: 'upgrade', order });
    const job = { ...on.state.job!, phase: 'probation' as const };
    const probation = { ...on, state: { ...on.state, current: version('1.6.0'), job } };
    const back = take(probation, { type: 'revoked', revocation, done: 'alerted' });
    expect(back.state.job).toMatchObject({
      phase: 'rolling_back',
      failure: { code: 'upgrade_revoked' },
    });
  });
});
