import { Module } from '@nestjs/common';
import { GatewayModule, Links } from '../gateway/index.js';
import { Database } from '../platform/database/index.js';
import { CONFIG, Secrets, type Config } from '../platform/index.js';
import { AuditKey } from './audit-key.js';
import { AuditLog } from './audit-log.js';
import { AuditTree } from './audit-tree.js';
import { Checkpoints } from './checkpoints.js';
import { Resealing } from './resealing.js';
import { Segments } from './segments.js';

/** The record of deeds. Reading it over HTTP is a question of access, and lives there. */
@Module({
  imports: [GatewayModule],
  providers: [
    AuditLog,
    AuditTree,
    Checkpoints,
    Resealing,
    Segments,
    {
      provide: AuditKey,
      useFactory: (config: Config, secrets: Secrets) => AuditKey.open(config, secrets),
      inject: [CONFIG, Secrets],
    },
  ],
  exports: [AuditLog, AuditTree, AuditKey, Checkpoints, Segments],
})
export class AuditModule {
  constructor(links: Links, checkpoints: Checkpoints, database: Database) {
    // One look for all nodes that come together.
    const looks = database.batched<null, string | null>(async (asked) => {
      const newest = await checkpoints.newest(database.read);
      return asked.map(() => newest?.note ?? null);
    });
    links.useCheckpoints({ newest: () => looks.ask(null) });
  }
}
