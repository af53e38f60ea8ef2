import { join } from 'node:path';
import { Module } from '@nestjs/common';
import { AuditModule } from '../audit/index.js';
import { EventsModule } from '../events/index.js';
import { CONFIG, type Config } from '../platform/index.js';
import { BlobStore } from './blob-store.js';
import { DocumentsController } from './documents.controller.js';
import { Documents } from './documents.js';
import { ReleasesController } from './releases.controller.js';
import { Releases } from './releases.js';
import { Uploads } from './uploads.js';

/** The release catalog and the artifact store. */
@Module({
  imports: [AuditModule, EventsModule],
  controllers: [ReleasesController, DocumentsController],
  providers: [
    Releases,
    Documents,
    Uploads,
    {
      provide: BlobStore,
      useFactory: (config: Config) => new BlobStore(join(config.dataDir, 'blobs')),
      inject: [CONFIG],
    },
  ],
  exports: [Releases],
})
export class ReleasesModule {}
