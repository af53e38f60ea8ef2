import { Inject, Injectable } from '@nestjs/common';
import { instant, type Instant } from '../../core/kernel/index.js';
import type { EventType } from '../../protocol/index.js';
import { EventLog } from '../events/index.js';
import { CLOCK, Database, type Clock, type Tx } from '../platform/index.js';
import { saveSchedule, type StoredSchedule } from './schedules.store.js';

/** A line of the event log, without what every line of a schedule has. */
export interface Told {
  readonly type: EventType;
  readonly severity: 'info' | 'warning';
  readonly message: string;
  readonly reason: string;
  readonly rolloutId?: string;
}

/** What every line that a schedule tells has in common, and storing it with them. */
@Injectable()
export class ScheduleShell {
  constructor(
    private readonly database: Database,
    private readonly events: EventLog,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  now(): Instant {
    return instant(this.clock.now());
  }

  /** The schedule as it is stored now; null when somebody changed it since it was read: nothing is told then. */
  async save(schedule: StoredSchedule, told: readonly Told[]): Promise<StoredSchedule | null> {
    const isSaved = await this.database.transaction((tx) => this.saveIn(tx, schedule, told));
    return isSaved ? { ...schedule, fence: schedule.fence + 1 } : null;
  }

  async saveIn(tx: Tx, schedule: StoredSchedule, told: readonly Told[]): Promise<boolean> {
    if (!(await saveSchedule(tx, schedule))) return false;
    const { id, name, product, channel, groupId } = schedule;
    this.events.append(
      tx,
      told.map(({ type, severity, message, reason, rolloutId = null }) => ({
        ...{ category: 'upgrade', type, severity, nodeId: null, groupId, rolloutId, message },
        details: { schedule_id: id, schedule: name, product, channel, reason },
        at: this.now(),
      })),
    );
    return true;
  }
}
