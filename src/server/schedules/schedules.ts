import { Inject, Injectable } from '@nestjs/common';
import { FleetError, instant, type Instant, type JsonValue } from '../../core/kernel/index.js';
import { problemsOfWindow } from '../../core/rollout/index.js';
import type { Input } from '../../protocol/api/index.js';
import { Groups } from '../access/index.js';
import { AuditLog } from '../audit/index.js';
import { holdPlan, invalidPlan, Plans, windowOf } from '../plans/index.js';
import { CLOCK, Database, newId, type Caller, type Clock, type Tx } from '../platform/index.js';
import {
  countSchedules,
  findSchedule,
  insertSchedule,
  releasesAbove,
  removeSchedule,
  saveSchedule,
  type Look,
  type Maker,
  type StoredSchedule,
} from './schedules.store.js';

/** On one group: each is looked at by itself. */
export const SCHEDULES_MAX = 100;

type Action = `schedule.${'create' | 'change' | 'pause' | 'resume' | 'delete'}`;

/** There is nothing to do. */
export const NOTHING_NEW: Look = {
  state: 'idle',
  reason: 'no_new_release',
  message: '',
  until: null,
  release: null,
};

/** What people do with schedules. Who may, the controller has asked before. */
@Injectable()
export class Schedules {
  constructor(
    private readonly database: Database,
    private readonly groups: Groups,
    private readonly plans: Plans,
    private readonly audit: AuditLog,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /** Throws `not_found`. */
  async find(id: string): Promise<StoredSchedule> {
    const schedule = await findSchedule(this.database.read, id);
    if (schedule === null) throw new FleetError('not_found', 'no such schedule');
    return schedule;
  }

  /**
   * Throws `rollout_plan_invalid` for its window, `not_found` for a plan that the group cannot take, `conflict`
   * for a name that is taken, and beyond `SCHEDULES_MAX`.
   */
  async create(body: Input<'schedules.create'>['body'], caller: Caller): Promise<StoredSchedule> {
    checkWindow(body.window);
    const now = this.#now();
    const { name, product, channel, window, group_id: groupId } = body;
    return this.database.transaction(async (tx) => {
      await this.groups.hold(tx, groupId);
      if ((await countSchedules(tx, groupId)) >= SCHEDULES_MAX) {
        throw new FleetError('conflict', `a group holds at most ${SCHEDULES_MAX} schedules`);
      }
      await this.#requirePlan(tx, body.plan_id, groupId);
      // What is there already is none of its business, unless it was asked to begin with that.
      const [newest, before] = await releasesAbove(tx, { product, channel }, -1);
      const done = body.from === 'next' ? newest?.sequence : before?.sequence;
      const schedule: StoredSchedule = {
        ...{ id: newId('sch'), groupId, name, product, channel, window },
        ...{ planId: body.plan_id, whenBusy: body.when_busy, isPaused: body.paused },
        ...{ maker: makerOf(caller), doneSequence: done ?? 0, knownSequence: done ?? 0 },
        ...{ look: NOTHING_NEW, last: null, lookedAt: now, nextLookAt: null, fence: 0 },
        ...{ createdAt: now, updatedAt: now },
      };
      if (!(await insertSchedule(tx, schedule))) throw taken(name);
      const details = { product, channel, plan_id: body.plan_id, when_busy: body.when_busy };
      await this.#record(tx, schedule, { caller, action: 'schedule.create', details });
      return schedule;
    });
  }

  /** From then on it has the rights of whoever changed it: who lets it run answers for it. */
  async change(
    id: string,
    body: Input<'schedules.change'>['body'],
    caller: Caller,
  ): Promise<StoredSchedule> {
    if (body.window !== undefined) checkWindow(body.window);
    const details = { what: Object.keys(body).sort() };
    return this.#do(id, { caller, action: 'schedule.change', details }, async (tx, before) => {
      const planId = body.plan_id ?? before.planId;
      if (planId !== before.planId) await this.#requirePlan(tx, planId, before.groupId);
      const name = body.name ?? before.name;
      if (name !== before.name && (await this.#isTaken(tx, before.groupId, name))) {
        throw taken(name);
      }
      return {
        ...before,
        ...{ name, planId, maker: makerOf(caller) },
        window: body.window === undefined ? before.window : body.window,
        whenBusy: body.when_busy ?? before.whenBusy,
      };
    });
  }

  /** Idempotent. Rollouts that it has started go on. */
  async pause(id: string, caller: Caller): Promise<StoredSchedule> {
    return this.#do(id, { caller, action: 'schedule.pause', details: {} }, async (_tx, before) => ({
      ...before,
      isPaused: true,
    }));
  }

  /** By the rights of whoever resumes it. What came meanwhile counts: the newest is started. */
  async resume(id: string, caller: Caller): Promise<StoredSchedule> {
    return this.#do(
      id,
      { caller, action: 'schedule.resume', details: {} },
      async (_tx, before) => ({
        ...before,
        isPaused: false,
        maker: makerOf(caller),
      }),
    );
  }

  async remove(id: string, caller: Caller): Promise<void> {
    await this.#do(id, { caller, action: 'schedule.delete', details: {} }, async (tx, before) => {
      await removeSchedule(tx, id);
      return before;
    });
  }

  /** One change with its audit entry. What was waited for is forgotten: the next look begins afresh. */
  async #do(
    id: string,
    how: { caller: Caller; action: Action; details: Readonly<Record<string, JsonValue>> },
    deed: (tx: Tx, before: StoredSchedule) => Promise<StoredSchedule>,
  ): Promise<StoredSchedule> {
    return this.database.transaction(async (tx) => {
      const before = await findSchedule(tx, id);
      if (before === null) throw new FleetError('not_found', 'no such schedule');
      const now = this.#now();
      const fresh = { look: { ...before.look, until: null }, lookedAt: now, updatedAt: now };
      const after = { ...(await deed(tx, before)), ...fresh };
      const next: StoredSchedule = { ...after, nextLookAt: after.isPaused ? null : now };
      const isGone = how.action === 'schedule.delete';
      if (!isGone && !(await saveSchedule(tx, next))) {
        throw new FleetError('conflict', 'the schedule was changed at this moment');
      }
      await this.#record(tx, next, how);
      return { ...next, fence: next.fence + 1 };
    });
  }

  async #isTaken(tx: Tx, groupId: string, name: string): Promise<boolean> {
    const row = await tx.get('SELECT id FROM schedules WHERE group_id = ? AND name = ?', [
      groupId,
      name,
    ]);
    return row !== undefined;
  }

  /** Held, so that nobody deletes it before the schedule is there. */
  async #requirePlan(tx: Tx, planId: string, groupId: string): Promise<void> {
    await holdPlan(tx, planId);
    if ((await this.plans.inReach(planId, groupId, tx)) !== null) return;
    throw new FleetError('not_found', `no plan ${planId} in this group or above it`, {
      context: { missing: 'plan' },
    });
  }

  #record(
    tx: Tx,
    schedule: StoredSchedule,
    how: {
      readonly caller: Caller;
      readonly action: Action;
      readonly details: Readonly<Record<string, JsonValue>>;
    },
  ): Promise<void> {
    return this.audit.append(tx, {
      caller: how.caller,
      action: how.action,
      targetKind: 'schedule',
      targetId: schedule.id,
      groupId: schedule.groupId,
      outcome: 'allowed',
      details: { name: schedule.name, ...how.details },
    });
  }

  #now(): Instant {
    return instant(this.clock.now());
  }
}

/** The guard lets only people and tokens this far. */
function makerOf({ kind, id, name, makerId }: Caller): Maker {
  if (kind !== 'user' && kind !== 'token') {
    throw new FleetError('insufficient_role', 'a schedule has the rights of a person or a token');
  }
  return { kind, id, name, ...(makerId === undefined ? {} : { makerId }) };
}

function checkWindow(window: StoredSchedule['window']): void {
  if (window === null) return;
  const problems = problemsOfWindow(windowOf(window));
  if (problems.length === 0) return;
  throw invalidPlan('scheduled', [{ path: 'window', message: problems.join('; ') }]);
}

const taken = (name: string): FleetError =>
  new FleetError('conflict', `the group has a schedule named ${JSON.stringify(name)}`);
