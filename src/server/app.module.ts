import { Module, type DynamicModule } from '@nestjs/common';
import { AccessModule } from './access/index.js';
import { AuditModule } from './audit/index.js';
import { EnrollmentModule } from './enrollment/index.js';
import { EventsModule, SinksModule } from './events/index.js';
import { FindModule } from './find/index.js';
import { FleetModule } from './fleet/index.js';
import { GatewayModule } from './gateway/index.js';
import { HealthController } from './health.controller.js';
import { OverviewModule } from './overview/index.js';
import { PeopleModule } from './people/index.js';
import { PlatformModule, type Platform } from './platform/index.js';
import { PlansModule } from './plans/index.js';
import { ReleasesModule } from './releases/index.js';
import { RolloutsModule } from './rollouts/index.js';
import { SchedulesModule } from './schedules/index.js';
import { TelemetryModule } from './telemetry/index.js';

/** All modules, in the order in which they may know each other: each knows those above it only. */
const MODULES = [
  GatewayModule,
  AuditModule,
  AccessModule,
  PeopleModule,
  EventsModule,
  SinksModule,
  FleetModule,
  EnrollmentModule,
  ReleasesModule,
  PlansModule,
  RolloutsModule,
  SchedulesModule,
  OverviewModule,
  FindModule,
  TelemetryModule,
];

@Module({})
export class AppModule {
  static on(platform: Platform): DynamicModule {
    return {
      module: AppModule,
      imports: [PlatformModule.on(platform), ...MODULES],
      controllers: [HealthController],
    };
  }
}
