import { Inject, Injectable } from '@nestjs/common';
import type { Logger } from 'pino';
import { FleetError, instant, plus, type Instant } from '../../core/kernel/index.js';
import { artifactFor } from '../../core/release/index.js';
import {
  advance,
  allowedVerbs,
  decide,
  isOpen,
  observe,
  planRollout,
  skipReason,
  type Plan,
  type RolloutState,
} from '../../core/rollout/index.js';
import { ACK_TIMEOUT_MS } from '../../protocol/node/index.js';
import type { FleetNode } from '../fleet/index.js';
import {
  type Caller,
  type Clock,
  CLOCK,
  Database,
  LOGGER,
  newId,
  type Tx,
} from '../platform/index.js';
import type { StoredRelease } from '../releases/index.js';
import { Chronicle } from './chronicle.js';
import { unansweredCommands } from './commands.store.js';
import { Dispatcher } from './dispatcher.js';
import { ORCHESTRATOR, RolloutUnits, type OpenRollout, type RolloutUnit } from './rollout-units.js';
import {
  claimTargets,
  dueRollouts,
  insertRollout,
  overdueTargets,
  type RolloutMeta,
  type StoredTarget,
} from './rollouts.store.js';

/** How often the sweep looks for alarms that were lost. It bounds how late a wave can start. */
const SWEEP_EVERY_MS = 5_000;
/** Rollouts and targets taken in one go, so that one transaction stays short. */
const SWEEP_BATCH = 100;
const OVERDUE_BATCH = 500;
const REPUSH_BATCH = 1_000;

export interface RolloutRequest {
  readonly scope: { readonly kind: 'node' | 'group'; readonly id: string };
  readonly groupId: string;
  readonly nodes: readonly FleetNode[];
  readonly release: StoredRelease;
  readonly plan: Plan;
  readonly wavePercents: readonly number[];
}

/**
 * Leads rollouts: loads state, asks the pure machine, and stores what it decided with journal,
 * audit, events and commands in one transaction. It keeps nothing in memory that matters: after a
 * kill -9 the next start goes on where the last commit was.
 */
@Injectable()
export class Orchestrator {
  #sweeper: NodeJS.Timeout | null = null;
  #sweeping: Promise<void> | null = null;

  constructor(
    private readonly database: Database,
    private readonly units: RolloutUnits,
    private readonly chronicle: Chronicle,
    private readonly dispatcher: Dispatcher,
    @Inject(CLOCK) private readonly clock: Clock,
    @Inject(LOGGER) private readonly log: Logger,
  ) {
    units.wakeups.onWake((id) => this.wake(id));
  }

  /** Looks for what is due at once, then again and again. */
  start(): void {
    const sweep = (): void => {
      this.#sweeping ??= this.sweep()
        .catch((error: unknown) => {
          this.log.error({ err: error }, 'sweep failed; it runs again');
        })
        .finally(() => (this.#sweeping = null));
    };
    sweep();
    this.#sweeper = setInterval(sweep, SWEEP_EVERY_MS);
    this.#sweeper.unref();
  }

  /** Waits for what runs; afterwards nothing is led on. */
  async stop(): Promise<void> {
    if (this.#sweeper !== null) clearInterval(this.#sweeper);
    await this.#sweeping;
    await this.units.wakeups.close();
  }

  /**
   * Plans, stores and starts a rollout, and answers with its id. Throws `rollout_empty` with the
   * reason for each node when nobody is left to upgrade, `release_not_for_scope` when that is
   * because of the release, `rollout_node_busy` when a node is in another active rollout.
   */
  async create(request: RolloutRequest, caller: Caller): Promise<string> {
    const now = this.#now();
    const { chosen, skipped } = choose(request);
    if (chosen.length === 0) throw nobodyLeft(request, skipped);
    const meta = metaOf(request, { caller, now, skipped });
    const { rollout, targets } = planRollout({
      id: meta.id,
      plan: request.plan,
      wavePercents: request.wavePercents,
      nodeIds: chosen.map(({ node }) => node.id),
      now,
    });
    const byId = new Map(chosen.map((one) => [one.node.id, one]));
    const stored = targets.map((target): StoredTarget => {
      const one = byId.get(target.nodeId);
      return {
        ...target,
        nodeName: one?.node.name ?? '',
        service: one?.service ?? '',
        fromVersion: one?.version ?? null,
        updatedAt: now,
      };
    });
    await this.database.transaction(async (tx) => {
      await insertRollout(tx, meta, rollout, stored);
      const busy = await claimTargets(tx, meta.id, stored);
      if (busy.length > 0) {
        throw new FleetError(
          'rollout_node_busy',
          `${busy.length} of ${stored.length} nodes are in another active rollout`,
          { context: { node_ids: busy.slice(0, 100) } },
        );
      }
      await this.chronicle.requested(tx, meta, stored.length, caller);
      const unit = this.units.begin(tx, now, caller);
      const open = unit.adopt(meta, rollout, 0);
      const started = decide(rollout, 'start', now);
      if (!started.ok) throw new FleetError(started.error.code, started.error.message);
      await unit.apply(open, started.value);
      await unit.finish();
    });
    return meta.id;
  }

  /** Throws `not_found`, or `rollout_wrong_state` with the status and the verbs that fit it. */
  async verb(id: string, verb: 'pause' | 'resume' | 'cancel', caller: Caller): Promise<void> {
    const now = this.#now();
    await this.database.transaction(async (tx) => {
      const unit = this.units.begin(tx, now, caller);
      const rollout = await unit.open(id);
      if (rollout === null) throw new FleetError('not_found', `no rollout ${id}`);
      const decision = decide(rollout.state, verb, now);
      if (!decision.ok) {
        const { status } = rollout.state;
        throw new FleetError(decision.error.code, decision.error.message, {
          context: { status, allowed: allowedVerbs(status) },
        });
      }
      await this.chronicle.verb(tx, rollout.meta, verb, caller);
      await unit.apply(rollout, decision.value);
      await unit.finish();
    });
  }

  /** Lets time pass for one rollout: overdue targets, settle times. Safe to call at any time. */
  async wake(id: string): Promise<void> {
    const now = this.#now();
    await this.database.transaction(async (tx) => {
      const unit = this.units.begin(tx, now, ORCHESTRATOR);
      const rollout = await unit.open(id);
      if (rollout === null) return;
      await this.#silence(tx, unit, rollout, now);
      await unit.apply(rollout, advance(rollout.state, now));
      await unit.finish();
    });
  }

  /** Finds alarms and commands that were lost on the way. */
  async sweep(): Promise<void> {
    const now = this.#now();
    for (const id of await dueRollouts(this.database.read, now, SWEEP_BATCH)) {
      // One that cannot be led on must not hold up the others, nor the commands.
      await this.wake(id).catch((error: unknown) => {
        this.log.error({ err: error, rolloutId: id }, 'a due rollout could not be led on');
      });
    }
    const before = plus(now, -ACK_TIMEOUT_MS);
    this.dispatcher.push(await unansweredCommands(this.database.read, before, now, REPUSH_BATCH));
  }

  async #silence(tx: Tx, unit: RolloutUnit, rollout: OpenRollout, now: Instant): Promise<void> {
    for (const target of await overdueTargets(tx, rollout.meta.id, now, OVERDUE_BATCH)) {
      // One silent node may have paused the rollout: then the others are not to blame.
      if (!isLed(rollout.state)) return;
      if (!isOpen(target.state)) continue;
      const seen = observe(rollout.state, target, { kind: 'deadline' }, now);
      await unit.store(rollout, seen.target);
      await unit.apply(rollout, seen.decision);
    }
  }

  #now(): Instant {
    return instant(this.clock.now());
  }
}

const isLed = (state: RolloutState): boolean => state.status === 'in_progress';

interface Chosen {
  readonly node: FleetNode;
  readonly service: string;
  readonly version: string | null;
}

/** Who takes part, and why the others do not. */
function choose(request: RolloutRequest): {
  readonly chosen: readonly Chosen[];
  readonly skipped: RolloutMeta['skipped'];
} {
  const { manifest } = request.release;
  const chosen: Chosen[] = [];
  const skipped: { node_id: string; reason: string }[] = [];
  for (const node of request.nodes) {
    const service = node.services.find((one) => one.product === manifest.product);
    const host = { os: node.host.os, arch: node.host.arch, variant: service?.variant ?? 'default' };
    const reason = skipReason(
      {
        nodeId: node.id,
        revoked: node.revokedAt !== null,
        canUpgrade: node.capabilities.includes('upgrade'),
        currentVersion: service?.version ?? null,
        hasService: service !== undefined,
        hasArtifact: artifactFor(manifest, host) !== undefined,
      },
      manifest.version,
    );
    if (reason === null && service !== undefined) {
      chosen.push({ node, service: service.name, version: service.version });
    } else {
      skipped.push({ node_id: node.id, reason: reason ?? 'no_such_service' });
    }
  }
  return { chosen, skipped };
}

function nobodyLeft(request: RolloutRequest, skipped: RolloutMeta['skipped']): FleetError {
  const isForRelease = skipped.some((one) => one.reason === 'no_artifact_for_host');
  const { product, version } = request.release.manifest;
  return new FleetError(
    isForRelease ? 'release_not_for_scope' : 'rollout_empty',
    `none of ${request.nodes.length} nodes in scope can take ${product} ${version}${why(skipped)}`,
    { context: { skipped: skipped.slice(0, 100) } },
  );
}

/** Such as `: 2 already_current, 1 revoked`. */
function why(skipped: RolloutMeta['skipped']): string {
  const counts = new Map<string, number>();
  for (const { reason } of skipped) counts.set(reason, (counts.get(reason) ?? 0) + 1);
  const parts = [...counts].map(([reason, count]) => `${count} ${reason}`);
  return parts.length === 0 ? '' : `: ${parts.join(', ')}`;
}

function metaOf(
  request: RolloutRequest,
  made: {
    readonly caller: Caller;
    readonly now: Instant;
    readonly skipped: RolloutMeta['skipped'];
  },
): RolloutMeta {
  const { manifest } = request.release;
  return {
    id: newId('rol'),
    groupId: request.groupId,
    scopeKind: request.scope.kind,
    scopeId: request.scope.id,
    product: manifest.product,
    version: manifest.version,
    channel: manifest.channel,
    strategy: request.plan.strategy,
    skipped: made.skipped,
    createdBy: made.caller.name,
    createdById: made.caller.id,
    createdAt: made.now,
  };
}
