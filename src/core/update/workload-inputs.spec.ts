import { describe, expect, it } from 'vitest';
import {
  FRESH_WATCH,
  freshState,
  step,
  type Facts,
  type Input,
  type InstalledVersion,
  type Machine,
} from './index.js';

const FACTS: Facts = {
  nowMs: 1_800_000_000_000,
  monotonicMs: 1_000,
  healthWindowMs: 10_000,
  bootAttemptsMax: 3,
  manualOnly: false,
};
const runs = (version: string, mark = 'f'): InstalledVersion => ({
  ...{ version, channel: 'stable', sequence: 1, state_schema: null, sha256: mark.repeat(64) },
});
const idle: Machine = {
  state: {
    ...freshState({ service: 'edge', product: 'edge', variant: 'default' }),
    current: runs('1.0.0'),
  },
  watch: FRESH_WATCH,
};
const ORDER = {
  ...{ command_id: 'cmd_one111', generation: 1, version: '1.1.0' },
  channel: 'stable',
  ...{ sources: [], apply_after_ms: null, expires_at_ms: FACTS.nowMs + 1, needs_permit: true },
} as const;
const ARTIFACT = { sha256: 'a'.repeat(64), size: 0, sequence: 11, state_schema: null };
const WAY: readonly Input[] = [
  { type: 'upgrade', order: ORDER },
  { type: 'judged', artifact: ARTIFACT },
  { type: 'downloaded', arrival: { as: 'image', bytes: 0, deltaProblem: null } },
  { type: 'extracted' },
  { type: 'permit_asked' },
  { type: 'permit_granted', command_id: ORDER.command_id, ask: 1, lease_ms: 9_000 },
  { type: 'swapped' },
];
const after = (count: number, facts = FACTS): Machine =>
  WAY.slice(0, count).reduce((machine, input) => step(machine, input, facts), idle);
const ON_PROBATION = after(7);
const told = ({ state }: Machine) => state.outbox.at(-1);
const CONDEMNED: Input = {
  ...{ type: 'condemned', code: 'upgrade_image_pull_failed', message: 'edge-1: ErrImagePull' },
  details: { pod: 'edge-1' },
};

describe('an image', () => {
  it('arrives without bytes, and its event says so', () => {
    const machine = after(3);
    expect(machine.state.job).toMatchObject({ phase: 'verifying', arrived: 'image' });
    expect(told(machine)).toMatchObject({
      type: 'upgrade_downloaded',
      message: expect.stringContaining('its image is known by digest') as string,
      details: { image: true, bytes: 0, size_bytes: 0, delta: false },
    });
  });
});

describe('what is condemned', () => {
  it('goes back at once, for the reason that is known', () => {
    const machine = step(ON_PROBATION, CONDEMNED, FACTS);
    expect(machine.state.job).toMatchObject({
      phase: 'rolling_back',
      failure: { code: 'upgrade_image_pull_failed', details: { pod: 'edge-1' } },
    });
    const back = step(machine, { type: 'rolled_back' }, FACTS);
    expect(back.state).toMatchObject({
      job: null,
      current: { version: '1.0.0' },
      outcome: { result: 'rolled_back', error_code: 'upgrade_image_pull_failed' },
    });
    expect(told(back)).toMatchObject({
      type: 'upgrade_rolled_back',
      details: { error_code: 'upgrade_image_pull_failed', pod: 'edge-1', to_version: '1.0.0' },
    });
  });

  it('is so once, and only on probation', () => {
    const once = step(ON_PROBATION, CONDEMNED, FACTS);
    expect(step(once, CONDEMNED, FACTS)).toEqual(once);
    for (let count = 0; count < WAY.length; count += 1) {
      const machine = after(count);
      expect(step(machine, CONDEMNED, FACTS)).toEqual(machine);
    }
  });

  it('keeps no floor: the version before may be wanted again', () => {
    const back = step(step(ON_PROBATION, CONDEMNED, FACTS), { type: 'rolled_back' }, FACTS);
    expect(back.state.floors).toEqual({});
  });
});

describe('what another hand made run', () => {
  const by = (machine: Machine, current: InstalledVersion): Machine =>
    step(machine, { type: 'runs', current }, FACTS);

  it('counts while nothing else goes on, and is news once', () => {
    const machine = by(idle, runs('1.5.0'));
    expect(machine.state).toMatchObject({
      current: { version: '1.5.0' },
      previous: { version: '1.0.0' },
    });
    expect(by(machine, runs('1.5.0'))).toBe(machine);
    expect(by(idle, runs('1.0.0'))).toBe(idle);
  });

  it('of the same version and other bytes is another one', () => {
    expect(by(idle, runs('1.0.0', 'e')).state.current).toEqual(runs('1.0.0', 'e'));
  });

  it('brings the version that waits: the job has come to its end', () => {
    const waiting = after(4, { ...FACTS, manualOnly: true });
    expect(waiting.state.job).toMatchObject({ phase: 'staged', staged_for_hand: true });
    const machine = by(waiting, runs('1.1.0'));
    expect(machine.state).toMatchObject({
      job: null,
      outcome: { result: 'succeeded', command_id: ORDER.command_id },
    });
    expect(told(machine)).toMatchObject({
      type: 'upgrade_completed',
      details: { by_hand: true, from_version: '1.0.0', to_version: '1.1.0' },
    });
  });

  it('is where a job that goes on comes from, and goes back to', () => {
    const machine = by(after(4), runs('1.0.5'));
    expect(machine.state.job).toMatchObject({
      phase: 'staged',
      from: { version: '1.0.5' },
      from_previous: { version: '1.0.0' },
    });
  });

  it('says nothing from the swap on', () => {
    for (const count of [6, 7]) {
      const machine = after(count);
      expect(by(machine, runs('9.9.9'))).toBe(machine);
    }
    const goingBack = step(ON_PROBATION, CONDEMNED, FACTS);
    expect(by(goingBack, runs('9.9.9'))).toBe(goingBack);
  });
});
