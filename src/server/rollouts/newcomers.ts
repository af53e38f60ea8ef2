import { Injectable } from '@nestjs/common';
import { FleetError, type Instant } from '../../core/kernel/index.js';
import { join, waveFor } from '../../core/rollout/index.js';
import type { FleetNode } from '../fleet/index.js';
import { Database, type Cursor } from '../platform/index.js';
import { Releases, type StoredRelease } from '../releases/index.js';
import { artifactsFor, candidacyOf, memberOf, type Candidacy } from './planning.js';
import { LATER, Orchestrator } from './rollouts.orchestrator.js';
import { ORCHESTRATOR, RolloutUnits } from './rollout-units.js';
import { findRollout, openScheduled, type StoredRollout } from './tables/rollouts.store.js';
import { Scopes } from './scope.js';
import type { Task } from './chores.js';
import { oneNode } from './one-node.js';
import { claimTargets, insertTarget, requireStillThere } from './tables/targets.store.js';

/** Nodes taken in one sweep, of each rollout. */
const BATCH = 100;

type Fit = Extract<Candidacy, { reason: null }>;

/**
 * Nodes that enroll while a scheduled rollout runs take part in it: before their ring opens they get
 * its start version, from then on the target. Other rollouts are of the nodes that were there.
 */
@Injectable()
export class Newcomers {
  /** The last one looked at, of each rollout: those that do not fit must not hide the others. */
  readonly #reached = new Map<string, Cursor>();

  constructor(
    private readonly database: Database,
    private readonly units: RolloutUnits,
    private readonly orchestrator: Orchestrator,
    private readonly scopes: Scopes,
    private readonly releases: Releases,
  ) {}

  /** One for each rollout that takes nodes that come later. */
  async tasks(now: Instant): Promise<readonly Task[]> {
    const ids = await openScheduled(this.database.read);
    for (const id of this.#reached.keys()) if (!ids.includes(id)) this.#reached.delete(id);
    return ids.map((id) => ({
      what: `nodes that came later than rollout ${id}`,
      run: () => this.#adopt(id, now),
    }));
  }

  /** Takes the next of those that one rollout has not looked at. */
  async #adopt(id: string, now: Instant): Promise<void> {
    const stored = await findRollout(this.database.read, id);
    if (stored === null) return;
    const { scope, createdAt, product, version, channel } = stored.meta;
    const release = await this.releases.find(product, version, channel);
    if (release === null) return;
    const after = this.#reached.get(id) ?? { at: createdAt, id: '' };
    const { nodes, last } = await this.scopes.newcomers(
      this.database.read,
      { id, scope, after },
      BATCH,
    );
    for (const node of nodes) await this.#take(stored, { node, release, now });
    if (last === null) this.#reached.delete(id);
    else this.#reached.set(id, last);
  }

  async #take(
    { meta, state }: StoredRollout,
    { node, release, now }: { node: FleetNode; release: StoredRelease; now: Instant },
  ): Promise<void> {
    const fit = candidacyOf(node, release.manifest);
    if (fit.reason !== null) return;
    const wave = waveFor(state, memberOf(node, fit.version));
    if (wave === null) return;
    // What the store lost would only make the node fail; the sweep comes again.
    if (!(await this.releases.areStaged(artifactsFor([node], release.manifest)))) return;
    const hasOpened = state.waves[wave]?.openedAt !== null;
    if (!hasOpened && meta.startVersion !== null && fit.version !== meta.startVersion) {
      await this.#bringToStart(node, meta);
      return;
    }
    await this.#join(meta.id, node, { fit, wave, now }).catch(later);
  }

  /** As an upgrade of its own; when that is over, the next sweep lets the node join. */
  async #bringToStart(node: FleetNode, meta: StoredRollout['meta']): Promise<void> {
    const start = await this.releases.find(meta.product, meta.startVersion ?? '', meta.channel);
    if (start === null || candidacyOf(node, start.manifest).reason !== null) return;
    await this.orchestrator.create(oneNode(node, start), ORCHESTRATOR).catch(later);
  }

  async #join(
    rolloutId: string,
    node: FleetNode,
    { fit, wave, now }: { fit: Fit; wave: number; now: Instant },
  ): Promise<void> {
    await this.database.transaction(async (tx) => {
      const unit = this.units.begin(tx, now);
      const rollout = await unit.open(rolloutId);
      const joined = rollout && join(rollout.state, { nodeId: node.id, wave }, now);
      if (rollout === null || joined === null) return;
      const { service } = fit;
      const busy = await claimTargets(tx, rolloutId, [{ nodeId: node.id, service }]);
      if (busy.length > 0) return;
      await requireStillThere(tx, [node], this.database.kind);
      await insertTarget(tx, rolloutId, {
        ...joined.target,
        nodeName: node.name,
        service,
        fromVersion: fit.version,
        updatedAt: now,
      });
      await unit.apply(rollout, joined.decision);
      await unit.finish();
    });
  }
}

/** Another rollout has it, it was transferred, or nothing may start here now: the sweep comes again. */
function later(error: unknown): void {
  if (!(error instanceof FleetError) || !LATER.includes(error.code)) throw error;
}
