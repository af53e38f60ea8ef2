import { Controller } from '@nestjs/common';
import type { Answer, Input } from '../../protocol/api/index.js';
import { AuditLog } from '../audit/index.js';
import { Database } from '../platform/database/index.js';
import { Endpoint, Given, pageFrom, readCursor, Who, type Caller } from '../platform/http/index.js';
import { Access } from './access.js';

/** Reading the audit log. It lives here because who may read what is a question of access. */
@Controller()
export class AuditController {
  constructor(
    private readonly database: Database,
    private readonly access: Access,
    private readonly audit: AuditLog,
  ) {}

  /** Whoever is no platform admin sees the entries of the groups that he administers. */
  @Endpoint('audit.list')
  async list(
    @Given() { query }: Input<'audit.list'>,
    @Who() caller: Caller,
  ): Promise<Answer<'audit.list'>> {
    const entries = await this.audit.read(this.database.read, {
      before: readCursor(query.cursor)?.at ?? null,
      limit: query.limit + 1,
      groups: await this.access.visibleGroups(caller, 'audit.view'),
      action: query.action,
    });
    const show = <T>(entry: T): T => entry;
    return pageFrom(entries, query.limit, (entry) => ({ at: entry.id, id: 'audit' }), show);
  }
}
