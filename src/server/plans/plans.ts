import { Inject, Injectable } from '@nestjs/common';
import { FleetError, instant, toIso, type JsonValue } from '../../core/kernel/index.js';
import type { Input, Plan } from '../../protocol/api/index.js';
import { Access, Groups } from '../access/index.js';
import { AuditLog } from '../audit/index.js';
import { GroupShape } from '../fleet/index.js';
import {
  CLOCK,
  Database,
  newId,
  type Caller,
  type Clock,
  type Sql,
  type Tx,
} from '../platform/index.js';
import {
  countPlans,
  findPlan,
  holdPlan,
  insertPlan,
  plansNamed,
  removePlan,
  savePlan,
  type StoredPlan,
} from './plans.store.js';
import { checkTerms } from './request.js';

/** On one group: what people can still choose from. */
export const PLANS_MAX = 100;

/** What a request says about a stored plan. */
interface Named {
  readonly plan: string | null;
  readonly plan_id: string | null;
}

/** Stored plans: what people do with them, and which of them a group can take. */
@Injectable()
export class Plans {
  constructor(
    private readonly database: Database,
    private readonly groups: Groups,
    private readonly access: Access,
    private readonly audit: AuditLog,
    shape: GroupShape,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {
    shape.keepWhile(async (tx, groupId) => {
      const count = await countPlans(tx, groupId);
      return count === 0 ? null : `${count} plan${count === 1 ? '' : 's'}`;
    });
  }

  /**
   * The plan that a request names, null when it names none. A group can take its own plans and those of the
   * groups above it; of one name the nearest. Throws `not_found`, in one text for what is missing and
   * what lies elsewhere.
   */
  async named({ plan, plan_id: id }: Named, groupId: string): Promise<StoredPlan | null> {
    if (plan === null && id === null) return null;
    const found =
      id === null
        ? await this.#nearest(plan ?? '', await this.#above(groupId))
        : await this.inReach(id, groupId);
    if (found !== null) return found;
    const what = id ?? `named ${JSON.stringify(plan)}`;
    throw new FleetError('not_found', `no plan ${what} in this group or above it`, {
      context: { missing: 'plan' },
    });
  }

  /** By its id, when the group can take it. */
  async inReach(id: string, groupId: string, sql?: Sql): Promise<StoredPlan | null> {
    const found = await findPlan(sql ?? this.database.read, id);
    if (found === null) return null;
    return (await this.#above(groupId, sql)).includes(found.groupId) ? found : null;
  }

  /** Throws `not_found` when the caller sees neither its group nor one below it, which could take it. */
  async visible(id: string, caller: Caller): Promise<StoredPlan> {
    const found = await findPlan(this.database.read, id);
    const groups = await this.visibleGroups(caller);
    if (found !== null && (groups === 'all' || groups.includes(found.groupId))) return found;
    throw new FleetError('not_found', 'no such plan');
  }

  /** Groups whose plans a caller sees: those of his, and those above, whose plans hold below too. */
  async visibleGroups(caller: Caller): Promise<'all' | readonly string[]> {
    const own = await this.access.visibleGroups(caller, 'rollout.view');
    if (own === 'all') return 'all';
    // Of a group that was deleted, too, as far as it is his.
    return [...new Set([...own, ...(await this.groups.withAbove(own))])];
  }

  /** A group and those above it, nearest first; empty when there is no such group. */
  async #above(groupId: string, sql?: Sql): Promise<readonly string[]> {
    const group = await this.groups.find(groupId, sql);
    return group === null ? [] : [...group.path].reverse();
  }

  /** Those that a rollout of this group could take. Throws `not_found`. */
  async reachOf(groupId: string, caller: Caller): Promise<readonly string[]> {
    await this.access.require(caller, 'rollout.view', groupId);
    return this.#above(groupId);
  }

  async #nearest(name: string, groups: readonly string[]): Promise<StoredPlan | null> {
    if (groups.length === 0) return null;
    const found = await plansNamed(this.database.read, name, groups);
    for (const id of groups) {
      const plan = found.find(({ groupId }) => groupId === id);
      if (plan !== undefined) return plan;
    }
    return null;
  }

  /** Throws `rollout_plan_invalid`; `conflict` for a name that is taken, and beyond `PLANS_MAX`. */
  async create(body: Input<'plans.create'>['body'], caller: Caller): Promise<StoredPlan> {
    const { name, group_id: groupId, note, terms } = body;
    await this.#check(terms);
    const now = this.clock.now();
    const plan: StoredPlan = {
      ...{ id: newId('pln'), groupId, name, note, revision: 1, schedules: 0 },
      terms,
      ...{ createdBy: caller.name, createdAt: now, updatedBy: caller.name, updatedAt: now },
    };
    await this.database.transaction(async (tx) => {
      await this.groups.hold(tx, groupId);
      if ((await countPlans(tx, groupId)) >= PLANS_MAX) {
        throw new FleetError('conflict', `a group holds at most ${PLANS_MAX} plans`);
      }
      if (!(await insertPlan(tx, plan))) throw taken(name);
      await this.#record(tx, plan, caller, 'plan.create', { strategy: plan.terms.strategy });
    });
    return plan;
  }

  /** What is as it was stays, revision too. Throws as `create`, and `not_found`. */
  async change(
    id: string,
    body: Input<'plans.change'>['body'],
    caller: Caller,
  ): Promise<StoredPlan> {
    const { terms } = body;
    if (terms !== undefined) await this.#check(terms);
    return this.database.transaction(async (tx) => {
      const before = await this.#held(tx, id);
      const name = body.name ?? before.name;
      const isNew = terms !== undefined && JSON.stringify(terms) !== JSON.stringify(before.terms);
      const after: StoredPlan = {
        ...before,
        name,
        note: body.note ?? before.note,
        ...(isNew ? { terms, revision: before.revision + 1 } : {}),
        updatedBy: caller.name,
        updatedAt: this.clock.now(),
      };
      if (!isNew && name === before.name && after.note === before.note) return before;
      const [namesake] = await plansNamed(tx, name, [before.groupId]);
      if (namesake !== undefined && namesake.id !== id) throw taken(name);
      await savePlan(tx, after);
      const what = Object.keys(body).sort();
      await this.#record(tx, after, caller, 'plan.change', { what });
      return after;
    });
  }

  /** Throws `not_found`, `plan_in_use`. Rollouts that were made by it have all that they need. */
  async remove(id: string, caller: Caller): Promise<void> {
    await this.database.transaction(async (tx) => {
      const plan = await this.#held(tx, id);
      if (plan.schedules > 0) {
        const { schedules } = plan;
        const message = `${schedules} schedule${schedules === 1 ? ' starts' : 's start'} rollouts by it`;
        throw new FleetError('plan_in_use', message, { context: { schedules } });
      }
      await removePlan(tx, id);
      await this.#record(tx, plan, caller, 'plan.delete', {});
    });
  }

  #check(terms: StoredPlan['terms']): Promise<void> {
    return checkTerms(terms, (id) => this.groups.subtree(id), instant(this.clock.now()));
  }

  async #held(tx: Tx, id: string): Promise<StoredPlan> {
    const plan = await holdPlan(tx, id);
    if (plan === null) throw new FleetError('not_found', 'no such plan');
    return plan;
  }

  #record(
    tx: Tx,
    plan: StoredPlan,
    caller: Caller,
    action: 'plan.create' | 'plan.change' | 'plan.delete',
    more: Readonly<Record<string, JsonValue>>,
  ): Promise<void> {
    return this.audit.append(tx, {
      caller,
      action,
      targetKind: 'plan',
      targetId: plan.id,
      groupId: plan.groupId,
      outcome: 'allowed',
      details: { name: plan.name, revision: plan.revision, ...more },
    });
  }
}

const taken = (name: string): FleetError =>
  new FleetError('conflict', `the group has a plan named ${JSON.stringify(name)}`);

export const planView = (plan: StoredPlan): Plan => ({
  id: plan.id,
  name: plan.name,
  group_id: plan.groupId,
  note: plan.note,
  revision: plan.revision,
  terms: plan.terms,
  schedules: plan.schedules,
  created_by: plan.createdBy,
  created_at: toIso(instant(plan.createdAt)),
  updated_by: plan.updatedBy,
  updated_at: toIso(instant(plan.updatedAt)),
});
