import { describe, expect, it } from 'vitest';
import { FRESH_WATCH, freshState, step, type Arrival, type Machine } from './index.js';

const FACTS = {
  nowMs: 1_800_000_000_000,
  monotonicMs: 1_000,
  healthWindowMs: 10_000,
  bootAttemptsMax: 3,
  manualOnly: false,
};
const ARTIFACT = {
  ...{ sha256: 'a'.repeat(64), size: 100, sequence: 11, state_schema: null },
  content: { sha256: 'b'.repeat(64), size: 300 },
};

function afterDownload(arrival?: Arrival): Machine {
  const names = { service: 'edge', product: 'edge', variant: 'default' };
  const order = {
    channel: 'stable',
    ...{ command_id: 'cmd_one111', generation: 1, version: '1.1.0' },
    ...{
      sources: [],
      apply_after_ms: null,
      expires_at_ms: FACTS.nowMs + 1_000,
      needs_permit: true,
    },
  } as const;
  let machine: Machine = { state: freshState(names), watch: FRESH_WATCH };
  machine = step(machine, { type: 'upgrade', order }, FACTS);
  machine = step(machine, { type: 'judged', artifact: ARTIFACT }, FACTS);
  return step(machine, { type: 'downloaded', ...(arrival && { arrival }) }, FACTS);
}
const told = (machine: Machine) => machine.state.outbox.at(-1);

describe('the bytes of a version', () => {
  it('that came by a delta are told, and what is to be unpacked is durable', () => {
    const machine = afterDownload({ as: 'content', bytes: 7, deltaProblem: null });
    expect(machine.state.job).toMatchObject({ phase: 'verifying', arrived: 'content' });
    expect(told(machine)).toMatchObject({
      severity: 'info',
      message: '1.1.0 downloaded as a delta',
      details: { to_version: '1.1.0', size_bytes: 100, delta: true, bytes: 7 },
    });
  });

  it('that came as a whole because of a delta say why, which is no failure of the upgrade', () => {
    const machine = afterDownload({ as: 'artifact', bytes: 107, deltaProblem: 'it was cut' });
    expect(machine.state.job).toMatchObject({ phase: 'verifying', arrived: 'artifact' });
    expect(told(machine)).toMatchObject({
      message: '1.1.0 downloaded as a whole, not as a delta: it was cut',
      details: { delta: false, bytes: 107, delta_problem: 'it was cut' },
    });
    expect(told(machine)?.details).not.toHaveProperty('error_code');
  });

  it('of a release without deltas need no words', () => {
    const machine = afterDownload({ as: 'artifact', bytes: 100, deltaProblem: null });
    expect(told(machine)?.message).toBe('1.1.0 downloaded');
    expect(told(machine)?.details).not.toHaveProperty('delta_problem');
  });
});
