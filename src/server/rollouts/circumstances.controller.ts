import { Controller, Inject } from '@nestjs/common';
import { FleetError, instant, toIso } from '../../core/kernel/index.js';
import type { Answer, Input } from '../../protocol/api/index.js';
import { Access } from '../access/index.js';
import { AuditLog } from '../audit/index.js';
import {
  type Caller,
  type Clock,
  CLOCK,
  Database,
  Endpoint,
  Given,
  newId,
  Who,
} from '../platform/index.js';
import { CircumstancesBook, type StoredFreeze } from './circumstances.js';
import { Orchestrator } from './rollouts.orchestrator.js';

type FreezeView = Answer<'groups.freeze'>;

/** The switch and the freezes of groups. Whoever changes one wakes every rollout. */
@Controller()
export class CircumstancesController {
  constructor(
    private readonly database: Database,
    private readonly access: Access,
    private readonly audit: AuditLog,
    private readonly book: CircumstancesBook,
    private readonly orchestrator: Orchestrator,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  @Endpoint('groups.switch')
  async show(
    @Given() { params }: Input<'groups.switch'>,
    @Who() caller: Caller,
  ): Promise<Answer<'groups.switch'>> {
    await this.access.require(caller, 'rollout.view', params.id);
    return this.#view(params.id);
  }

  @Endpoint('groups.set_switch')
  async set(
    @Given() { params, body }: Input<'groups.set_switch'>,
    @Who() caller: Caller,
  ): Promise<Answer<'groups.set_switch'>> {
    await this.access.require(caller, 'group.upgrade', params.id);
    await this.database.transaction(async (tx) => {
      const setAt = instant(this.clock.now());
      const { mode, note } = body;
      await this.book.set(tx, { groupId: params.id, mode, note, setBy: caller.name, setAt });
      await this.#audit(tx, 'group.switch', {
        caller,
        groupId: params.id,
        details: { mode, note },
      });
    });
    await this.orchestrator.wakeAll();
    return this.#view(params.id);
  }

  @Endpoint('groups.freezes')
  async freezes(
    @Given() { params }: Input<'groups.freezes'>,
    @Who() caller: Caller,
  ): Promise<Answer<'groups.freezes'>> {
    await this.access.require(caller, 'rollout.view', params.id);
    const freezes = await this.book.freezesOn(this.database.read, params.id);
    return { items: freezes.map(freezeView) };
  }

  @Endpoint('groups.freeze')
  async freeze(
    @Given() { params, body }: Input<'groups.freeze'>,
    @Who() caller: Caller,
  ): Promise<FreezeView> {
    await this.access.require(caller, 'group.upgrade', params.id);
    const freeze: StoredFreeze = {
      id: newId('frz'),
      groupId: params.id,
      name: body.name,
      from: instant(Date.parse(body.from)),
      to: instant(Date.parse(body.to)),
      createdBy: caller.name,
      createdAt: instant(this.clock.now()),
    };
    await this.database.transaction(async (tx) => {
      await this.book.freeze(tx, freeze);
      const { name, from, to } = body;
      const details = { freeze_id: freeze.id, name, from, to };
      await this.#audit(tx, 'group.freeze', { caller, groupId: params.id, details });
    });
    await this.orchestrator.wakeAll();
    return freezeView(freeze);
  }

  @Endpoint('groups.thaw')
  async thaw(@Given() { params }: Input<'groups.thaw'>, @Who() caller: Caller): Promise<void> {
    await this.access.require(caller, 'group.upgrade', params.id);
    const freeze = await this.book.findFreeze(this.database.read, params.freeze);
    if (freeze?.groupId !== params.id) throw new FleetError('not_found', 'no such freeze here');
    await this.database.transaction(async (tx) => {
      await this.book.thaw(tx, params.freeze);
      const details = { freeze_id: params.freeze, name: freeze.name };
      await this.#audit(tx, 'group.thaw', { caller, groupId: params.id, details });
    });
    await this.orchestrator.wakeAll();
  }

  #audit(
    tx: Parameters<AuditLog['append']>[0],
    action: 'group.switch' | 'group.freeze' | 'group.thaw',
    did: {
      readonly caller: Caller;
      readonly groupId: string;
      readonly details: Readonly<Record<string, string>>;
    },
  ): Promise<void> {
    const { caller, groupId, details } = did;
    return this.audit.append(tx, {
      caller,
      action,
      targetKind: 'group',
      targetId: groupId,
      groupId,
      outcome: 'allowed',
      details,
    });
  }

  async #view(groupId: string): Promise<Answer<'groups.switch'>> {
    const own = await this.book.switchOf(this.database.read, groupId);
    const now = instant(this.clock.now());
    const { mode } = await this.book.of(this.database.read, groupId, now);
    return {
      group_id: groupId,
      mode: own?.mode ?? 'enabled',
      effective_mode: mode,
      note: own?.note ?? '',
      set_by: own?.setBy ?? null,
      set_at: own === null ? null : toIso(own.setAt),
    };
  }
}

const freezeView = (freeze: StoredFreeze): FreezeView => ({
  id: freeze.id,
  group_id: freeze.groupId,
  name: freeze.name,
  from: toIso(freeze.from),
  to: toIso(freeze.to),
  created_by: freeze.createdBy,
  created_at: toIso(freeze.createdAt),
});
