import { join } from 'node:path';
import { Inject, Module } from '@nestjs/common';
import type { Logger } from 'pino';
import { AccessModule } from '../access/index.js';
import { AuditModule } from '../audit/index.js';
import { EventsModule } from '../events/index.js';
import { FleetModule } from '../fleet/index.js';
import { GatewayModule } from '../gateway/index.js';
import {
  BUS,
  CLOCK,
  CONFIG,
  Database,
  LOGGER,
  type Bus,
  type Clock,
  type Config,
} from '../platform/index.js';
import { MeteredWakeups, openWakeups } from '../platform/queue/index.js';
import { BlobsController } from './blobs.controller.js';
import { Catalog } from './catalog.js';
import { BlobCollector, SHELF, type Shelf } from './collector.js';
import { Downloads } from './delivery/downloads.js';
import { Invitations } from './delivery/invitations.js';
import { PartialUploads } from './delivery/partial-uploads.js';
import { UploadLog } from './delivery/upload-log.js';
import { DocumentsController } from './documents.controller.js';
import { Documents } from './documents.js';
import { IndexNews } from './index-news.js';
import { OffersController } from './offers.controller.js';
import { ReleasesController } from './releases.controller.js';
import { Releases } from './releases.js';
import type { Puller } from './sources/pull.js';
import { PULLER, Refresher, SOURCES, SOURCE_WAKEUPS } from './sources/refresher.js';
import { readSourceFile } from './sources/source-file.js';
import { SourcesController } from './sources/sources.controller.js';
import { BLOBS, type Blobs } from './store/blobs.port.js';
import { openBlobs } from './store/open.js';

/** The release catalog and the artifact store. */
@Module({
  imports: [AccessModule, AuditModule, EventsModule, FleetModule, GatewayModule],
  controllers: [
    ReleasesController,
    DocumentsController,
    BlobsController,
    OffersController,
    SourcesController,
  ],
  providers: [
    Releases,
    Documents,
    IndexNews,
    Catalog,
    Downloads,
    Invitations,
    UploadLog,
    BlobCollector,
    { provide: BLOBS, useFactory: openBlobs, inject: [CONFIG] },
    {
      provide: SHELF,
      useFactory: (config: Config, blobs: Blobs): Shelf => ({
        blobs,
        partials: new PartialUploads(join(config.dataDir, 'uploads'), blobs),
      }),
      inject: [CONFIG, BLOBS],
    },
    Refresher,
    {
      provide: SOURCES,
      useFactory: ({ sourcesFile }: Config) => readSourceFile(sourcesFile),
      inject: [CONFIG],
    },
    {
      provide: PULLER,
      useFactory: (
        database: Database,
        releases: Releases,
        blobs: Blobs,
        { artifactBytesMax: bytesMax }: Config,
      ): Puller => ({ database, releases, blobs, bytesMax }),
      inject: [Database, Releases, BLOBS, CONFIG],
    },
    {
      provide: SOURCE_WAKEUPS,
      // Alarms of their own: those of rollouts go to whoever leads them.
      useFactory: async (config: Config, clock: Clock, log: Logger) => {
        const redisPrefix = `${config.redisPrefix}-sources`;
        const wakeups = await openWakeups({ ...config, redisPrefix }, clock, log);
        return new MeteredWakeups(wakeups, 'sources', clock);
      },
      inject: [CONFIG, CLOCK, LOGGER],
    },
  ],
  exports: [Releases, BlobCollector, IndexNews, Refresher],
})
export class ReleasesModule {
  constructor(releases: Releases, @Inject(BUS) bus: Bus) {
    // What one manager publishes or yanks, the others keep in memory as it was.
    bus.hear('releases', ({ product }) => releases.changedElsewhere(product));
    releases.onPublished((product) => bus.tell('releases', { product }));
  }
}
