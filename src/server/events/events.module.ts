import { Module } from '@nestjs/common';
import { AccessModule } from '../access/index.js';
import { GatewayModule, Links } from '../gateway/index.js';
import { EventLog } from './event-log.js';
import { EventsController } from './events.controller.js';
import { Ingest } from './ingest.js';

/** The event log: appended to by everyone, fed by nodes, read by people and SIEM systems. */
@Module({
  imports: [GatewayModule, AccessModule],
  controllers: [EventsController],
  providers: [EventLog, Ingest],
  exports: [EventLog, Ingest],
})
export class EventsModule {
  constructor(links: Links, ingest: Ingest) {
    links.useEvents(ingest);
  }
}
