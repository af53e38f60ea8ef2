import { Module } from '@nestjs/common';
import { parseCheckpoint } from '../../core/audit/index.js';
import { AccessModule } from '../access/index.js';
import { AuditModule, Checkpoints } from '../audit/index.js';
import { GatewayModule, Links } from '../gateway/index.js';
import { EventExport } from './event-export.js';
import { EventLog } from './event-log.js';
import { EventNews } from './event-news.js';
import { EventViews } from './event-views.js';
import { EventsController } from './events.controller.js';
import { Ingest } from './ingest.js';
import { ROOT_GROUP } from './root-group.js';
import { Seals } from './seals.js';
import { SecurityEvents } from './security-events.js';
import {
  EventsGateway,
  EventStreamController,
  EventsUpgradeController,
  Streams,
  Tail,
} from './streams/index.js';

/** The event log: appended to by everyone, fed by nodes, read by people and SIEM systems. */
@Module({
  imports: [GatewayModule, AuditModule, AccessModule],
  controllers: [EventsController, EventStreamController, EventsUpgradeController],
  providers: [
    EventExport,
    EventLog,
    EventsGateway,
    EventViews,
    EventNews,
    Ingest,
    Seals,
    SecurityEvents,
    Streams,
    Tail,
  ],
  exports: [EventLog, EventViews, Ingest],
})
export class EventsModule {
  constructor(links: Links, ingest: Ingest, log: EventLog, checkpoints: Checkpoints) {
    links.useEvents(ingest);
    // So that whoever follows the events keeps checkpoints outside of the manager's reach.
    checkpoints.onMade((tx, { size, note, madeAt }) => {
      const read = parseCheckpoint(note);
      const root = read.ok ? read.value.root.toString('base64') : '';
      log.append(tx, [
        {
          category: 'audit',
          type: 'audit.checkpoint',
          severity: 'info',
          nodeId: null,
          groupId: ROOT_GROUP,
          message: `The audit log was signed at ${size} entries`,
          details: { size, root, checkpoint: note },
          at: madeAt,
        },
      ]);
    });
  }
}
