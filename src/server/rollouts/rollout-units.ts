import { Inject, Injectable } from '@nestjs/common';
import { MINUTE_MS, plus, type Instant } from '../../core/kernel/index.js';
import {
  isOpen,
  isHeldBack,
  isOver,
  nextWake,
  observe,
  type Circumstances,
  type Decision,
  type Effect,
  type Report,
  type RolloutEvent,
  type RolloutState,
  type Target,
} from '../../core/rollout/index.js';
import { type Caller, Database, type Tx } from '../platform/index.js';
import { WAKEUPS, type Wakeups } from '../platform/queue/index.js';
import { meters } from '../platform/telemetry/index.js';
import { Chronicle } from './chronicle.js';
import { CircumstancesBook, type Version } from './circumstances.js';
import type { HeldCommand } from './tables/commands.store.js';
import { Dispatcher } from './dispatcher.js';
import {
  appendJournal,
  findRollout,
  saveRollout,
  type RolloutMeta,
} from './tables/rollouts.store.js';
import { Shelf, type Soon } from './shelf.js';
import {
  extendDeadlines,
  firstDeadline,
  releaseTargets,
  retryTargets,
  targetsInStates,
  WITHDRAWABLE,
  type StoredTarget,
  type TargetKey,
} from './tables/targets.store.js';

/** Whoever turns a switch wakes all rollouts; when that alarm is lost, this is how late it is seen. */
const HELD_BACK_LOOK_MS = MINUTE_MS;

/** A unit tells events and audit entries, which are written at rank 0 and above. */
const BEFORE_WHAT_IS_TOLD = -1;

function wakeTime(
  state: RolloutState,
  firstDeadlineAt: Instant | null,
  now: Instant,
): Instant | null {
  const at = nextWake(state, firstDeadlineAt);
  if (!isHeldBack(state)) return at;
  const look = plus(now, HELD_BACK_LOOK_MS);
  return at === null || at > look ? look : at;
}

/** The machine itself, when nobody asked. */
export const ORCHESTRATOR: Caller = {
  kind: 'system',
  id: 'orchestrator',
  name: 'rollout orchestrator',
  grants: [],
  requestId: '',
  ip: '',
};

/** A rollout held by the current transaction. */
export interface OpenRollout {
  readonly meta: RolloutMeta;
  state: RolloutState;
  journalLength: number;
  readonly journal: RolloutEvent[];
  /** Whether anything about it may be new, also when it wakes next. */
  isTouched: boolean;
}

/**
 * Rollouts and one transaction: each is read and locked once, however many reports are about it,
 * and at the end snapshot, journal, events, audit and next wake-up are written together.
 */
@Injectable()
export class RolloutUnits {
  readonly #shared = new WeakMap<Tx, RolloutUnit>();

  constructor(
    private readonly database: Database,
    private readonly dispatcher: Dispatcher,
    private readonly chronicle: Chronicle,
    private readonly book: CircumstancesBook,
    @Inject(WAKEUPS) readonly wakeups: Wakeups,
  ) {}

  begin(
    tx: Tx,
    now: Instant,
    caller: Caller = ORCHESTRATOR,
    seen: UnitOptions['seen'] = null,
  ): RolloutUnit {
    return new RolloutUnit({ tx, now, caller, seen, ...this.#rooms() });
  }

  /**
   * The one unit of a transaction that many works share: what the first of them read the others need not read again,
   * and all of it is written once, before the commit.
   */
  shared(tx: Tx, now: Instant): RolloutUnit {
    const known = this.#shared.get(tx);
    if (known !== undefined) return known;
    const unit = this.begin(tx, now, ORCHESTRATOR, new Map());
    this.#shared.set(tx, unit);
    tx.beforeCommit(this, () => unit.finish(), BEFORE_WHAT_IS_TOLD);
    return unit;
  }

  /** What holds for a group now. */
  circumstancesOf(groupId: string, now: Instant): Promise<Circumstances> {
    return this.book.of(this.database.read, groupId, now);
  }

  #rooms(): Rooms {
    const { database, dispatcher, chronicle, book, wakeups } = this;
    return { database, dispatcher, chronicle, book, wakeups };
  }
}

interface Rooms {
  readonly database: Database;
  readonly dispatcher: Dispatcher;
  readonly chronicle: Chronicle;
  readonly book: CircumstancesBook;
  readonly wakeups: Wakeups;
}

interface UnitOptions extends Rooms {
  readonly tx: Tx;
  readonly now: Instant;
  readonly caller: Caller;
  /** What holds for groups, as it was seen first; null: looked up each time, since this transaction may change it. */
  readonly seen: Map<string, Promise<Circumstances>> | null;
}

export class RolloutUnit {
  readonly #options: UnitOptions;
  readonly #rollouts = new Map<string, OpenRollout>();
  readonly #shelf: Shelf;

  constructor(options: UnitOptions) {
    this.#options = options;
    this.#shelf = new Shelf(options.tx, options.now, options.database.kind);
  }

  get now(): Instant {
    return this.#options.now;
  }

  get caller(): Caller {
    return this.#options.caller;
  }

  /** The rollout, locked until the transaction ends; null when there is none. */
  async open(id: string): Promise<OpenRollout | null> {
    const known = this.#rollouts.get(id);
    if (known !== undefined) return known;
    const { tx, database } = this.#options;
    const stored = await findRollout(tx, id, database.kind);
    if (stored === null) return null;
    return this.#hold({ ...stored, journal: [], isTouched: false });
  }

  /** A rollout that this transaction has just inserted. */
  adopt(meta: RolloutMeta, state: RolloutState): OpenRollout {
    return this.#hold({ meta, state, journalLength: 0, journal: [], isTouched: true });
  }

  /** What holds for a group (a rollout's, or a node's below it) and a release, as this transaction sees it. */
  circumstancesOf(groupId: string, release: Version): Promise<Circumstances> {
    const { book, tx, now, seen } = this.#options;
    const key = `${groupId} ${release.product} ${release.version}`;
    const found = seen?.get(key) ?? book.of(tx, groupId, now, release);
    seen?.set(key, found);
    return found;
  }

  /** Reads together what works of this transaction will ask for. */
  expect(commandIds: Iterable<string>, targets: readonly TargetKey[] = []): Promise<void> {
    return this.#shelf.expect(commandIds, targets);
  }
  expectTargets(keys: readonly TargetKey[]): Promise<void> {
    return this.#shelf.expectTargets(keys);
  }

  /** As this transaction sees it; null when there is none. `soon` are others that will be asked for. */
  command(id: string, soon: () => Iterable<Soon> = () => []): Promise<HeldCommand | null> {
    return this.#shelf.command(id, soon);
  }

  /** As this transaction sees it; null when there is none. */
  target({ meta }: OpenRollout, nodeId: string): Promise<StoredTarget | null> {
    return this.#shelf.target(meta.id, nodeId);
  }

  /** A node has answered a command that goes on, or is over with it. */
  answered(commandId: string, status: 'accepted' | 'closed'): void {
    this.#shelf.end(commandId, status);
  }

  /** How many nodes of a rollout but one are down, at most `most`; nobody else counts until this transaction ends. */
  down({ meta }: OpenRollout, but: string, most: number): Promise<number> {
    return this.#shelf.down(meta.id, { but, most });
  }

  /** Takes over what was decided and carries out its effects. */
  async apply(rollout: OpenRollout, decision: Decision): Promise<void> {
    rollout.state = decision.rollout;
    rollout.isTouched ||= decision.events.length > 0;
    rollout.journal.push(...decision.events);
    if (decision.effects.length === 0) return;
    await this.#shelf.settle();
    for (const effect of decision.effects) await this.#carryOut(rollout, effect);
    this.#shelf.forget();
  }

  /** Tells the machine one thing about one target, and takes over what it makes of it. */
  async hear(rollout: OpenRollout, target: Target, report: Report): Promise<void> {
    const seen = observe(rollout.state, target, report, this.now);
    if (seen.target !== target) await this.#store(rollout, seen.target);
    await this.apply(rollout, seen.decision);
  }

  /** A command that has ended is closed. */
  async #store(rollout: OpenRollout, target: Target): Promise<void> {
    rollout.isTouched = true;
    this.#shelf.move(rollout.meta.id, target);
    const hasEnded = !isOpen(target.state) && target.state !== 'silent';
    if (hasEnded && target.commandId !== null) {
      // Who came to the version by hand says nothing of how long a command takes.
      const isOurs = target.state === 'succeeded' && target.reason !== 'arrived_by_hand';
      this.#shelf.end(target.commandId, isOurs ? 'succeeded' : 'closed');
    }
    // Of a transaction of its own, whoever began it may read the tables between two reports.
    if (this.#options.seen === null) await this.#shelf.settle();
  }

  /** Writes everything that was decided, and nothing where nothing was; to be called once, last. */
  async finish(): Promise<void> {
    const { tx, caller, chronicle, wakeups } = this.#options;
    const touched = [...this.#rollouts.values()].filter(({ isTouched }) => isTouched);
    const [, deadlines] = await Promise.all([
      this.#shelf.settle(),
      Promise.all(touched.map(({ meta }) => firstDeadline(tx, meta.id))),
    ]);
    for (const [index, rollout] of touched.entries()) {
      const { meta, state, journal } = rollout;
      const wakeAt = wakeTime(state, deadlines[index] ?? null, this.#options.now);
      await Promise.all([
        appendJournal(tx, meta.id, rollout.journalLength, journal),
        saveRollout(tx, state, rollout.journalLength + journal.length, wakeAt),
        chronicle.record(tx, rollout, journal, caller),
        isOver(state.status) ? releaseTargets(tx, meta.id) : undefined,
      ]);
      tx.afterCommit(() => {
        for (const { type } of journal) meters.count('bellwether_rollout_events_total', type);
        if (wakeAt === null) wakeups.disarm(meta.id);
        else wakeups.arm(meta.id, wakeAt);
      });
    }
  }

  #hold(rollout: OpenRollout): OpenRollout {
    this.#rollouts.set(rollout.meta.id, rollout);
    return rollout;
  }

  async #carryOut(rollout: OpenRollout, effect: Effect): Promise<void> {
    const { tx, now } = this.#options;
    const { id } = rollout.meta;
    switch (effect.kind) {
      case 'offer': {
        const { wave, count: limit } = effect;
        await this.#offer(rollout, await targetsInStates(tx, id, ['pending'], { wave, limit }));
        break;
      }
      case 'retry':
        await retryTargets(tx, id, effect.wave, now);
        break;
      case 'withdraw':
        await this.#end(rollout, await targetsInStates(tx, id, WITHDRAWABLE, {}), 'cancelled');
        break;
      case 'skip': {
        const { wave } = effect;
        const pending = await targetsInStates(tx, id, ['pending'], { wave });
        await this.#end(rollout, pending, 'wave_skipped');
        break;
      }
      case 'expire': {
        const late = await targetsInStates(tx, id, [...WITHDRAWABLE, 'silent'], {});
        const absent = late.filter(({ reason }) => reason !== 'lost_after_permit');
        await this.#end(rollout, absent, 'expired');
        break;
      }
      case 'extend_deadlines':
        await extendDeadlines(tx, id, plus(now, rollout.state.plan.nodeDeadlineMs));
        break;
    }
  }

  async #offer({ meta, state }: OpenRollout, targets: readonly StoredTarget[]): Promise<void> {
    const { tx, now, dispatcher } = this.#options;
    const deadlineAt = plus(now, state.plan.nodeDeadlineMs);
    await dispatcher.offer(tx, meta, targets, { now, deadlineAt, expiresAt: state.plan.expiresAt });
  }

  async #end(
    { meta, state }: OpenRollout,
    targets: readonly StoredTarget[],
    how: 'cancelled' | 'wave_skipped' | 'expired',
  ): Promise<void> {
    const { tx, now, dispatcher } = this.#options;
    const end =
      how === 'cancelled'
        ? ({ state: 'cancelled', reason: state.reason, now } as const)
        : ({ state: 'skipped', reason: how, now } as const);
    await dispatcher.withdraw(tx, meta, targets, end);
  }
}
