import { Injectable } from '@nestjs/common';
import { AuditLog } from '../../audit/index.js';
import { Database, type Caller } from '../../platform/index.js';

/** Records artifacts that came in whole. */
@Injectable()
export class UploadLog {
  constructor(
    private readonly database: Database,
    private readonly audit: AuditLog,
  ) {}

  /**
   * The bytes are no row: when this entry cannot be written the upload is answered as failed, and
   * nothing refers to them until a release is published, which has an entry of its own.
   */
  async uploaded(caller: Caller, sha256: string, size: number): Promise<void> {
    await this.database.transaction((tx) =>
      this.audit.append(tx, {
        caller,
        action: 'release.upload',
        targetKind: 'blob',
        targetId: sha256,
        groupId: null,
        outcome: 'allowed',
        details: { size },
      }),
    );
  }
}
