import { Inject, Injectable } from '@nestjs/common';
import { instant } from '../../core/kernel/index.js';
import { EventLog } from '../events/index.js';
import { CLOCK, Database, type Clock } from '../platform/index.js';
import { CircumstancesBook, type UpgradeMode } from '../rollouts/index.js';

/** Where a look at one node reads what is not about the node alone. */
@Injectable()
export class LookRooms {
  constructor(
    readonly database: Database,
    readonly log: EventLog,
    private readonly book: CircumstancesBook,
    @Inject(CLOCK) readonly clock: Clock,
  ) {}

  async modeOf(groupId: string): Promise<UpgradeMode> {
    return (await this.book.of(this.database.read, groupId, instant(this.clock.now()))).mode;
  }
}
