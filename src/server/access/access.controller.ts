import { Controller } from '@nestjs/common';
import { FleetError } from '../../core/kernel/index.js';
import type { Answer, Input } from '../../protocol/api/index.js';
import { AuditLog } from '../audit/index.js';
import { Database } from '../platform/database/index.js';
import { Endpoint, Given, pageFrom, readCursor, Who, type Caller } from '../platform/http/index.js';
import { Access } from './access.js';
import { groupView, tokenView } from './access.view.js';
import { Groups } from './groups.store.js';
import { Setup } from './setup.js';
import { ApiTokens } from './tokens.store.js';

/** Set-up and API tokens. */
@Controller()
export class TokensController {
  constructor(
    private readonly database: Database,
    private readonly tokens: ApiTokens,
    private readonly groups: Groups,
    private readonly audit: AuditLog,
    private readonly setup: Setup,
  ) {}

  @Endpoint('setup.finish')
  async finishSetup(
    @Given() { body }: Input<'setup.finish'>,
    @Who() caller: Caller,
  ): Promise<Answer<'setup.finish'>> {
    const { token, secret } = await this.setup.finish(caller, body);
    return { ...tokenView(token), secret };
  }

  @Endpoint('tokens.list')
  async list(@Given() { query }: Input<'tokens.list'>): Promise<Answer<'tokens.list'>> {
    const rows = await this.tokens.list(readCursor(query.cursor), query.limit + 1);
    return pageFrom(rows, query.limit, ({ createdAt: at, id }) => ({ at, id }), tokenView);
  }

  @Endpoint('tokens.create')
  async create(
    @Given() { body }: Input<'tokens.create'>,
    @Who() caller: Caller,
  ): Promise<Answer<'tokens.create'>> {
    if (body.group_id !== null && (await this.groups.find(body.group_id)) === null) {
      throw new FleetError('not_found', 'no such group');
    }
    const { token, secret } = await this.database.transaction(async (tx) => {
      const created = await this.tokens.create(tx, {
        name: body.name,
        role: body.role,
        groupId: body.group_id,
        expiresInDays: body.expires_in_days,
      });
      await this.audit.append(tx, {
        caller,
        action: 'token.create',
        targetKind: 'token',
        targetId: created.token.id,
        groupId: body.group_id,
        outcome: 'allowed',
        details: { name: body.name, role: body.role, expires_in_days: body.expires_in_days },
      });
      return created;
    });
    return { ...tokenView(token), secret };
  }

  @Endpoint('tokens.revoke')
  async revoke(@Given() { params }: Input<'tokens.revoke'>, @Who() caller: Caller): Promise<void> {
    await this.database.transaction(async (tx) => {
      const token = await this.tokens.revoke(tx, params.id);
      if (token === null) throw new FleetError('not_found', 'no such token');
      await this.audit.append(tx, {
        caller,
        action: 'token.revoke',
        targetKind: 'token',
        targetId: token.id,
        groupId: token.groupId,
        outcome: 'allowed',
        details: { name: token.name, role: token.role },
      });
    });
  }
}

/** The tree of groups. */
@Controller()
export class GroupsController {
  constructor(
    private readonly database: Database,
    private readonly groups: Groups,
    private readonly access: Access,
    private readonly audit: AuditLog,
  ) {}

  @Endpoint('groups.list')
  async list(
    @Given() { query }: Input<'groups.list'>,
    @Who() caller: Caller,
  ): Promise<Answer<'groups.list'>> {
    const rows = await this.groups.list({
      groups: await this.access.visibleGroups(caller, 'group.view'),
      after: readCursor(query.cursor),
      limit: query.limit + 1,
    });
    return pageFrom(rows, query.limit, ({ createdAt: at, id }) => ({ at, id }), groupView);
  }

  @Endpoint('groups.create')
  async create(
    @Given() { body }: Input<'groups.create'>,
    @Who() caller: Caller,
  ): Promise<Answer<'groups.create'>> {
    await this.access.require(caller, 'group.manage', body.parent_id);
    const parent = await this.groups.find(body.parent_id);
    if (parent === null) throw new FleetError('not_found', 'no such group');
    const group = await this.database.transaction(async (tx) => {
      const created = await this.groups.create(tx, body.name, parent);
      await this.audit.append(tx, {
        caller,
        action: 'group.create',
        targetKind: 'group',
        targetId: created.id,
        groupId: created.id,
        outcome: 'allowed',
        details: { name: body.name, parent_id: parent.id },
      });
      return created;
    });
    return groupView(group);
  }
}
