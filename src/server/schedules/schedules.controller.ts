import { Controller, Inject } from '@nestjs/common';
import { FleetError, instant } from '../../core/kernel/index.js';
import type { Answer, Input } from '../../protocol/api/index.js';
import { Access } from '../access/index.js';
import {
  CLOCK,
  Database,
  Endpoint,
  Given,
  pageFrom,
  readCursor,
  Who,
  type Caller,
  type Clock,
} from '../platform/index.js';
import { ScheduleRunner } from './schedule-runner.js';
import { scheduleView } from './schedule.view.js';
import { Schedules } from './schedules.js';
import { listSchedules, planNames, type StoredSchedule } from './schedules.store.js';

type View = Answer<'schedules.show'>;

/** Schedules over HTTP: whoever may start rollouts of a group says what starts them. */
@Controller()
export class SchedulesController {
  constructor(
    private readonly database: Database,
    private readonly access: Access,
    private readonly schedules: Schedules,
    private readonly runner: ScheduleRunner,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  @Endpoint('schedules.list')
  async list(
    @Given() { query }: Input<'schedules.list'>,
    @Who() caller: Caller,
  ): Promise<Answer<'schedules.list'>> {
    const rows = await listSchedules(this.database.read, {
      groups: await this.access.visibleOnly(caller, 'rollout.view', query.group_id),
      after: readCursor(query.cursor),
      limit: query.limit + 1,
    });
    const page = pageFrom(
      rows,
      query.limit,
      ({ createdAt: at, id }) => ({ at, id }),
      (row) => row,
    );
    return { ...page, items: await this.#views(page.items) };
  }

  @Endpoint('schedules.create')
  async create(@Given() { body }: Input<'schedules.create'>, @Who() caller: Caller): Promise<View> {
    await this.access.require(caller, 'group.upgrade', body.group_id);
    return this.#looked(await this.schedules.create(body, caller));
  }

  @Endpoint('schedules.show')
  async show(@Given() { params }: Input<'schedules.show'>, @Who() caller: Caller): Promise<View> {
    const schedule = await this.schedules.find(params.id);
    await this.access.require(caller, 'rollout.view', schedule.groupId);
    return this.#view(schedule);
  }

  @Endpoint('schedules.change')
  async change(
    @Given() { params, body }: Input<'schedules.change'>,
    @Who() caller: Caller,
  ): Promise<View> {
    await this.#own(caller, params.id);
    return this.#looked(await this.schedules.change(params.id, body, caller));
  }

  @Endpoint('schedules.pause')
  async pause(@Given() { params }: Input<'schedules.pause'>, @Who() caller: Caller): Promise<View> {
    await this.#own(caller, params.id);
    return this.#looked(await this.schedules.pause(params.id, caller));
  }

  @Endpoint('schedules.resume')
  async resume(
    @Given() { params }: Input<'schedules.resume'>,
    @Who() caller: Caller,
  ): Promise<View> {
    await this.#own(caller, params.id);
    return this.#looked(await this.schedules.resume(params.id, caller));
  }

  @Endpoint('schedules.remove')
  async remove(
    @Given() { params }: Input<'schedules.remove'>,
    @Who() caller: Caller,
  ): Promise<void> {
    await this.#own(caller, params.id);
    await this.schedules.remove(params.id, caller);
  }

  async #own(caller: Caller, id: string): Promise<void> {
    const schedule = await this.schedules.find(id);
    await this.access.require(caller, 'group.upgrade', schedule.groupId);
  }

  /** What was changed is looked at soon, by whoever the alarm rings; the answer does not wait for it. */
  #looked(schedule: StoredSchedule): Promise<View> {
    this.runner.wakeSoon(schedule.id);
    return this.#view(schedule);
  }

  async #view(schedule: StoredSchedule): Promise<View> {
    const [view] = await this.#views([schedule]);
    if (view === undefined) throw new FleetError('not_found', 'no such schedule');
    return view;
  }

  async #views(schedules: readonly StoredSchedule[]): Promise<View[]> {
    const names = await planNames(
      this.database.read,
      schedules.map(({ planId }) => planId),
    );
    const now = instant(this.clock.now());
    return schedules.map((one) => scheduleView(one, names.get(one.planId) ?? '', now));
  }
}
