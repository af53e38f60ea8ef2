import { Module } from '@nestjs/common';
import { parseCheckpoint } from '../../core/audit/index.js';
import { AccessModule } from '../access/index.js';
import { AuditModule, Checkpoints } from '../audit/index.js';
import { GatewayModule, Links } from '../gateway/index.js';
import { EventLog } from './event-log.js';
import { EventsController } from './events.controller.js';
import { Ingest } from './ingest.js';

/** Events that are of no group are filed under everybody's root. */
const ROOT_GROUP = 'grp_default';

/** The event log: appended to by everyone, fed by nodes, read by people and SIEM systems. */
@Module({
  imports: [GatewayModule, AuditModule, AccessModule],
  controllers: [EventsController],
  providers: [EventLog, Ingest],
  exports: [EventLog, Ingest],
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
