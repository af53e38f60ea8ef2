import { Inject, Injectable } from '@nestjs/common';
import { FleetError, instant, type Instant } from '../../core/kernel/index.js';
import {
  advance,
  allowedVerbs,
  decide,
  isOpen,
  isOver,
  type Circumstances,
  type Report,
  type RolloutState,
  type Verb,
} from '../../core/rollout/index.js';
import { type Caller, type Clock, CLOCK, Database, type Tx } from '../platform/index.js';
import { traced } from '../platform/telemetry/index.js';
import { Chronicle } from './chronicle.js';
import { plan, type Planned, type RolloutRequest } from './planning.js';
import { ORCHESTRATOR, RolloutUnits, type OpenRollout, type RolloutUnit } from './rollout-units.js';
import { insertRollout, openRollouts } from './tables/rollouts.store.js';
import {
  claimTargets,
  findTarget,
  overdueTargets,
  requireStillThere,
} from './tables/targets.store.js';

/** Refusals of `create` that pass by themselves: another rollout has the node, or nothing may start. */
export const LATER: readonly string[] = [
  'upgrade_already_pending',
  'rollout_node_busy',
  'upgrades_disabled',
  'conflict',
];

/** What is done with the making of a rollout, or not at all. */
export interface Along {
  readonly first?: (tx: Tx, id: string) => Promise<void>;
  /** Rollouts that are cancelled for it; those that are over meanwhile are left alone. */
  readonly supersedes?: readonly string[];
}

/** Targets taken in one go, so that one transaction stays short. */
const OVERDUE_BATCH = 500;
/** So many that come at once are told to the database. With fewer, whatever it does is soon done. */
const MANY_TARGETS = 1_000;

/**
 * Leads rollouts: loads state, asks the pure machine, and stores what it decided with journal,
 * audit, events and commands in one transaction. It keeps nothing in memory that matters: after a
 * kill -9 the next start goes on where the last commit was.
 */
@Injectable()
export class Orchestrator {
  constructor(
    private readonly database: Database,
    private readonly units: RolloutUnits,
    private readonly chronicle: Chronicle,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {
    units.wakeups.onWake((id) => this.wake(id));
  }

  /** Waits for what runs; afterwards nothing is led on. */
  async stop(): Promise<void> {
    await this.units.wakeups.close();
  }

  /** What `create` would make of a request; writes nothing. Throws what `create` throws. */
  async preview(request: RolloutRequest, caller: Caller): Promise<Planned> {
    const now = this.#now();
    return plan(request, caller, { now, circumstances: await this.#enabled(request, now) });
  }

  /**
   * Plans and stores a rollout, opens what may open, and answers with its id. Throws `rollout_empty`,
   * `release_not_for_scope` and `rollout_plan_invalid` (see `plan`), `rollout_node_busy` when a node is
   * in another active rollout, `conflict` when one was transferred since the request was read,
   * `upgrades_disabled` when the switch of the group says so. In the same transaction, before it: `first`,
   * whose refusal keeps the rollout from being made, and the end of those that it supersedes.
   */
  async create(
    request: RolloutRequest,
    caller: Caller,
    { first, supersedes = [] }: Along = {},
  ): Promise<string> {
    const planned = await this.preview(request, caller);
    const { id } = planned.meta;
    await this.database.transaction(async (tx) => {
      await first?.(tx, id);
      for (const other of supersedes) await this.#cancel(tx, other, caller);
      await this.#insert(tx, { request, planned, caller });
    });
    return id;
  }

  /**
   * Makes the rollouts that take another one back; that one is cancelled when it still runs. All of it
   * or nothing. Throws what `create` throws.
   */
  async revert(
    id: string,
    requests: readonly RolloutRequest[],
    caller: Caller,
  ): Promise<readonly string[]> {
    const ways = await Promise.all(
      requests.map(async (request) => ({ request, planned: await this.preview(request, caller) })),
    );
    const ids = ways.map(({ planned }) => planned.meta.id);
    await this.database.transaction(async (tx) => {
      const unit = this.units.begin(tx, this.#now(), caller);
      const rollout = await unit.open(id);
      if (rollout === null) throw new FleetError('not_found', `no rollout ${id}`);
      await this.chronicle.reverted(tx, rollout.meta, ids, caller);
      if (!isOver(rollout.state.status)) {
        await this.#steer(tx, unit, rollout, { verb: 'cancel' });
      }
      await unit.finish();
      for (const way of ways) await this.#insert(tx, { ...way, caller });
    });
    return ids;
  }

  /** Throws `not_found`, or `rollout_wrong_state` with the status and the verbs that fit it. */
  async verb(id: string, verb: Verb, caller: Caller): Promise<void> {
    await this.database.transaction(async (tx) => {
      const unit = this.units.begin(tx, this.#now(), caller);
      const rollout = await unit.open(id);
      if (rollout === null) throw new FleetError('not_found', `no rollout ${id}`);
      await this.#steer(tx, unit, rollout, verb);
      await unit.finish();
    });
  }

  /** Lets time pass for one rollout: overdue targets, settle times. Safe to call at any time. */
  async wake(id: string): Promise<void> {
    const attributes = { 'bellwether.rollout_id': id };
    await traced('rollout.step', { attributes, isRoot: true }, () => this.#step(id));
  }

  async #step(id: string): Promise<void> {
    const now = this.#now();
    await this.database.transaction(async (tx) => {
      const unit = this.units.begin(tx, now, ORCHESTRATOR);
      const rollout = await unit.open(id);
      if (rollout === null) return;
      // The alarm that rang is spent: it is set anew also when nothing happens.
      rollout.isTouched = true;
      await this.#silence(tx, unit, rollout);
      const circumstances = await unit.circumstancesOf(rollout.meta.groupId, rollout.meta);
      await unit.apply(rollout, advance(rollout.state, now, circumstances));
      await unit.finish();
    });
  }

  /** After a change that may concern any of them: every rollout that is not over looks again. */
  async wakeAll(): Promise<void> {
    for (const id of await openRollouts(this.database.read))
      this.units.wakeups.arm(id, this.#now());
  }

  /** Tells the machine something about one target that no event of the node says. Idempotent. */
  async hear(rolloutId: string, nodeId: string, report: Report): Promise<void> {
    await this.database.transaction(async (tx) => {
      const unit = this.units.begin(tx, this.#now(), ORCHESTRATOR);
      const rollout = await unit.open(rolloutId);
      const target = rollout && (await findTarget(tx, rolloutId, nodeId));
      if (rollout === null || target === null) return;
      await unit.hear(rollout, target, report);
      await unit.finish();
    });
  }

  async #insert(
    tx: Tx,
    { request, planned, caller }: { request: RolloutRequest; planned: Planned; caller: Caller },
  ): Promise<void> {
    const { meta, rollout, targets } = planned;
    await insertRollout(tx, meta, rollout, targets);
    const busy = await claimTargets(tx, meta.id, targets);
    if (busy.length > 0) throw nodesBusy(request, busy, targets.length);
    const taking = new Set(targets.map(({ nodeId }) => nodeId));
    const nodes = request.nodes.filter(({ id }) => taking.has(id));
    await requireStillThere(tx, nodes, this.database.kind);
    await this.chronicle.requested(tx, meta, targets.length, caller);
    if (targets.length >= MANY_TARGETS) {
      tx.afterCommit(() => void this.database.haveGrown(['rollout_targets', 'active_targets']));
    }
    const now = meta.createdAt;
    const unit = this.units.begin(tx, now, caller);
    const open = unit.adopt(meta, rollout);
    await unit.apply(open, advance(rollout, now, await unit.circumstancesOf(meta.groupId, meta)));
    await unit.finish();
  }

  async #cancel(tx: Tx, id: string, caller: Caller): Promise<void> {
    const unit = this.units.begin(tx, this.#now(), caller);
    const rollout = await unit.open(id);
    if (rollout !== null && !isOver(rollout.state.status)) {
      await this.#steer(tx, unit, rollout, { verb: 'cancel' });
    }
    await unit.finish();
  }

  async #steer(tx: Tx, unit: RolloutUnit, rollout: OpenRollout, verb: Verb): Promise<void> {
    const { status } = rollout.state;
    const circumstances = await unit.circumstancesOf(rollout.meta.groupId, rollout.meta);
    const decision = decide(rollout.state, verb, { now: unit.now, circumstances });
    if (!decision.ok) {
      throw new FleetError(decision.error.code, decision.error.message, {
        context: { status, allowed: allowedVerbs(status) },
      });
    }
    await this.chronicle.verb(tx, rollout.meta, verb, unit.caller);
    await unit.apply(rollout, decision.value);
  }

  async #silence(tx: Tx, unit: RolloutUnit, rollout: OpenRollout): Promise<void> {
    for (const target of await overdueTargets(tx, rollout.meta.id, unit.now, OVERDUE_BATCH)) {
      // One silent node may have paused the rollout: then the others are not to blame.
      if (!isLed(rollout.state)) return;
      if (!isOpen(target.state)) continue;
      await unit.hear(rollout, target, { kind: 'deadline' });
    }
  }

  /** What holds for the group; throws when that forbids new rollouts. */
  async #enabled({ scope }: RolloutRequest, now: Instant): Promise<Circumstances> {
    const circumstances = await this.units.circumstancesOf(scope.groupId, now);
    if (circumstances.mode !== 'disabled') return circumstances;
    throw new FleetError('upgrades_disabled', 'upgrades are switched off for this group');
  }

  #now(): Instant {
    return instant(this.clock.now());
  }
}

const isLed = (state: RolloutState): boolean => state.status === 'in_progress';

/** For one node the answer has the name that its API always had: something is pending already. */
function nodesBusy(request: RolloutRequest, busy: readonly string[], total: number): FleetError {
  const context = { node_ids: busy.slice(0, 100) };
  return request.kind === 'node'
    ? new FleetError('upgrade_already_pending', 'the node is in another active rollout', {
        context,
      })
    : new FleetError(
        'rollout_node_busy',
        `${busy.length} of ${total} nodes are in another active rollout`,
        { context },
      );
}
