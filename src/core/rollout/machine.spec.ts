import { describe, expect, it } from 'vitest';
import { instant, plus, type Instant } from '../kernel/index.js';
import {
  advance,
  allowedVerbs,
  decide,
  evolve,
  nextWake,
  observe,
  permit,
  planRollout,
  verdictOf,
  type RolloutState,
  type Target,
  type TargetState,
} from './index.js';

const T0 = instant(1_790_000_000_000);
const PLAN = { strategy: 'staged', settleMs: 60_000, nodeDeadlineMs: 600_000 } as const;

interface World {
  rollout: RolloutState;
  targets: Target[];
  effects: string[];
}

function started(options: {
  nodes?: number;
  strategy?: 'staged' | 'immediate';
  settleMs?: number;
}): World {
  const { nodes = 10, strategy = 'staged', settleMs = PLAN.settleMs } = options;
  const { rollout, targets } = planRollout({
    id: 'rol_spec01',
    plan: { ...PLAN, strategy, settleMs },
    wavePercents: [10, 50, 100],
    nodeIds: Array.from({ length: nodes }, (_, i) => `nod_${String(i).padStart(6, '0')}`),
    now: T0,
  });
  const decision = decide(rollout, 'start', T0);
  if (!decision.ok) throw new Error(decision.error.message);
  const world: World = { rollout: decision.value.rollout, targets: [...targets], effects: [] };
  offer(world, 0, T0);
  return world;
}

/** What the shell does for an `offer` or `retry` effect. */
function offer(world: World, wave: number, now: Instant): void {
  world.targets = world.targets.map((target) =>
    target.wave === wave && ['pending', 'failed', 'rolled_back', 'silent'].includes(target.state)
      ? {
          ...target,
          state: 'offered',
          commandId: `cmd_${target.nodeId.slice(4)}`,
          deadlineAt: plus(now, 600_000),
        }
      : target,
  );
}

function report(world: World, index: number, state: TargetState, now: Instant = T0): void {
  const target = world.targets[index] as Target;
  const seen = observe(
    world.rollout,
    target,
    { kind: 'progress', commandId: target.commandId ?? '', state, reason: state, errorCode: null },
    now,
  );
  world.rollout = seen.decision.rollout;
  world.targets[index] = seen.target;
  for (const effect of seen.decision.effects) {
    world.effects.push(effect.kind);
    if (effect.kind === 'offer') offer(world, effect.wave, now);
  }
}

function pass(world: World, now: Instant): void {
  const decision = advance(world.rollout, now);
  world.rollout = decision.rollout;
  for (const effect of decision.effects)
    if (effect.kind === 'offer') offer(world, effect.wave, now);
}

const inWave = (world: World, wave: number): number[] =>
  world.targets.flatMap((target, index) => (target.wave === wave ? [index] : []));

describe('a staged rollout', () => {
  it('offers the first wave only when it starts', () => {
    const world = started({});
    expect(world.rollout.status).toBe('in_progress');
    expect(world.targets.filter((t) => t.state === 'offered')).toHaveLength(1);
    expect(world.rollout.waves.map((wave) => wave.size)).toEqual([1, 4, 5]);
  });

  it('settles after its last target succeeded, and opens the next wave when that time is over', () => {
    const world = started({});
    report(world, 0, 'succeeded');
    expect(world.rollout.reason).toBe('settling');
    expect(nextWake(world.rollout, null)).toBe(T0 + 60_000);
    pass(world, plus(T0, 59_999));
    expect(world.rollout.wave).toBe(0);
    pass(world, plus(T0, 60_000));
    expect(world.rollout.wave).toBe(1);
    expect(inWave(world, 1).every((i) => world.targets[i]?.state === 'offered')).toBe(true);
  });

  it('goes through all waves to complete', () => {
    const world = started({ settleMs: 0 });
    for (const wave of [0, 1, 2])
      for (const i of inWave(world, wave)) report(world, i, 'succeeded');
    expect(world.rollout.status).toBe('complete');
    expect(world.rollout.reason).toBe('complete');
  });

  it.each(['failed', 'rolled_back'] as const)('pauses at the first node that is %s', (state) => {
    const world = started({ settleMs: 0 });
    report(world, 0, 'succeeded');
    report(world, 1, state);
    expect(world.rollout).toMatchObject({ status: 'paused', reason: 'wave_failed', wave: 1 });
  });

  it('pauses when a node succeeded and falls back while its wave settles', () => {
    const world = started({});
    report(world, 0, 'succeeded');
    report(world, 0, 'rolled_back');
    expect(world.rollout).toMatchObject({ status: 'paused', reason: 'wave_failed' });
  });

  it('pauses when a node of a wave that has passed falls back', () => {
    const world = started({ settleMs: 0 });
    report(world, 0, 'succeeded');
    report(world, 0, 'rolled_back');
    expect(world.rollout).toMatchObject({ status: 'paused', reason: 'earlier_wave_failed' });
  });

  it('pauses for want of evidence when nobody in a wave spoke', () => {
    const world = started({});
    const seen = observe(world.rollout, world.targets[0] as Target, { kind: 'deadline' }, T0);
    expect(seen.target).toMatchObject({ state: 'silent', reason: 'no_report_before_deadline' });
    expect(seen.decision.rollout).toMatchObject({
      status: 'paused',
      reason: 'not_enough_evidence',
    });
  });

  it('counts a node that fell silent after its permit as a failure', () => {
    const world = started({});
    report(world, 0, 'swapping');
    const seen = observe(world.rollout, world.targets[0] as Target, { kind: 'deadline' }, T0);
    expect(seen.target.reason).toBe('lost_after_permit');
    expect(seen.decision.rollout).toMatchObject({ status: 'paused', reason: 'wave_failed' });
  });

  it('takes a lost node back when it speaks again', () => {
    const world = started({ strategy: 'immediate', settleMs: 0 });
    report(world, 0, 'swapping');
    const lost = observe(world.rollout, world.targets[0] as Target, { kind: 'deadline' }, T0);
    world.rollout = lost.decision.rollout;
    world.targets[0] = lost.target;
    expect(world.rollout.waves[0]?.lost).toBe(1);
    report(world, 0, 'succeeded');
    expect(world.rollout.waves[0]).toMatchObject({ lost: 0, counts: { succeeded: 1, silent: 0 } });
  });
});

describe('an immediate rollout', () => {
  it('is one wave, never pauses by itself, and says how it ended', () => {
    const world = started({ strategy: 'immediate', settleMs: 0, nodes: 3 });
    report(world, 0, 'failed');
    expect(world.rollout.status).toBe('in_progress');
    report(world, 1, 'succeeded');
    report(world, 2, 'succeeded');
    expect(world.rollout).toMatchObject({ status: 'complete', reason: 'complete_with_failures' });
  });

  it('tells silent nodes apart from failed ones at the end', () => {
    const world = started({ strategy: 'immediate', settleMs: 0, nodes: 2 });
    report(world, 0, 'succeeded');
    const seen = observe(world.rollout, world.targets[1] as Target, { kind: 'deadline' }, T0);
    expect(seen.decision.rollout.reason).toBe('complete_with_silent');
  });
});

describe('verbs', () => {
  it('are refused in a state that they do not fit, with the ones that do', () => {
    const world = started({});
    const again = decide(world.rollout, 'resume', T0);
    expect(again).toMatchObject({ ok: false, error: { code: 'rollout_wrong_state' } });
    expect(allowedVerbs('in_progress')).toEqual(['pause', 'cancel']);
    expect(allowedVerbs('complete')).toEqual([]);
  });

  it('pause stops offers until resume', () => {
    const world = started({ settleMs: 0 });
    const paused = decide(world.rollout, 'pause', T0);
    world.rollout = paused.ok ? paused.value.rollout : world.rollout;
    report(world, 0, 'succeeded');
    expect(world.rollout).toMatchObject({ status: 'paused', wave: 0 });
    expect(world.effects).toEqual([]);
    const resumed = decide(world.rollout, 'resume', T0);
    expect(resumed.ok && resumed.value.rollout.wave).toBe(1);
    expect(resumed.ok && resumed.value.effects.map((e) => e.kind)).toEqual([
      'extend_deadlines',
      'offer',
    ]);
  });

  it('resume tries the failed nodes of the open wave again', () => {
    const world = started({});
    report(world, 0, 'failed');
    const resumed = decide(world.rollout, 'resume', T0);
    expect(resumed.ok && resumed.value.effects).toContainEqual({ kind: 'retry', wave: 0 });
    expect(resumed.ok && resumed.value.rollout.waves[0]?.counts).toMatchObject({
      failed: 0,
      offered: 1,
    });
  });

  it('cancel calls back what has not swapped and leaves the rest to end', () => {
    const world = started({ nodes: 2, strategy: 'immediate' });
    report(world, 0, 'probation');
    const cancelled = decide(world.rollout, 'cancel', T0);
    expect(cancelled.ok && cancelled.value.effects).toEqual([{ kind: 'withdraw' }]);
    expect(cancelled.ok && cancelled.value.rollout.waves[0]?.counts).toMatchObject({
      cancelled: 1,
      probation: 1,
    });
    world.rollout = cancelled.ok ? cancelled.value.rollout : world.rollout;
    report(world, 0, 'succeeded');
    expect(world.rollout).toMatchObject({ status: 'cancelled' });
    expect(world.rollout.waves[0]?.counts).toMatchObject({ succeeded: 1, cancelled: 1 });
  });

  it('a node that swapped before its withdrawal arrived is recorded as what it became', () => {
    const world = started({ nodes: 1, strategy: 'immediate' });
    const cancelled = decide(world.rollout, 'cancel', T0);
    world.rollout = cancelled.ok ? cancelled.value.rollout : world.rollout;
    world.targets[0] = { ...(world.targets[0] as Target), state: 'cancelled' };
    report(world, 0, 'staged');
    expect(world.targets[0].state).toBe('cancelled');
    report(world, 0, 'succeeded');
    expect(world.targets[0].state).toBe('succeeded');
  });
});

describe('reports', () => {
  it('about another command, or leading backwards, change nothing', () => {
    const world = started({});
    report(world, 0, 'staged');
    const before = world.rollout;
    report(world, 0, 'downloading');
    report(world, 0, 'staged');
    expect(world.rollout).toEqual(before);
    const target = world.targets[0] as Target;
    const seen = observe(
      world.rollout,
      target,
      {
        kind: 'progress',
        commandId: 'cmd_other1',
        state: 'succeeded',
        reason: '',
        errorCode: null,
      },
      T0,
    );
    expect(seen.target).toBe(target);
    expect(seen.decision.events).toEqual([]);
  });

  it('that are echoes still are a sign of life', () => {
    const world = started({});
    report(world, 0, 'staged', plus(T0, 1000));
    report(world, 0, 'staged', plus(T0, 5000));
    expect(world.targets[0]?.deadlineAt).toBe(T0 + 605_000);
  });

  it('a deadline of a target that has ended is nothing', () => {
    const world = started({});
    report(world, 0, 'succeeded');
    const seen = observe(world.rollout, world.targets[0] as Target, { kind: 'deadline' }, T0);
    expect(seen.decision.events).toEqual([]);
  });
});

describe('permits', () => {
  const commandOf = (world: World, index: number): string => world.targets[index]?.commandId ?? '';

  it('are granted to a node of the open wave, and again when the first was lost', () => {
    const world = started({});
    report(world, 0, 'staged');
    expect(permit(world.rollout, world.targets[0] as Target, commandOf(world, 0)).ok).toBe(true);
    report(world, 0, 'swapping');
    expect(permit(world.rollout, world.targets[0] as Target, commandOf(world, 0)).ok).toBe(true);
  });

  const change = (part: Partial<Target>) => (world: World) => {
    world.targets[0] = { ...(world.targets[0] as Target), ...part };
  };
  const denials: readonly (readonly [string, (world: World) => void])[] = [
    [
      'rollout_not_running',
      (world) => {
        world.rollout = { ...world.rollout, status: 'paused' };
      },
    ],
    ['wave_not_open', change({ wave: 2 })],
    ['command_not_current', change({ commandId: 'cmd_newer1' })],
    ['target_not_waiting', change({ state: 'failed' })],
  ];

  it.each(denials)('are denied: %s', (reason, spoil) => {
    const world = started({});
    const command = commandOf(world, 0);
    spoil(world);
    expect(permit(world.rollout, world.targets[0] as Target, command)).toMatchObject({
      ok: false,
      error: { code: reason },
    });
  });

  it('are still granted to a silent node after its wave passed', () => {
    const world = started({});
    const silent: Target = { ...(world.targets[0] as Target), state: 'silent' };
    const complete: RolloutState = { ...world.rollout, status: 'complete' };
    expect(permit(complete, silent, silent.commandId ?? '').ok).toBe(true);
  });
});

describe('the verdict', () => {
  it('is never good without a success', () => {
    const world = started({});
    const wave = world.rollout.waves[0];
    expect(wave && verdictOf({ ...wave, counts: { ...wave.counts, offered: 0, skipped: 1 } })).toBe(
      'unknown',
    );
  });
});

describe('the journal', () => {
  it('refuses an event about a target that no counter knows', () => {
    const world = started({});
    expect(() =>
      evolve(world.rollout, {
        type: 'target_moved',
        at: T0,
        nodeId: 'nod_000000',
        wave: 0,
        from: 'failed',
        to: 'succeeded',
        reason: '',
        errorCode: null,
        lost: 0,
      }),
    ).toThrow('no target of wave 0 is failed');
  });
});
