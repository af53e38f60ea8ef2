import { Inject, Injectable } from '@nestjs/common';
import { plus, type Instant } from '../../core/kernel/index.js';
import {
  isOpen,
  nextWake,
  type Decision,
  type Effect,
  type RolloutEvent,
  type RolloutState,
  type Target,
} from '../../core/rollout/index.js';
import { type Caller, Database, type Tx } from '../platform/index.js';
import { WAKEUPS, type Wakeups } from '../platform/queue/index.js';
import { Chronicle } from './chronicle.js';
import { setCommandStatus } from './commands.store.js';
import { Dispatcher } from './dispatcher.js';
import {
  appendJournal,
  extendDeadlines,
  findRollout,
  firstDeadline,
  releaseTargets,
  saveRollout,
  saveTarget,
  targetsInStates,
  WITHDRAWABLE,
  type RolloutMeta,
  type StoredTarget,
} from './rollouts.store.js';

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
}

/**
 * Rollouts and one transaction: each is read and locked once, however many reports are about it,
 * and at the end snapshot, journal, events, audit and next wake-up are written together.
 */
@Injectable()
export class RolloutUnits {
  constructor(
    private readonly database: Database,
    private readonly dispatcher: Dispatcher,
    private readonly chronicle: Chronicle,
    @Inject(WAKEUPS) readonly wakeups: Wakeups,
  ) {}

  begin(tx: Tx, now: Instant, caller: Caller = ORCHESTRATOR): RolloutUnit {
    const { database, dispatcher, chronicle, wakeups } = this;
    return new RolloutUnit({ tx, now, caller, database, dispatcher, chronicle, wakeups });
  }
}

interface UnitOptions {
  readonly tx: Tx;
  readonly now: Instant;
  readonly caller: Caller;
  readonly database: Database;
  readonly dispatcher: Dispatcher;
  readonly chronicle: Chronicle;
  readonly wakeups: Wakeups;
}

export class RolloutUnit {
  readonly #options: UnitOptions;
  readonly #rollouts = new Map<string, OpenRollout>();

  constructor(options: UnitOptions) {
    this.#options = options;
  }

  /** The rollout, locked until the transaction ends; null when there is none. */
  async open(id: string): Promise<OpenRollout | null> {
    const known = this.#rollouts.get(id);
    if (known !== undefined) return known;
    const { tx, database } = this.#options;
    const stored = await findRollout(tx, id, database.kind);
    if (stored === null) return null;
    return this.adopt(stored.meta, stored.state, stored.journalLength);
  }

  /** A rollout that this transaction has just inserted. */
  adopt(meta: RolloutMeta, state: RolloutState, journalLength: number): OpenRollout {
    const rollout: OpenRollout = { meta, state, journalLength, journal: [] };
    this.#rollouts.set(meta.id, rollout);
    return rollout;
  }

  /** Takes over what was decided and carries out its effects. */
  async apply(rollout: OpenRollout, decision: Decision): Promise<void> {
    rollout.state = decision.rollout;
    rollout.journal.push(...decision.events);
    for (const effect of decision.effects) await this.#carryOut(rollout, effect);
  }

  /** Stores a target that `observe` changed; a command that has ended is closed. */
  async store(rollout: OpenRollout, target: Target): Promise<void> {
    const { tx, now } = this.#options;
    await saveTarget(tx, rollout.meta.id, target, now);
    const hasEnded = !isOpen(target.state) && target.state !== 'silent';
    if (hasEnded && target.commandId !== null) {
      await setCommandStatus(tx, target.commandId, 'closed');
    }
  }

  /** Writes everything that was decided; to be called once, last. */
  async finish(): Promise<void> {
    const { tx, caller, chronicle, wakeups } = this.#options;
    for (const rollout of this.#rollouts.values()) {
      const { meta, state, journal } = rollout;
      const wakeAt = nextWake(state, await firstDeadline(tx, meta.id));
      await appendJournal(tx, meta.id, rollout.journalLength, journal);
      await saveRollout(tx, state, rollout.journalLength + journal.length, wakeAt);
      await chronicle.record(tx, rollout, journal, caller);
      const hasEnded = state.status === 'complete' || state.status === 'cancelled';
      if (hasEnded) await releaseTargets(tx, meta.id);
      tx.afterCommit(() => {
        if (wakeAt === null) wakeups.disarm(meta.id);
        else wakeups.arm(meta.id, wakeAt);
      });
    }
  }

  async #carryOut(rollout: OpenRollout, effect: Effect): Promise<void> {
    const { tx, now, dispatcher } = this.#options;
    const { meta, state } = rollout;
    const deadlineAt = plus(now, state.plan.nodeDeadlineMs);
    let targets: StoredTarget[];
    switch (effect.kind) {
      case 'offer':
        targets = await targetsInStates(tx, meta.id, ['pending'], effect.wave);
        await dispatcher.offer(tx, meta, targets, { now, deadlineAt });
        break;
      case 'retry':
        targets = await targetsInStates(
          tx,
          meta.id,
          ['failed', 'rolled_back', 'silent'],
          effect.wave,
        );
        await dispatcher.offer(tx, meta, targets, { now, deadlineAt });
        break;
      case 'withdraw':
        targets = await targetsInStates(tx, meta.id, WITHDRAWABLE, null);
        await dispatcher.withdraw(tx, meta, targets, now);
        break;
      case 'extend_deadlines':
        await extendDeadlines(tx, meta.id, deadlineAt);
        break;
    }
  }
}
