import { describe, expect, it } from 'vitest';
import {
  answerTo,
  FRESH_WATCH,
  freshState,
  nextAction,
  step,
  type Facts,
  type Input,
  type Machine,
  type UpgradeOrder,
} from './index.js';

const NAMES = { service: 'edge', product: 'edge', variant: 'default' };
const FACTS: Facts = {
  nowMs: 1_790_000_000_000,
  monotonicMs: 1_000,
  healthWindowMs: 10_000,
  bootAttemptsMax: 3,
  manualOnly: false,
};
const INSTALLED = {
  version: '1.0.0',
  channel: 'stable',
  sequence: 10,
  state_schema: null,
} as const;
const ARTIFACT = { sha256: 'a'.repeat(64), size: 100, sequence: 11, state_schema: 3 };

const order = (change: Partial<UpgradeOrder> = {}): UpgradeOrder => ({
  command_id: 'cmd_one111',
  generation: 5,
  version: '1.1.0',
  channel: 'stable',
  sources: [],
  apply_after_ms: null,
  expires_at_ms: FACTS.nowMs + 3_600_000,
  needs_permit: true,
  ...change,
});

class Bench {
  machine: Machine = {
    state: { ...freshState(NAMES), current: INSTALLED, floors: { stable: 10 } },
    watch: FRESH_WATCH,
  };
  facts: Facts = FACTS;

  take(...inputs: Input[]): this {
    for (const input of inputs) this.machine = step(this.machine, input, this.facts);
    return this;
  }
  pass(ms: number): this {
    this.facts = {
      ...this.facts,
      nowMs: this.facts.nowMs + ms,
      monotonicMs: this.facts.monotonicMs + ms,
    };
    return this.take({ type: 'tick' });
  }
  get action(): string {
    return nextAction(this.machine, this.facts).do;
  }
  get told(): string[] {
    return this.machine.state.outbox.map((event) => event.type);
  }
  get codes(): unknown[] {
    return this.machine.state.outbox.map((event) => event.details['error_code']).filter(Boolean);
  }
}

const staged = (change: Partial<UpgradeOrder> = {}): Bench =>
  new Bench().take(
    { type: 'upgrade', order: order(change) },
    { type: 'judged', artifact: ARTIFACT },
    { type: 'downloaded' },
    { type: 'extracted' },
  );
const ASKED: Input = { type: 'permit_asked' };
const GRANT: Input = {
  type: 'permit_granted',
  command_id: 'cmd_one111',
  ask: 1,
  lease_ms: 5_000,
};
const onProbation = (): Bench => staged().take(ASKED, GRANT, { type: 'swapped' });
const WELL: Input = { type: 'health', healthy: true };
const ILL: Input = { type: 'health', healthy: false };

describe('an upgrade', () => {
  it('goes from command to promotion, telling each step', () => {
    const bench = new Bench().take({ type: 'upgrade', order: order() });
    expect(bench.action).toBe('fetch');
    bench.take({ type: 'judged', artifact: ARTIFACT }, { type: 'downloaded' });
    expect(bench.action).toBe('extract');
    bench.take({ type: 'extracted' });
    expect(bench.action).toBe('ask_permit');
    bench.take(ASKED, GRANT);
    expect(bench.action).toBe('swap');
    bench.take({ type: 'swapped' });
    expect(bench.action).toBe('watch');
    expect(bench.machine.state).toMatchObject({
      current: { version: '1.1.0' },
      previous: { version: '1.0.0' },
      floors: { stable: 10 },
    });
    bench.pass(4_000).take(WELL).pass(4_000).take(WELL).pass(2_000).take(WELL);
    expect(bench.action).toBe('wait');
    expect(bench.machine.state).toMatchObject({
      job: null,
      floors: { stable: 11 },
      outcome: { result: 'succeeded', error_code: null, version: '1.1.0' },
    });
    expect(bench.told).toEqual([
      'upgrade_started',
      'upgrade_downloaded',
      'upgrade_verified',
      'upgrade_staged',
      'upgrade_swapping',
      'upgrade_probation',
      'upgrade_completed',
    ]);
  });

  it('to the version that runs is done at once', () => {
    const bench = new Bench().take({ type: 'upgrade', order: order({ version: '1.0.0' }) });
    expect(bench.machine.state).toMatchObject({ job: null, outcome: { result: 'succeeded' } });
    expect(bench.machine.state.outbox[0]?.details['already_current']).toBe(true);
  });

  it('waits for its time, then asks', () => {
    const bench = staged({ apply_after_ms: FACTS.nowMs + 1_000 });
    expect(bench.action).toBe('wait');
    expect(bench.pass(1_000).action).toBe('ask_permit');
  });

  it('swaps without a permit only when told that none is needed', () => {
    const bench = staged({ needs_permit: false });
    expect(bench.action).toBe('wait');
    expect(bench.pass(1).action).toBe('swap');
  });

  it('expires while it waits', () => {
    const bench = staged().pass(3_600_000);
    expect(bench.machine.state.outcome).toMatchObject({
      result: 'failed',
      error_code: 'command_expired',
    });
  });

  it.each([
    ['refused', 'upgrade_disabled', 'upgrade_refused'],
    ['download', 'upgrade_network_error', 'upgrade_download_failed'],
    ['verify', 'upgrade_signature_invalid', 'upgrade_verify_failed'],
    ['stage', 'upgrade_extract_failed', 'upgrade_stage_failed'],
  ] as const)('that fails in its step %s says so', (failedStep, code, type) => {
    const bench = new Bench().take(
      { type: 'upgrade', order: order() },
      { type: 'failed', step: failedStep, code, message: 'no' },
    );
    expect(bench.told.at(-1)).toBe(type);
    expect(bench.codes).toEqual([code]);
    expect(bench.machine.state).toMatchObject({
      job: null,
      current: INSTALLED,
      outcome: { result: 'failed', error_code: code },
    });
  });

  it('applied by hand waits for the hand', () => {
    const bench = new Bench();
    bench.facts = { ...FACTS, manualOnly: true };
    bench.take(
      { type: 'upgrade', order: order() },
      { type: 'judged', artifact: ARTIFACT },
      { type: 'downloaded' },
      { type: 'extracted' },
    );
    expect(bench.told.at(-1)).toBe('upgrade_staged_manual');
    expect(bench.action).toBe('wait');
    // Not even a permit takes the place of the hand.
    expect(bench.take({ ...GRANT, ask: 0 }).machine.state.job?.phase).toBe('staged');
    expect(bench.take({ type: 'apply_by_hand' }).action).toBe('ask_permit');
    expect(bench.take(ASKED, GRANT).action).toBe('swap');
  });

  it('staged before a person was wanted waits for one all the same', () => {
    const bench = staged();
    bench.facts = { ...FACTS, manualOnly: true };
    expect(bench.action).toBe('wait');
    expect(bench.take(ASKED, GRANT).machine.state.job?.phase).toBe('staged');
  });

  it('whose swap failed half way goes back until it is back', () => {
    const stuck: Input = { type: 'restore_failed', code: 'upgrade_swap_failed', message: 'no' };
    expect(staged().take(stuck).machine.state.job?.phase).toBe('staged');
    const bench = staged().take(ASKED, GRANT, stuck);
    expect(bench.action).toBe('roll_back');
    bench.take({ type: 'rolled_back' });
    expect(bench.machine.state).toMatchObject({
      job: null,
      current: INSTALLED,
      outcome: { result: 'rolled_back', error_code: 'upgrade_swap_failed' },
    });
  });
});

describe('commands', () => {
  it('get the same answer twice and run once', () => {
    const bench = new Bench().take({ type: 'upgrade', order: order() });
    const once = bench.machine;
    bench.take({ type: 'upgrade', order: order() });
    expect(bench.machine).toBe(once);
    expect(answerTo(bench.machine.state, 'cmd_one111')?.error_code).toBeNull();
  });

  it.each([
    ['command_stale', order({ command_id: 'cmd_two222', generation: 4 })],
    ['command_expired', order({ command_id: 'cmd_two222', expires_at_ms: FACTS.nowMs })],
  ])('are refused: %s', (code, late) => {
    const bench = new Bench().take({ type: 'upgrade', order: order() });
    bench.take({ type: 'upgrade', order: late });
    expect(answerTo(bench.machine.state, 'cmd_two222')?.error_code).toBe(code);
    expect(bench.machine.state.job?.command_id).toBe('cmd_one111');
  });

  it('that are newer take the place of one that has not swapped', () => {
    const bench = staged().take({
      type: 'upgrade',
      order: order({ command_id: 'cmd_two222', generation: 6, version: '1.2.0' }),
    });
    expect(bench.told.slice(-2)).toEqual(['upgrade_withdrawn', 'upgrade_started']);
    expect(bench.machine.state.job?.version).toBe('1.2.0');
  });

  it('that are newer wait for one that has swapped', () => {
    const bench = onProbation().take({
      type: 'upgrade',
      order: order({ command_id: 'cmd_two222', generation: 6, version: '1.2.0' }),
    });
    expect(answerTo(bench.machine.state, 'cmd_two222')?.error_code).toBe('upgrade_in_progress');
  });

  it('can be withdrawn before the swap, and not after', () => {
    const withdraw: Input = {
      type: 'withdraw',
      command_id: 'cmd_with11',
      generation: 7,
      withdraws: 'cmd_one111',
    };
    const early = staged().take(withdraw, withdraw);
    expect(early.machine.state).toMatchObject({ job: null, outcome: { result: 'withdrawn' } });
    expect(early.told.filter((type) => type === 'upgrade_withdrawn')).toHaveLength(1);
    const late = onProbation().take(withdraw);
    expect(late.machine.state.job?.phase).toBe('probation');
    // And nothing older is taken after it.
    const stale = order({ command_id: 'cmd_late11', generation: 6 });
    early.take({ type: 'upgrade', order: stale });
    expect(answerTo(early.machine.state, 'cmd_late11')?.error_code).toBe('command_stale');
  });
});

describe('a permit', () => {
  it('is asked for again when no answer comes', () => {
    const bench = staged().take(ASKED);
    expect(bench.action).toBe('wait');
    expect(bench.pass(10_000).action).toBe('ask_permit');
  });

  it('is asked for at once when the link is open again', () => {
    expect(staged().take(ASKED, { type: 'linked' }).action).toBe('ask_permit');
  });

  it('that is denied is asked for again after the time that the manager gave', () => {
    const denied = { command_id: 'cmd_one111', ask: 1, retry_ms: 700 };
    const bench = staged().take(ASKED, { type: 'permit_denied', ...denied });
    expect(bench.pass(699).action).toBe('wait');
    expect(bench.pass(1).action).toBe('ask_permit');
  });

  it('for another command is nothing', () => {
    const bench = staged().take(ASKED, { ...GRANT, command_id: 'cmd_other1' });
    expect(bench.machine.state.job?.phase).toBe('staged');
  });

  it('counts from the question, however long the answer took', () => {
    const bench = staged().take(ASKED).pass(3_000).take(GRANT);
    expect(bench.pass(2_000).action).toBe('swap');
    expect(bench.pass(1).action).toBe('ask_permit');
  });

  it('that comes when its time is over is asked for again at once', () => {
    const bench = staged().take(ASKED).pass(5_001).take(GRANT);
    expect(bench.machine.state.job?.phase).toBe('staged');
    expect(bench.action).toBe('ask_permit');
  });

  it('that answers an older question is nothing, also after a lease has run out', () => {
    const bench = staged().take(ASKED).pass(10_000).take(ASKED, GRANT);
    expect(bench.machine.state.job?.phase).toBe('staged');
    bench
      .take({ ...GRANT, ask: 2 })
      .pass(5_001)
      .take({ type: 'tick' }, ASKED);
    expect(bench.take(GRANT, { ...GRANT, ask: 2 }).machine.state.job?.phase).toBe('staged');
    expect(bench.take({ ...GRANT, ask: 3 }).machine.state.job?.phase).toBe('swapping');
  });

  it('ends while the machine sleeps, since the manager is awake', () => {
    const bench = staged();
    bench.facts = { ...bench.facts, bootMs: 900_000 };
    bench.take(ASKED);
    const asleep = { ...bench.facts, bootMs: 906_000 };
    expect(step(bench.machine, GRANT, asleep).state.job?.phase).toBe('staged');
    bench.take(GRANT);
    expect(bench.action).toBe('swap');
    bench.facts = asleep;
    expect(bench.action).toBe('wait');
    expect(bench.take({ type: 'tick' }).machine.state.job?.phase).toBe('staged');
  });

  it('that has run out before the swap began is asked for anew', () => {
    const bench = staged().take(ASKED, GRANT);
    bench.facts = { ...bench.facts, monotonicMs: bench.facts.monotonicMs + 5_001 };
    // A wait of no time at all would be a loop that never rests.
    expect(nextAction(bench.machine, bench.facts)).toMatchObject({ do: 'wait', ms: 250 });
    expect(bench.take({ type: 'tick' }).machine.state.job?.phase).toBe('staged');
  });
});

describe('probation', () => {
  it('goes back when the service ends too often', () => {
    const bench = onProbation().take({ type: 'exited' }, { type: 'exited' });
    expect(bench.action).toBe('watch');
    bench.take({ type: 'exited' });
    expect(bench.action).toBe('roll_back');
    bench.take({ type: 'rolled_back' });
    expect(bench.machine.state).toMatchObject({
      job: null,
      current: INSTALLED,
      floors: { stable: 10 },
      outcome: { result: 'rolled_back', error_code: 'upgrade_crash_loop' },
    });
    expect(bench.machine.state.outbox.at(-1)).toMatchObject({
      type: 'upgrade_rolled_back',
      severity: 'critical',
      details: { boot_attempts: 3, from_version: '1.1.0', to_version: '1.0.0' },
    });
  });

  it('goes back when its window ends without health, also when no answer ever came', () => {
    expect(onProbation().take(ILL).pass(10_000).action).toBe('roll_back');
    expect(onProbation().pass(10_000).action).toBe('roll_back');
  });

  it('goes back when a healthy service falls sick', () => {
    const bench = onProbation().take(WELL, WELL, ILL, ILL);
    expect(bench.action).toBe('watch');
    expect(bench.take(ILL).action).toBe('roll_back');
  });

  it('is not passed on one healthy answer, and gives a slow check a second window', () => {
    const bench = onProbation().take(WELL).pass(10_000);
    expect(bench.action).toBe('watch');
    expect(bench.take(WELL, WELL).machine.state.outcome?.result).toBe('succeeded');
    expect(onProbation().take(WELL).pass(20_000).action).toBe('roll_back');
  });

  it('lets a version that was rolled back be tried again', () => {
    const bench = onProbation().pass(10_000).take({ type: 'rolled_back' });
    bench.take({ type: 'upgrade', order: order({ command_id: 'cmd_again1', generation: 8 }) });
    expect(bench.machine.state.job?.version).toBe('1.1.0');
  });

  it('tells once that a rollback fails, and goes on trying', () => {
    const bench = onProbation().pass(10_000);
    const failing: Input = { type: 'rollback_failed', message: 'disk' };
    bench.take(failing, failing);
    expect(bench.told.filter((type) => type === 'upgrade_rollback_failed')).toHaveLength(1);
    expect(bench.action).toBe('roll_back');
    expect(bench.take({ type: 'rolled_back' }).machine.state.current).toEqual(INSTALLED);
  });
});

describe('a start of the agent', () => {
  it('in the middle of a swap looks which version the link names', () => {
    const after = staged().take(ASKED, GRANT, { type: 'booted', current: '1.1.0' });
    expect(after.machine.state.job?.phase).toBe('probation');
    const before = staged().take(ASKED, GRANT, { type: 'booted', current: '1.0.0' });
    expect(before.machine.state.job?.phase).toBe('staged');
    expect(before.action).toBe('ask_permit');
  });

  it('in probation begins its window anew and keeps the attempts', () => {
    const bench = onProbation().take({ type: 'exited' }).pass(9_000);
    bench.take({ type: 'booted', current: '1.1.0' }).pass(9_000);
    expect(bench.action).toBe('watch');
    expect(bench.machine.state.job?.boot_attempts).toBe(1);
  });

  it('in probation goes back where the links were set back meanwhile', () => {
    const bench = onProbation().take({ type: 'booted', current: '1.0.0' });
    expect(bench.action).toBe('roll_back');
    bench.take({ type: 'rolled_back' });
    expect(bench.machine.state.current?.version).toBe('1.0.0');
    expect(bench.machine.state.outcome?.error_code).toBe('upgrade_crash_loop');
  });

  it('without a job does nothing', () => {
    const bench = new Bench();
    const before = bench.machine;
    expect(bench.take({ type: 'booted', current: '1.0.0' }).machine).toBe(before);
  });
});
