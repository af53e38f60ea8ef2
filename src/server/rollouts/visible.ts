import { Injectable } from '@nestjs/common';
import { FleetError } from '../../core/kernel/index.js';
import { Access, Whereabouts } from '../access/index.js';
import { type Caller, Database } from '../platform/index.js';
import { findRollout, type StoredRollout } from './tables/rollouts.store.js';

/** Rollouts as far as a caller may see them. */
@Injectable()
export class Visible {
  constructor(
    private readonly database: Database,
    private readonly access: Access,
    whereabouts: Whereabouts,
  ) {
    whereabouts.use('rollouts', async (id) => {
      const rollout = await findRollout(this.database.read, id);
      return rollout?.meta.groupId ?? null;
    });
  }

  /** Throws `not_found`, also for what the caller may not see. */
  async rollout(id: string, caller: Caller): Promise<StoredRollout> {
    const rollout = await findRollout(this.database.read, id);
    if (rollout === null) throw new FleetError('not_found', `no rollout ${id}`);
    await this.access.require(caller, 'rollout.view', rollout.meta.groupId);
    return rollout;
  }

  /**
   * The same for whoever steers it. Whoever may start a rollout may: for one node an operator, for a
   * group its admin.
   */
  async toSteer(id: string, caller: Caller): Promise<StoredRollout> {
    const rollout = await this.rollout(id, caller);
    const { scopeKind, groupId } = rollout.meta;
    const needed = scopeKind === 'node' ? 'rollout.control' : 'group.upgrade';
    await this.access.require(caller, needed, groupId);
    return rollout;
  }
}
