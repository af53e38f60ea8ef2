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
import { powerOf, Tokens } from './tokens.js';
import { ApiTokens } from './tokens.store.js';

/** Set-up and API tokens. */
@Controller()
export class TokensController {
  constructor(
    private readonly access: Access,
    private readonly tokens: Tokens,
    private readonly stored: ApiTokens,
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

  /** Of groups that the caller manages tokens of; those of the whole installation: who manages all. */
  @Endpoint('tokens.list')
  async list(
    @Given() { query }: Input<'tokens.list'>,
    @Who() caller: Caller,
  ): Promise<Answer<'tokens.list'>> {
    const groups = await this.access.visibleGroups(caller, 'token.manage');
    const rows = await this.stored.list(readCursor(query.cursor), query.limit + 1, groups);
    return pageFrom(rows, query.limit, ({ createdAt: at, id }) => ({ at, id }), tokenView);
  }

  @Endpoint('tokens.create')
  async create(
    @Given() { body }: Input<'tokens.create'>,
    @Who() caller: Caller,
  ): Promise<Answer<'tokens.create'>> {
    const { token, secret } = await this.tokens.create(caller, {
      ...powerOf(body),
      name: body.name,
      expiresInDays: body.expires_in_days,
    });
    return { ...tokenView(token), secret };
  }

  @Endpoint('tokens.rotate')
  async rotate(
    @Given() { params, body }: Input<'tokens.rotate'>,
    @Who() caller: Caller,
  ): Promise<Answer<'tokens.rotate'>> {
    const { token, secret } = await this.tokens.rotate(caller, params.id, {
      expiresInDays: body.expires_in_days,
      graceMinutes: body.grace_minutes,
    });
    return { ...tokenView(token), secret };
  }

  @Endpoint('tokens.revoke')
  async revoke(@Given() { params }: Input<'tokens.revoke'>, @Who() caller: Caller): Promise<void> {
    await this.tokens.revoke(caller, params.id);
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

  @Endpoint('groups.show')
  async show(
    @Given() { params }: Input<'groups.show'>,
    @Who() caller: Caller,
  ): Promise<Answer<'groups.show'>> {
    await this.access.require(caller, 'group.view', params.id);
    const group = await this.groups.find(params.id);
    if (group === null) throw new FleetError('not_found', 'no such group');
    return groupView(group);
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
