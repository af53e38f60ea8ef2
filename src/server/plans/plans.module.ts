import { Module } from '@nestjs/common';
import { AccessModule } from '../access/index.js';
import { AuditModule } from '../audit/index.js';
import { FleetModule } from '../fleet/index.js';
import { PlansController } from './plans.controller.js';
import { Plans } from './plans.js';

/** Plans that are stored under a name, for rollouts to come. */
@Module({
  imports: [AccessModule, AuditModule, FleetModule],
  controllers: [PlansController],
  providers: [Plans],
  exports: [Plans],
})
export class PlansModule {}
