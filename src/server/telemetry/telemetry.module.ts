import { Module } from '@nestjs/common';
import { AccessModule } from '../access/index.js';
import { AuditModule } from '../audit/index.js';
import { EventsModule } from '../events/index.js';
import { GatewayModule } from '../gateway/index.js';
import { FleetNumbers } from './fleet-numbers.js';
import { MetricsController } from './metrics.controller.js';
import { MetricsListener } from './metrics-listener.js';
import { Scrape } from './scrape.js';

/** What a manager tells of itself to Prometheus. */
@Module({
  imports: [GatewayModule, AuditModule, AccessModule, EventsModule],
  controllers: [MetricsController],
  providers: [FleetNumbers, MetricsListener, Scrape],
  exports: [MetricsListener],
})
export class TelemetryModule {}
