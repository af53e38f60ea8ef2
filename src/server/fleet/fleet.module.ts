import { Module } from '@nestjs/common';
import { AccessModule, Whereabouts } from '../access/index.js';
import { AuditModule } from '../audit/index.js';
import { EventsModule, Ingest } from '../events/index.js';
import { GatewayModule, Links } from '../gateway/index.js';
import { FleetCensus } from './fleet-census.js';
import { FleetController } from './fleet.controller.js';
import { FleetHistory } from './fleet-history.js';
import { HealthBook } from './health-book.js';
import { InstalledVersions } from './installed-versions.js';
import { LinkWatch } from './link-watch.js';
import { LiveNodes } from './live-nodes.js';
import { NodeLists } from './node-lists.js';
import { NodeSearch } from './node-search.js';
import { NodesController } from './nodes.controller.js';
import { Nodes } from './nodes.store.js';
import { Presence } from './presence.js';
import { GroupShape } from './group-shape.js';
import { GroupShapeController } from './group-shape.controller.js';
import { Quotas } from './quotas.js';
import { Revocation } from './revocation.js';
import { SoftwareBook } from './software-book.js';
import { TransferRecords, Transfers } from './transfers.js';
import { VisibleNodes } from './visible-nodes.js';

/** The nodes: who they are, what they run, whether they are here. */
@Module({
  imports: [GatewayModule, AuditModule, AccessModule, EventsModule],
  controllers: [NodesController, FleetController, GroupShapeController],
  providers: [
    Nodes,
    FleetCensus,
    FleetHistory,
    GroupShape,
    HealthBook,
    InstalledVersions,
    LinkWatch,
    LiveNodes,
    NodeLists,
    NodeSearch,
    Presence,
    Quotas,
    Revocation,
    SoftwareBook,
    TransferRecords,
    Transfers,
    VisibleNodes,
  ],
  exports: [
    Nodes,
    GroupShape,
    HealthBook,
    LiveNodes,
    Quotas,
    Revocation,
    SoftwareBook,
    Transfers,
    VisibleNodes,
  ],
})
export class FleetModule {
  constructor(
    links: Links,
    presence: Presence,
    ingest: Ingest,
    versions: InstalledVersions,
    whereabouts: Whereabouts,
    nodes: Nodes,
  ) {
    whereabouts.use('nodes', async (id) => (await nodes.find(id))?.groupId ?? null);
    links.useIdentities(presence);
    links.usePresence(presence);
    // Before the rollouts: what they decide on an event sees the version that it told.
    ingest.addObserver(versions);
  }
}
