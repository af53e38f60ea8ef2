import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeTempDir } from '../../../test/support/databases.js';
import { makeSigningKey, publish } from '../../../test/support/fleet.js';
import { startRolloutManager, type RolloutManager } from '../../../test/support/obedient-node.js';
import { HOUR_MS, instant, MINUTE_MS } from '../../core/kernel/index.js';
import type { Call, Schedule } from '../../protocol/api/index.js';
import { Sweeper } from '../rollouts/index.js';
import { ScheduleRunner } from './schedule-runner.js';

const DAY_MS = 24 * HOUR_MS;
const DAYS = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'] as const;

describe.each(['sqlite', 'postgres'] as const)('schedules on %s', { timeout: 60_000 }, (kind) => {
  const dir = makeTempDir();
  const key = makeSigningKey();
  let manager: RolloutManager;
  let runner: ScheduleRunner;
  let count = 0;
  beforeAll(async () => {
    manager = await startRolloutManager({ kind, versions: [] });
    const { app } = manager.manager;
    runner = app.get(ScheduleRunner);
    // By this clock, which jumps by days, what is being uploaded is old: the sweep would take it away. What the sweep
    // does for schedules is asked of the runner; several-managers.spec.ts has a real one.
    await app.get(Sweeper).stop();
  }, 60_000);
  afterAll(async () => {
    await manager.stop();
    dir.remove();
  });

  /** A release with the next number, higher than all before. */
  const release = async (): Promise<string> => {
    count += 1;
    const version = `1.${count}.0`;
    await publish(manager, { folder: dir.path, version, sequence: count, key });
    return version;
  };
  /** A group with a node, a plan that rolls out at once, and a schedule by it. */
  const setUp = async (
    given: Partial<NonNullable<Call<'schedules.create'>['body']>> = {},
    token = manager.admin,
  ) => {
    const group_id = await manager.group(`group ${(count += 1)}`);
    const node = await manager.join(group_id, `node-${count}`, { version: '0.1.0' });
    const terms = { strategy: 'immediate' } as const;
    const plan = (await manager.call('plans.create', { body: { name: 'fast', group_id, terms } }))
      .body;
    const body = { name: 'nightly', product: 'edge', plan_id: plan.id, group_id, ...given };
    const made = await manager.call('schedules.create', { body }, token);
    expect(made.status, JSON.stringify(made.body)).toBe(201);
    return { group_id, node, plan, schedule: made.body };
  };
  const show = async ({ id }: Pick<Schedule, 'id'>): Promise<Schedule> =>
    (await manager.call('schedules.show', { params: { id } })).body;
  /** As an alarm, or the sweep, would. */
  const looked = async (schedule: Schedule): Promise<Schedule> => {
    await runner.wake(schedule.id);
    return show(schedule);
  };
  /** Its own alarm may look at the same moment: then it is whoever was faster that changes it. */
  const comesTo = (schedule: Schedule, expected: object) =>
    expect.poll(() => looked(schedule), { timeout: 20_000 }).toMatchObject(expected);
  const rolloutsIn = async (group_id: string) =>
    (await manager.call('rollouts.list', { query: { group_id, limit: 100 } })).body.items;
  const told = async (type: string, group: string) =>
    (await manager.call('events.list', { query: { type, group_id: group, limit: 100 } })).body
      .items;
  /** Daily, from so long after now, for an hour. */
  const windowIn = (ms: number) => ({
    days: [...DAYS],
    start: new Date(manager.clock.now() + ms).toISOString().slice(11, 16),
    duration_minutes: 60,
  });

  it('start a rollout of what comes to the channel, by the plan, once', async () => {
    await release();
    const { group_id, plan, schedule } = await setUp();
    await comesTo(schedule, { state: 'idle', last: null });
    const version = await release();
    // Whoever finds it: the sweep and several alarms at once.
    await Promise.all(Array.from({ length: 5 }, () => runner.wake(schedule.id)));
    const [rollout, ...more] = await rolloutsIn(group_id);
    expect(more).toEqual([]);
    expect(rollout).toMatchObject({
      version,
      strategy: 'immediate',
      plan: { id: plan.id, name: 'fast', revision: 1 },
      schedule: { id: schedule.id, name: 'nightly' },
    });
    expect(await show(schedule)).toMatchObject({
      state: 'idle',
      last: { result: 'started', version, rollout_id: rollout?.id },
    });
    expect(await told('schedule_started', group_id)).toHaveLength(1);
    const audit = await manager.call('audit.list', { query: { target_id: group_id, limit: 1 } });
    expect(audit.body.items[0]).toMatchObject({
      actor_kind: 'token',
      actor_id: schedule.maker.id,
      details: { rollout_id: rollout?.id, schedule_id: schedule.id, plan_id: plan.id },
    });
    // Not again: not when it is over, nor when the row of the schedule forgot it.
    await manager.call('rollouts.cancel', { params: { id: rollout?.id ?? '' } });
    await manager.database.transaction((tx) =>
      tx.run('UPDATE schedules SET done_sequence = 0 WHERE id = ?', [schedule.id]),
    );
    await comesTo(schedule, { last: { result: 'started', version }, done_sequence: count });
    expect(await rolloutsIn(group_id)).toHaveLength(1);
    expect(await runner.tasks(instant(manager.clock.now()))).toEqual([]);
  });

  it('are looked at again when a look was cut short, and lose no release by it', async () => {
    const { group_id, schedule } = await setUp();
    await comesTo(schedule, { state: 'idle' });
    const rename = (from: string, to: string) =>
      manager.database.transaction((tx) => tx.run(`ALTER TABLE ${from} RENAME TO ${to}`));
    const version = await release();
    await rename('schedule_releases', 'away');
    await expect(runner.wake(schedule.id)).rejects.toThrow();
    await rename('away', 'schedule_releases');
    expect(await rolloutsIn(group_id)).toEqual([]);
    for (const task of await runner.tasks(instant(manager.clock.now()))) await task.run();
    expect((await rolloutsIn(group_id)).map((one) => one.version)).toEqual([version]);
  });

  it('are found by the sweep, and begin with what is there when told to', async () => {
    const version = await release();
    const { group_id } = await setUp({ from: 'current' });
    await expect
      .poll(async () => (await rolloutsIn(group_id)).map((one) => one.version), { timeout: 30_000 })
      .toEqual([version]);
    const next = await release();
    const { app } = manager.manager;
    await expect
      .poll(
        async () => {
          for (const task of await app.get(ScheduleRunner).tasks(instant(manager.clock.now()))) {
            await task.run();
          }
          return (await manager.call('schedules.list', { query: { group_id } })).body.items[0];
        },
        { timeout: 30_000 },
      )
      .toMatchObject({ state: 'waiting', reason: 'rollout_open', next_version: next });
  });

  it('wait for their window, and tell of one that came and went', async () => {
    const { group_id, schedule } = await setUp({ window: windowIn(2 * HOUR_MS) });
    const version = await release();
    await comesTo(schedule, { reason: 'outside_window', next_version: version });
    const waiting = await show(schedule);
    expect(waiting).toMatchObject({ state: 'waiting', until: waiting.next_window?.from });
    expect(await rolloutsIn(group_id)).toEqual([]);
    manager.clock.advance(4 * HOUR_MS);
    await comesTo(schedule, {
      state: 'waiting',
      last: { result: 'missed', version, rollout_id: null },
    });
    expect(await told('schedule_missed', group_id)).toHaveLength(1);
    manager.clock.advance(DAY_MS - 2 * HOUR_MS + MINUTE_MS);
    await comesTo(schedule, { last: { result: 'started', version } });
    manager.clock.advance(-2 * HOUR_MS);
    await release();
    await comesTo(schedule, { state: 'waiting', reason: 'outside_window' });
    expect(await told('schedule_clock_back', group_id)).toHaveLength(1);
    expect(await rolloutsIn(group_id)).toHaveLength(1);
  });

  it('wait for a freeze and for the switch', async () => {
    const { group_id, schedule } = await setUp();
    const at = (ms: number) => new Date(manager.clock.now() + ms).toISOString();
    const freeze = { name: 'audit', from: at(-HOUR_MS), to: at(HOUR_MS) };
    const params = { id: group_id };
    const { body } = await manager.call('groups.freeze', { params, body: freeze });
    await release();
    await comesTo(schedule, { reason: 'frozen', until: freeze.to });
    await manager.call('groups.thaw', { params: { id: group_id, freeze: body.id } });
    await manager.call('groups.set_switch', { params, body: { mode: 'suspended' } });
    await comesTo(schedule, { reason: 'upgrades_suspended', until: null });
    await manager.call('groups.set_switch', { params, body: { mode: 'enabled' } });
    await comesTo(schedule, { last: { result: 'started' } });
  });

  it('wait for a rollout that is open, or supersede it when they were told to', async () => {
    const patient = await setUp();
    const hasty = await setUp({ when_busy: 'supersede' });
    const first = await release();
    for (const { schedule } of [patient, hasty]) {
      await comesTo(schedule, { last: { version: first } });
    }
    const second = await release();
    await comesTo(patient.schedule, {
      state: 'waiting',
      reason: 'rollout_open',
    });
    await comesTo(hasty.schedule, { last: { version: second } });
    const statuses = async (group: string) =>
      Object.fromEntries((await rolloutsIn(group)).map((one) => [one.version, one.status]));
    expect(await statuses(hasty.group_id)).toEqual({
      [first]: 'cancelled',
      [second]: 'in_progress',
    });
    expect(await statuses(patient.group_id)).toEqual({ [first]: 'in_progress' });
    const [open] = await rolloutsIn(patient.group_id);
    await manager.call('rollouts.cancel', { params: { id: open?.id ?? '' } });
    await comesTo(patient.schedule, { last: { version: second } });
    // A way back is nobody's to cancel, nor a rollout of those above.
    const third = await release();
    const above = await manager.call('rollouts.create', {
      body: { product: 'edge', version: first, scope: { labels: { no: 'body' } } },
    });
    expect(above.status).toBe(409);
    await manager.database.transaction((tx) =>
      tx.run(`UPDATE rollouts SET reverts = 'rol_000000' WHERE group_id = ? AND version = ?`, [
        hasty.group_id,
        second,
      ]),
    );
    await comesTo(hasty.schedule, {
      reason: 'rollout_open',
      next_version: third,
    });
  });

  it('do nothing for a maker who lost the right, say so once, and go on for another', async () => {
    const admin = await manager.call('tokens.create', {
      body: { name: 'pipeline', role: 'admin', group_id: 'grp_default' },
    });
    const { group_id, schedule } = await setUp({}, admin.body.secret);
    expect(schedule.maker).toMatchObject({ kind: 'token', id: admin.body.id });
    await manager.call('tokens.revoke', { params: { id: admin.body.id } });
    await release();
    await comesTo(schedule, { state: 'refused', reason: 'maker_gone' });
    await comesTo(schedule, { last: { result: 'refused' } });
    expect(await told('schedule_refused', group_id)).toHaveLength(1);
    expect(await rolloutsIn(group_id)).toEqual([]);
    const resumed = await manager.call('schedules.resume', { params: { id: schedule.id } });
    expect(resumed.body.maker.id).not.toBe(admin.body.id);
    await comesTo(schedule, { last: { result: 'started' } });
  });

  it('rest while paused, and pass over what the group has had or cannot take', async () => {
    const { group_id, node, schedule } = await setUp({ paused: true });
    const version = await release();
    const byHand = { product: 'edge', version, scope: { group_id } };
    const { body } = await manager.call('rollouts.create', { body: byHand });
    await manager.call('rollouts.cancel', { params: { id: body.id } });
    await comesTo(schedule, { state: 'paused', last: null });
    await manager.call('schedules.resume', { params: { id: schedule.id } });
    await comesTo(schedule, {
      last: {
        result: 'passed_over',
        reason: 'rolled_out_already',
      },
    });
    await manager.call('nodes.revoke', { params: { id: node.id } });
    await release();
    await comesTo(schedule, {
      last: {
        result: 'passed_over',
        reason: 'rollout_empty',
      },
    });
    expect(await told('schedule_passed_over', group_id)).toHaveLength(2);
    expect(await rolloutsIn(group_id)).toHaveLength(1);
  });

  it('tell why a rollout was refused, and try again', async () => {
    const { group_id, plan, schedule } = await setUp();
    const waves = [{ label: { key: 'site', value: 'moon' } }];
    const terms = { strategy: 'custom' as const, waves };
    await manager.call('plans.change', { params: { id: plan.id }, body: { terms } });
    await release();
    await comesTo(schedule, {
      state: 'refused',
      reason: 'rollout_plan_invalid',
      message: expect.stringContaining('no node in scope') as string,
    });
    const mended = { terms: { strategy: 'immediate' } } as const;
    await manager.call('plans.change', { params: { id: plan.id }, body: mended });
    manager.clock.advance(6 * MINUTE_MS);
    await comesTo(schedule, { last: { result: 'started' } });
    expect((await rolloutsIn(group_id))[0]?.plan?.revision).toBe(3);
  });

  it('keep their plan and their group, and are refused by name, window and plan', async () => {
    const { group_id, plan, schedule } = await setUp();
    const gone = await manager.call('plans.remove', { params: { id: plan.id } });
    expect(gone.body).toMatchObject({ code: 'plan_in_use' });
    const create = async (more: object) => {
      const body = { name: 'other', product: 'edge', plan_id: plan.id, group_id, ...more };
      return (await manager.call('schedules.create', { body })).body;
    };
    expect(await create({ name: 'nightly' })).toMatchObject({ code: 'conflict' });
    expect(await create({ plan_id: 'pln_00000000' })).toMatchObject({ code: 'not_found' });
    const aside = await manager.group(`aside ${(count += 1)}`);
    expect(await create({ group_id: aside })).toMatchObject({ code: 'not_found' });
    const window = { ...windowIn(0), time_zone: 'Nowhere/Land' };
    expect(await create({ window })).toMatchObject({
      code: 'rollout_plan_invalid',
      problems: [{ path: 'window' }],
    });
    await manager.call('schedules.remove', { params: { id: schedule.id } });
    await manager.call('plans.remove', { params: { id: plan.id } });
    expect((await manager.call('schedules.list', { query: { group_id } })).body.items).toEqual([]);
  });
});
