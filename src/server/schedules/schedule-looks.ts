import { Injectable } from '@nestjs/common';
import { gt } from 'semver';
import { FleetError, type Instant } from '../../core/kernel/index.js';
import type { OpenRollout, ScheduleLook } from '../../core/rollout/index.js';
import { Access, Credentials, Groups } from '../access/index.js';
import { Plans, windowOf } from '../plans/index.js';
import { Database, type Caller } from '../platform/index.js';
import { CircumstancesBook, isWhole, openGroupRollouts, wasRolledOut } from '../rollouts/index.js';
import { releasesAbove, type ChannelRelease, type StoredSchedule } from './schedules.store.js';

/** What a schedule sees at one moment. */
export interface Seen {
  readonly look: ScheduleLook;
  /** The newest on its channel that it is not done with. */
  readonly release: ChannelRelease | null;
  /** The highest number on its channel; 0 when there is nothing. */
  readonly newest: number;
  /** Its maker with what he holds now; null when there is no such person or token any more. */
  readonly caller: Caller | null;
}

/** Looks up what a schedule decides on. Writes nothing, keeps nothing. */
@Injectable()
export class ScheduleLooks {
  constructor(
    private readonly database: Database,
    private readonly groups: Groups,
    private readonly access: Access,
    private readonly credentials: Credentials,
    private readonly plans: Plans,
    private readonly book: CircumstancesBook,
  ) {}

  async of(schedule: StoredSchedule, now: Instant): Promise<Seen> {
    const { product, groupId, window } = schedule;
    const onChannel = await releasesAbove(this.database.read, schedule, -1);
    const release = onChannel.find(({ sequence }) => sequence > schedule.doneSequence) ?? null;
    const caller = await this.#maker(schedule);
    const look: ScheduleLook = {
      now,
      isPaused: schedule.isPaused,
      window: window === null ? null : windowOf(window),
      whenBusy: schedule.whenBusy,
      release: release && {
        sequence: release.sequence,
        version: release.version,
        since: release.publishedAt,
        isHighest: !onChannel.some(({ version }) => gt(version, release.version)),
      },
      wasRolledOut: release !== null && (await this.#wasRolledOut(schedule, release)),
      refusal: await this.#refusal(schedule, caller),
      circumstances: await this.book.of(this.database.read, groupId, now),
      open: await this.#open(product, groupId),
    };
    return { look, release, newest: onChannel[0]?.sequence ?? 0, caller };
  }

  #wasRolledOut(schedule: StoredSchedule, { version }: ChannelRelease): Promise<boolean> {
    const { product, channel, groupId } = schedule;
    return wasRolledOut(this.database.read, { product, version, channel }, groupId);
  }

  async #maker({ maker }: StoredSchedule): Promise<Caller | null> {
    const grants = await this.credentials.grantsOf(maker);
    if (grants === null) return null;
    return { ...maker, grants, requestId: '', ip: '', userAgent: 'bellwether schedule' };
  }

  async #refusal(
    { groupId, planId }: StoredSchedule,
    caller: Caller | null,
  ): Promise<ScheduleLook['refusal']> {
    if (caller === null) return 'maker_gone';
    try {
      await this.access.require(caller, 'group.upgrade', groupId);
    } catch (error) {
      if (error instanceof FleetError) return 'maker_lost_right';
      throw error;
    }
    const plan = await this.plans.inReach(planId, groupId);
    return plan === null ? 'plan_out_of_reach' : null;
  }

  /** Rollouts that could want the same nodes: of the group, of those above it, and of those below. */
  async #open(product: string, groupId: string): Promise<OpenRollout[]> {
    const above = (await this.groups.find(groupId))?.path ?? [];
    const open: OpenRollout[] = [];
    for (const { id, groupId: its, scope, reverts } of await openGroupRollouts(
      this.database.read,
      product,
    )) {
      const path = (await this.groups.find(its))?.path ?? [];
      if (!above.includes(its) && !path.includes(groupId)) continue;
      const isReplaceable = its === groupId && reverts === null && isWhole(scope);
      open.push({ id, isReplaceable });
    }
    return open;
  }
}
