import { isDeepStrictEqual } from 'node:util';
import {
  evolve,
  isOver,
  isStuck,
  limitOf,
  noCounts,
  pendingWave,
  TARGET_STATES,
  type RolloutEvent,
  type RolloutState,
} from '../../../core/rollout/index.js';
import {
  checkEvent,
  type CheckedRollout,
  type EventCheck,
  type TargetRow,
} from './event-checks.js';
import type { Database, RolloutMeta, StoredRollout } from '../parts.js';
import { must } from './violation.js';

/** One rollout seen from outside: its journal is folded again, and each step of it is checked. */
export class WatchedRollout implements CheckedRollout {
  readonly meta: RolloutMeta;
  folded: RolloutState;
  targets: ReadonlyMap<string, TargetRow> = new Map();
  /** Since when it grants nothing new; null while it may. */
  stoppedAt: number | null = null;
  #length = 0;

  private constructor(meta: RolloutMeta, planned: RolloutState) {
    this.meta = meta;
    this.folded = planned;
  }

  get length(): number {
    return this.#length;
  }

  static async see(database: Database, stored: StoredRollout): Promise<WatchedRollout> {
    const rows = await readTargets(database, stored.meta.id);
    return new WatchedRollout(stored.meta, plannedAs(stored, rows));
  }

  /** Takes in what was stored since the last look. Throws a `Violation` at what must not be. */
  async follow(database: Database, stored: StoredRollout, check: EventCheck): Promise<void> {
    const { id } = this.meta;
    const events = await database.read.all<{ event: string }>(
      'SELECT event FROM rollout_journal WHERE rollout_id = ? AND position >= ? ORDER BY position',
      [id, this.#length],
    );
    const before = this.targets;
    const rows = await readTargets(database, id);
    this.targets = new Map(rows.map((row) => [row.node_id, row]));
    for (const { event } of events) {
      const read = JSON.parse(event) as RolloutEvent;
      checkEvent(this, read, check);
      this.folded = evolve(this.folded, read);
      if (isStop(read)) this.stoppedAt = read.at;
      if (read.type === 'rollout_resumed') this.stoppedAt = null;
    }
    this.#length += events.length;
    must('journal_length', this.#length === stored.journalLength, () => id);
    must(
      'folding_the_journal_equals_the_snapshot',
      isDeepStrictEqual(this.folded, stored.state),
      () => JSON.stringify({ folded: this.folded, stored: stored.state }),
    );
    this.#counters(rows);
    this.#limit(before, rows);
  }

  #counters(rows: readonly TargetRow[]): void {
    for (const wave of this.folded.waves) {
      const own = rows.filter((row) => row.wave === wave.index);
      const counts = noCounts();
      for (const row of own) counts[row.state] += 1;
      const lost = own.filter((row) => row.reason === 'lost_after_permit').length;
      const stuck = own.filter(isStuck).length;
      const offline = own.filter((row) => row.offline === 1).length;
      const same =
        TARGET_STATES.every((state) => counts[state] === wave.counts[state]) &&
        lost === wave.lost &&
        stuck === wave.stuck &&
        offline === wave.offline &&
        own.length === wave.size;
      must(
        'counters_equal_the_targets',
        same,
        () =>
          `${this.meta.id} wave ${wave.index}: ${JSON.stringify({ counts, lost, offline, wave })}`,
      );
    }
    const mute = rows.find((row) => row.reason === '');
    must('everything_has_a_reason', mute === undefined, () => JSON.stringify(mute));
    if (!isOver(this.folded.status)) return;
    const open = rows.find((row) => row.state === 'pending');
    must('nobody_waits_for_a_rollout_that_is_over', open === undefined, () => JSON.stringify(open));
  }

  /** Between permit and verdict there are never more than allowed, unless they were already. */
  #limit(before: ReadonlyMap<string, TargetRow>, rows: readonly TargetRow[]): void {
    const limit = this.folded.plan.maxUnavailable;
    if (limit === null) return;
    const most = limitOf(limit, rows.length);
    const { status, updatedAt: now } = this.folded;
    // Once a rollout is over nobody turns silence into a verdict: a late node counts until its deadline.
    const counts = (row: TargetRow): boolean =>
      isStuck(row) || (isDown(row) && (!isOver(status) || (row.deadline_at ?? 0) > now));
    const down = rows.filter(counts).length;
    const wasDown = [...before.values()].filter(counts).length;
    must(
      'limit_on_nodes_that_are_down',
      down <= most || down <= wasDown,
      () => `${this.meta.id}: ${down} are between permit and verdict, at most ${most} may be`,
    );
  }
}

const isDown = (row: TargetRow): boolean =>
  row.state === 'swapping' || row.state === 'probation' || row.reason === 'lost_after_permit';

const isStop = ({ type }: RolloutEvent): boolean =>
  type === 'rollout_paused' || type === 'rollout_cancelled' || type === 'rollout_rolled_back';

const readTargets = (database: Database, id: string): Promise<TargetRow[]> =>
  database.read.all<TargetRow>(
    `SELECT node_id, wave, state, reason, command_id, offline, deadline_at FROM rollout_targets
     WHERE rollout_id = ?`,
    [id],
  );

/** As it was planned, from the plan and the number of targets in each wave alone. */
function plannedAs({ meta, state }: StoredRollout, rows: readonly TargetRow[]): RolloutState {
  return {
    id: meta.id,
    status: 'pending',
    reason: 'created',
    waves: state.plan.waves.map((_, index) =>
      pendingWave(index, rows.filter((row) => row.wave === index).length),
    ),
    startedAt: null,
    updatedAt: meta.createdAt,
    plan: state.plan,
  };
}
