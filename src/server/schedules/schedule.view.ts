import { toIso, type Instant } from '../../core/kernel/index.js';
import { nextWindow } from '../../core/rollout/index.js';
import type { Schedule } from '../../protocol/api/index.js';
import { windowOf } from '../plans/index.js';
import type { Result, StoredSchedule } from './schedules.store.js';

const resultView = (last: Result): NonNullable<Schedule['last']> => ({
  result: last.result,
  reason: last.reason,
  message: last.message,
  version: last.version,
  rollout_id: last.rolloutId,
  at: toIso(last.at),
});

/** As people see it; the window is that of this moment, all else that of the last look. */
export function scheduleView(schedule: StoredSchedule, planName: string, now: Instant): Schedule {
  const { look, window, isPaused, maker, last } = schedule;
  const next = window === null ? null : nextWindow(windowOf(window), now);
  return {
    id: schedule.id,
    group_id: schedule.groupId,
    name: schedule.name,
    product: schedule.product,
    channel: schedule.channel,
    plan_id: schedule.planId,
    plan: planName,
    window,
    when_busy: schedule.whenBusy,
    state: isPaused ? 'paused' : look.state,
    reason: isPaused ? 'paused' : look.reason,
    message: isPaused ? '' : look.message,
    until: isPaused || look.until === null ? null : toIso(look.until),
    next_version: look.release?.version ?? null,
    next_window: next === null ? null : { from: toIso(next.from), to: toIso(next.to) },
    done_sequence: schedule.doneSequence,
    last: last === null ? null : resultView(last),
    maker: { kind: maker.kind, id: maker.id, name: maker.name },
    created_at: toIso(schedule.createdAt),
    updated_at: toIso(schedule.updatedAt),
  };
}
