import { Module } from '@nestjs/common';
import { AccessModule } from '../access/index.js';
import { AuditModule } from '../audit/index.js';
import { EventsModule } from '../events/index.js';
import { FleetModule, GroupShape } from '../fleet/index.js';
import { PlansModule } from '../plans/index.js';
import { RolloutsModule, Sweeper } from '../rollouts/index.js';
import { ScheduleLooks } from './schedule-looks.js';
import { ScheduleRunner } from './schedule-runner.js';
import { ScheduleShell } from './schedule-shell.js';
import { SchedulesController } from './schedules.controller.js';
import { Schedules } from './schedules.js';
import { countSchedules } from './schedules.store.js';

/** Rollouts that start by themselves, when a release comes to a channel. */
@Module({
  imports: [AccessModule, AuditModule, EventsModule, FleetModule, PlansModule, RolloutsModule],
  controllers: [SchedulesController],
  providers: [ScheduleLooks, ScheduleRunner, Schedules, ScheduleShell],
})
export class SchedulesModule {
  constructor(shape: GroupShape, sweeper: Sweeper, runner: ScheduleRunner) {
    shape.keepWhile(async (tx, groupId) => {
      const count = await countSchedules(tx, groupId);
      return count === 0 ? null : `${count} schedule${count === 1 ? '' : 's'}`;
    });
    sweeper.add({ what: 'schedules', find: (now) => runner.tasks(now) });
  }
}
