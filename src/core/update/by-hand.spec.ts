import { describe, expect, it } from 'vitest';
import {
  FRESH_WATCH,
  freshState,
  nextAction,
  step,
  UpdateState,
  waitingForHand,
  wayBack,
  type Facts,
  type Input,
  type Machine,
} from './index.js';

const FACTS: Facts = {
  nowMs: 1_790_000_000_000,
  monotonicMs: 1_000,
  healthWindowMs: 10_000,
  bootAttemptsMax: 3,
  manualOnly: true,
};
const version = (name: string, sequence: number) =>
  ({ version: name, channel: 'stable', sequence, state_schema: null }) as const;
const ARTIFACT = { sha256: 'a'.repeat(64), size: 100, sequence: 12, state_schema: null };
const UPGRADE: Extract<Input, { type: 'upgrade' }> = {
  type: 'upgrade',
  order: {
    command_id: 'cmd_one111',
    generation: 5,
    version: '1.2.0',
    channel: 'stable',
    sources: [],
    apply_after_ms: null,
    expires_at_ms: FACTS.nowMs + 3_600_000,
    needs_permit: true,
  },
};
const BACK: Input = { type: 'rollback_by_hand', id: 'hand_0000000001' };
const APPLY: Input = { type: 'apply_by_hand' };
const GRANT: Input = { type: 'permit_granted', command_id: 'cmd_one111', ask: 1, lease_ms: 5_000 };
const CODE = 'upgrade_rolled_back_by_hand';

class Bench {
  facts = FACTS;
  machine: Machine = {
    state: {
      ...freshState({ service: 'edge', product: 'edge', variant: 'default' }),
      current: version('1.1.0', 11),
      previous: version('1.0.0', 10),
      floors: { stable: 11 },
    },
    watch: FRESH_WATCH,
  };
  take(...inputs: Input[]): this {
    for (const input of inputs) this.machine = step(this.machine, input, this.facts);
    // Whatever comes of it must be readable after a crash.
    UpdateState.parse(this.machine.state);
    return this;
  }
  staged(): this {
    return this.take(
      UPGRADE,
      { type: 'judged', artifact: ARTIFACT },
      { type: 'downloaded' },
      { type: 'extracted' },
    );
  }
  onProbation(): this {
    return this.staged().take(APPLY, { type: 'permit_asked' }, GRANT, { type: 'swapped' });
  }
  get state(): UpdateState {
    return this.machine.state;
  }
  get action(): string {
    return nextAction(this.machine, this.facts).do;
  }
  get told(): string[] {
    return this.state.outbox.map((event) => event.type);
  }
}

describe('what a person wants now', () => {
  const HURRY: Input = { type: 'hurry_by_hand' };
  const closed = { ...FACTS, manualOnly: false, windowOpensAtMs: FACTS.nowMs + 3_600_000 };
  const outside = (): Bench => {
    const bench = new Bench();
    bench.facts = closed;
    return bench;
  };

  it('does not wait for the local window, but for its permit', () => {
    const bench = outside().staged();
    expect([bench.action, bench.take(HURRY).action]).toEqual(['wait', 'ask_permit']);
    bench.take({ type: 'permit_asked' });
    expect(bench.action).toBe('wait');
    expect(bench.take(HURRY).action).toBe('ask_permit');
    bench.take({ type: 'permit_asked' }, { ...GRANT, ask: 2 });
    expect([bench.action, bench.state.outbox.at(-1)?.details]).toMatchObject([
      'swap',
      { window_waived: true },
    ]);
  });

  it('is remembered while it is still on its way', () => {
    const bench = outside().take(UPGRADE, HURRY, { type: 'judged', artifact: ARTIFACT });
    bench.take({ type: 'downloaded' }, { type: 'extracted' });
    expect(bench.action).toBe('ask_permit');
    expect(bench.state.outbox.at(-1)?.details).not.toHaveProperty('waits_for');
  });

  it('still waits for the time of the manager, and for the hand where the policy wants one', () => {
    const bench = outside();
    bench.facts = { ...closed, manualOnly: true };
    expect(bench.staged().take(HURRY).action).toBe('wait');
    const later = outside();
    const order = { ...UPGRADE.order, apply_after_ms: FACTS.nowMs + 1 };
    later.take({ type: 'upgrade', order }, { type: 'judged', artifact: ARTIFACT });
    later.take({ type: 'downloaded' }, { type: 'extracted' }, HURRY);
    expect(later.action).toBe('wait');
  });

  it('changes nothing after the swap, and nothing where there is no job', () => {
    const swapped = new Bench().onProbation();
    const before = swapped.state;
    expect(swapped.take(HURRY).state).toEqual(before);
    expect(new Bench().take(HURRY).state).toEqual(new Bench().state);
  });
});

describe('a version that waits for a hand', () => {
  it('is let go by one, and still asks for its permit', () => {
    const bench = new Bench().staged();
    expect([bench.action, waitingForHand(bench.state, true).ok]).toEqual(['wait', true]);
    expect(bench.take(APPLY).action).toBe('ask_permit');
    bench.take({ type: 'permit_asked' }, GRANT);
    expect(bench.action).toBe('swap');
    expect(bench.state.outbox.at(-1)?.details).toMatchObject({ by_hand: true });
  });

  it('is let go once: a second hand finds nothing to do', () => {
    const bench = new Bench().staged().take(APPLY);
    const again = waitingForHand(bench.state, true);
    expect(again.ok ? null : again.error.code).toBe('nothing_to_apply');
  });

  it('still waits after a restart, and the hand of before counts after one', () => {
    const booted: Input = { type: 'booted', current: '1.1.0' };
    const waiting = new Bench().staged().take(booted);
    expect([waiting.action, waiting.state.job?.phase]).toEqual(['wait', 'staged']);
    expect(waiting.take(APPLY, booted).action).toBe('ask_permit');
  });

  it('waits on when the policy is changed to need no hand', () => {
    const bench = new Bench().staged();
    bench.facts = { ...FACTS, manualOnly: false };
    expect(bench.take({ type: 'tick' }).action).toBe('wait');
    expect(waitingForHand(bench.state, false).ok).toBe(true);
  });

  it('expires, is withdrawn, or gives way to a newer command, and then no hand helps', () => {
    const expired = new Bench().staged();
    expired.facts = { ...FACTS, nowMs: FACTS.nowMs + 3_600_000 };
    expired.take({ type: 'tick' });
    expect(expired.state.outcome).toMatchObject({ error_code: 'command_expired' });
    const withdrawal = { command_id: 'cmd_two222', generation: 6, withdraws: 'cmd_one111' };
    const withdrawn = new Bench().staged().take({ type: 'withdraw', ...withdrawal });
    expect(withdrawn.state.outcome).toMatchObject({ result: 'withdrawn' });
    const newer = new Bench().staged();
    const order = { ...UPGRADE.order };
    newer.take({ type: 'upgrade', order: { ...order, command_id: 'cmd_new333', generation: 7 } });
    for (const bench of [expired, withdrawn, newer]) {
      expect(waitingForHand(bench.state, true).ok).toBe(false);
      expect(bench.action).not.toBe('ask_permit');
    }
    expect(newer.state.job).toMatchObject({ command_id: 'cmd_new333', applied_by_hand: false });
  });

  it('is not let go before it is staged', () => {
    const fetching = new Bench().take(UPGRADE);
    expect(waitingForHand(fetching.state, true).ok).toBe(false);
  });
});

describe('a rollback by hand', () => {
  it('leads from what has proven itself to the version before, once', () => {
    const bench = new Bench().take(BACK);
    expect(bench.action).toBe('roll_back');
    expect(bench.state.job).toMatchObject({ from: { version: '1.0.0' }, from_previous: null });
    bench.take({ type: 'rolled_back' });
    expect(bench.state).toMatchObject({
      job: null,
      current: { version: '1.0.0' },
      previous: null,
      floors: { stable: 11 },
      outcome: { result: 'rolled_back', error_code: CODE, version: '1.1.0' },
    });
    const [event] = bench.state.outbox;
    expect(event).toMatchObject({ type: 'upgrade_rolled_back', severity: 'warning' });
    expect(event?.details).toMatchObject({ error_code: CODE, to_version: '1.0.0' });
    const after = bench.state;
    expect(bench.take(BACK).state).toBe(after);
    const way = wayBack(after);
    expect(way.ok ? null : way.error.code).toBe('nothing_to_go_back_to');
  });

  it('turns back what is on probation, as the watchdog would', () => {
    const bench = new Bench().onProbation().take(BACK);
    expect(bench.action).toBe('roll_back');
    bench.take({ type: 'rolled_back' });
    expect(bench.state).toMatchObject({
      current: { version: '1.1.0' },
      previous: { version: '1.0.0' },
      outcome: { command_id: 'cmd_one111', result: 'rolled_back', error_code: CODE },
    });
  });

  it('gives up what is only being prepared, and tells both', () => {
    const bench = new Bench().staged().take(BACK, { type: 'rolled_back' });
    expect(bench.state.current?.version).toBe('1.0.0');
    expect(bench.told.slice(-2)).toEqual(['upgrade_refused', 'upgrade_rolled_back']);
  });

  it('changes nothing in the middle of a swap or of another rollback', () => {
    const swapping = new Bench().staged().take(APPLY, { type: 'permit_asked' }, GRANT);
    const back = new Bench().take(BACK);
    for (const bench of [swapping, back]) {
      const before = bench.state;
      expect(bench.take(BACK).state).toBe(before);
      const way = wayBack(before);
      expect(way.ok ? null : way.error.code).toBe('upgrade_in_progress');
    }
  });

  it('goes on after a crash in its middle', () => {
    const bench = new Bench().take(BACK, { type: 'booted', current: '1.1.0' });
    expect(bench.action).toBe('roll_back');
    bench.take({ type: 'booted', current: '1.0.0' });
    expect(bench.action).toBe('roll_back');
  });

  it('holds up no later command of the manager', () => {
    const bench = new Bench().take(BACK, { type: 'rolled_back' }, UPGRADE);
    expect(bench.state.job).toMatchObject({ version: '1.2.0', from: { version: '1.0.0' } });
  });
});
