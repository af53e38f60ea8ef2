import { Controller } from '@nestjs/common';
import type { Answer, Input } from '../../protocol/api/index.js';
import { Access } from '../access/index.js';
import { type Caller, Database, Endpoint, Given, Who } from '../platform/index.js';
import { EventLog } from './event-log.js';

@Controller()
export class EventsController {
  constructor(
    private readonly database: Database,
    private readonly access: Access,
    private readonly log: EventLog,
  ) {}

  @Endpoint('events.list')
  async list(
    @Given() { query }: Input<'events.list'>,
    @Who() caller: Caller,
  ): Promise<Answer<'events.list'>> {
    const groups = await this.access.visibleGroups(caller, 'event.view');
    const { items, nextAfter } = await this.log.read(this.database.read, { ...query, groups });
    return { items, next_after: nextAfter };
  }
}
