import { Inject, Injectable } from '@nestjs/common';
import {
  FleetError,
  instant,
  MINUTE_MS,
  plus,
  toIso,
  type Instant,
} from '../../core/kernel/index.js';
import {
  judgeSchedule,
  missedWindow,
  nextOpening,
  wentBack,
  type ScheduleStep,
} from '../../core/rollout/index.js';
import { CreateRollout } from '../../protocol/api/index.js';
import { Database, type Caller, type Tx } from '../platform/index.js';
import { WAKEUPS, type RoutedWakeups } from '../platform/queue/index.js';
import { Asks, LATER, Orchestrator, type Task } from '../rollouts/index.js';
import { ScheduleLooks, type Seen } from './schedule-looks.js';
import { ScheduleShell, type Told } from './schedule-shell.js';
import { NOTHING_NEW } from './schedules.js';
import {
  dueSchedules,
  findSchedule,
  takeRelease,
  type ChannelRelease,
  type Look,
  type Result,
  type StoredSchedule,
} from './schedules.store.js';

/** What ends by itself, such as another rollout, is looked for this often. */
const BUSY_MS = MINUTE_MS;
/** The longest sleep while there is something to do: freezes, switches and clocks change untold. */
const SLEEP_MAX_MS = 5 * MINUTE_MS;
/** Taken in one sweep. */
const DUE_BATCH = 100;

/** One look that came to something to do. */
interface Turn {
  readonly schedule: StoredSchedule;
  readonly release: ChannelRelease;
  readonly now: Instant;
}

/**
 * Looks at schedules when an alarm rings or the sweep finds them due, and starts what is to be started: at most
 * once for each release over all managers, since the row of the schedule is taken in the transaction that
 * makes the rollout, and only as it was when it was looked at.
 */
@Injectable()
export class ScheduleRunner {
  constructor(
    private readonly database: Database,
    private readonly looks: ScheduleLooks,
    private readonly asks: Asks,
    private readonly orchestrator: Orchestrator,
    @Inject(WAKEUPS) private readonly wakeups: RoutedWakeups,
    private readonly shell: ScheduleShell,
  ) {
    wakeups.route('sch_', (id) => this.wake(id));
  }

  wakeSoon(id: string): void {
    this.wakeups.arm(id, this.shell.now());
  }

  /** One for each that is due: what alarms have lost, and what has come to a channel. */
  async tasks(now: Instant): Promise<readonly Task[]> {
    const due = await dueSchedules(this.database.read, now, DUE_BATCH);
    return due.map((id) => ({ what: `schedule ${id}`, run: () => this.wake(id) }));
  }

  /** Looks at one schedule. Safe to call at any time, and by several managers at once. */
  async wake(id: string): Promise<void> {
    const stored = await findSchedule(this.database.read, id);
    if (stored === null || stored.isPaused) return;
    const now = this.shell.now();
    const seen = await this.looks.of(stored, now);
    const schedule = await this.#caughtUp(stored, seen, now);
    if (schedule === null) return;
    const step = judgeSchedule(seen.look);
    const next = await this.#take(schedule, seen, step);
    if (next !== null) this.wakeups.arm(id, next);
  }

  /** Tells what went wrong with time since the last look; null when somebody else is at it. */
  async #caughtUp(
    stored: StoredSchedule,
    { look, release, newest }: Seen,
    now: Instant,
  ): Promise<StoredSchedule | null> {
    const since = { now, lookedAt: stored.lookedAt };
    const isNews = release !== null && release.sequence > stored.knownSequence;
    const firstDue =
      isNews && look.window !== null ? nextOpening([look.window], [], release.publishedAt) : null;
    const missed = release && missedWindow(look.window, stored.look.until ?? firstDue, now);
    const looked = {
      ...stored,
      lookedAt: now,
      // Due until the step is stored, too: whoever dies in between is followed by the sweep.
      nextLookAt: now,
      knownSequence: Math.max(newest, stored.knownSequence),
    };
    const told: Told[] = [];
    if (wentBack(stored.lookedAt, now)) told.push(clockBack(since));
    if (missed === null || release === null) return this.shell.save(looked, told);
    const message = `nobody looked between ${toIso(missed.from)} and ${toIso(missed.to)}: no manager was up, or a clock jumped`;
    const last: Result = {
      ...{ result: 'missed', reason: 'nobody_looked', message, at: now },
      ...{ version: release.version, rolloutId: null },
    };
    const line = { type: 'schedule_missed', severity: 'warning', reason: last.reason } as const;
    return this.shell.save({ ...looked, last, look: { ...stored.look, until: null } }, [
      ...told,
      { ...line, message: `Schedule ${stored.name} missed a window: ${message}` },
    ]);
  }

  /** When to look again; null when nothing but news can change anything. */
  async #take(schedule: StoredSchedule, seen: Seen, step: ScheduleStep): Promise<Instant | null> {
    const { release, caller } = seen;
    const { now } = seen.look;
    if (release === null || step.kind === 'idle' || step.kind === 'paused') {
      return this.#rest(schedule, NOTHING_NEW, null);
    }
    const turn = { schedule, release, now };
    if (step.kind === 'pass_over') return this.#passOver(turn, step.reason);
    if (step.kind === 'refuse') {
      return this.#refused(turn, step.reason, wordsOf(step.reason, schedule));
    }
    if (step.kind === 'wait') return this.#wait(turn, step.reason, step.until);
    return caller === null ? null : this.#start(turn, caller, step.supersedes);
  }

  async #rest(
    schedule: StoredSchedule,
    look: Look,
    nextLookAt: Instant | null,
    told: readonly Told[] = [],
  ): Promise<Instant | null> {
    const saved = await this.shell.save({ ...schedule, look, nextLookAt }, told);
    return saved === null ? null : nextLookAt;
  }

  #wait(turn: Turn, reason: string, until: Instant | null): Promise<Instant | null> {
    const { schedule, release, now } = turn;
    const isBusy = reason === 'rollout_open' || reason === 'nodes_busy';
    const sleep = plus(now, isBusy ? BUSY_MS : SLEEP_MAX_MS);
    const next = until === null ? sleep : instant(Math.min(until, sleep));
    const look: Look = { state: 'waiting', reason, message: '', until, release: shortOf(release) };
    return this.#rest(schedule, look, next);
  }

  /** Told once for each reason and release; tried again, since somebody may mend it. */
  #refused(turn: Turn, reason: string, message: string): Promise<Instant | null> {
    const { schedule, release, now } = turn;
    const { look: before, name } = schedule;
    const look: Look = {
      ...{ state: 'refused', reason, message, until: null },
      release: shortOf(release),
    };
    const next = plus(now, SLEEP_MAX_MS);
    const isTold =
      before.state === 'refused' &&
      before.reason === reason &&
      before.release?.sequence === release.sequence;
    if (isTold) return this.#rest(schedule, look, next);
    const last = resultOf(turn, 'refused', { reason, message });
    const line = `Schedule ${name} cannot start ${schedule.product} ${release.version}: ${message}`;
    return this.#rest({ ...schedule, last }, look, next, [
      { type: 'schedule_refused', severity: 'warning', message: line, reason },
    ]);
  }

  async #passOver(turn: Turn, reason: string): Promise<null> {
    const { schedule, release } = turn;
    const message = wordsOf(reason, schedule);
    const line = `Schedule ${schedule.name} passes over ${schedule.product} ${release.version}: ${message}`;
    await this.database
      .transaction((tx) =>
        this.#finish(tx, turn, {
          last: resultOf(turn, 'passed_over', { reason, message }),
          told: { type: 'schedule_passed_over', severity: 'info', message: line, reason },
        }),
      )
      .catch(unlessOvertaken);
    return null;
  }

  async #start(turn: Turn, caller: Caller, supersedes: readonly string[]): Promise<Instant | null> {
    const { schedule, release } = turn;
    const { id, name, product, channel, planId, groupId } = schedule;
    const asked = { product, version: release.version, channel };
    const body = CreateRollout.parse({
      ...asked,
      plan_id: planId,
      scope: { group_id: groupId },
    });
    const message = `Schedule ${name} started a rollout of ${product} ${release.version}`;
    const first = (tx: Tx, rolloutId: string): Promise<void> =>
      this.#finish(tx, turn, {
        last: { ...resultOf(turn, 'started', { reason: 'started', message: '' }), rolloutId },
        told: { type: 'schedule_started', severity: 'info', message, reason: 'started', rolloutId },
      });
    try {
      const request = await this.asks.rollout(body, caller);
      const madeBy = request.madeBy && { ...request.madeBy, schedule: { id, name } };
      const made = madeBy === undefined ? request : { ...request, madeBy };
      await this.orchestrator.create(made, caller, { first, supersedes });
      return null;
    } catch (error) {
      if (!(error instanceof FleetError)) throw error;
      return this.#notStarted(turn, error);
    }
  }

  async #notStarted(turn: Turn, error: FleetError): Promise<Instant | null> {
    // Somebody was faster, or a node has just moved: the sweep comes again.
    if (error.code === 'conflict') return null;
    if (error.code === 'rollout_empty') return this.#passOver(turn, 'rollout_empty');
    if (LATER.includes(error.code)) return this.#wait(turn, 'nodes_busy', null);
    return this.#refused(turn, error.code, error.message);
  }

  /** The schedule is done with the release, in the transaction of what became of it. Throws `conflict`. */
  async #finish(
    tx: Tx,
    { schedule, release, now }: Turn,
    { last, told }: { readonly last: Result; readonly told: Told },
  ): Promise<void> {
    const { result, rolloutId } = last;
    const taken = { scheduleId: schedule.id, releaseId: release.id, result, rolloutId, at: now };
    // What was done before is not done again; to pass it over once more is nothing to tell.
    const isFirst = await takeRelease(tx, taken);
    const after: StoredSchedule = {
      ...{ ...schedule, look: NOTHING_NEW, nextLookAt: null },
      last: isFirst ? last : schedule.last,
      doneSequence: release.sequence,
    };
    const mayGoOn = isFirst || result === 'passed_over';
    if (mayGoOn && (await this.shell.saveIn(tx, after, isFirst ? [told] : []))) return;
    throw new FleetError('conflict', 'the schedule moved on meanwhile');
  }
}

const shortOf = ({ sequence, version }: ChannelRelease): Look['release'] => ({ sequence, version });

const resultOf = (
  { release, now }: Turn,
  result: Result['result'],
  { reason, message }: { readonly reason: string; readonly message: string },
): Result => ({ result, reason, message, version: release.version, rolloutId: null, at: now });

const clockBack = ({
  now,
  lookedAt,
}: {
  readonly now: Instant;
  readonly lookedAt: Instant;
}): Told => ({
  type: 'schedule_clock_back',
  severity: 'warning',
  reason: 'clock_went_back',
  message: `The clock went back from ${toIso(lookedAt)} to ${toIso(now)}: windows count by the new time, and nothing starts twice`,
});

const WORDS: Readonly<Record<string, string>> = {
  maker_gone:
    'who made it may not come in any more, or the token has ended: resume it by somebody who may',
  maker_lost_right:
    'who made it may not start rollouts of this group any more: resume it by somebody who may',
  plan_out_of_reach: 'its plan is not of this group, nor of one above it, any more',
  rolled_out_already: 'this group has had a rollout of it',
  not_the_highest: 'there is a higher version on the channel',
  rollout_empty: 'no node of the group could take it',
};
const wordsOf = (reason: string, { name }: StoredSchedule): string =>
  WORDS[reason] ?? `${name}: ${reason}`;

/** Another manager was faster; what it did counts. */
function unlessOvertaken(error: unknown): void {
  if (!(error instanceof FleetError) || error.code !== 'conflict') throw error;
}
