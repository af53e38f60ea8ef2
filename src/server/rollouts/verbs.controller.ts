import { Controller } from '@nestjs/common';
import { MINUTE_MS } from '../../core/kernel/index.js';
import type { Verb } from '../../core/rollout/index.js';
import type { Answer, Input, Rollout } from '../../protocol/api/index.js';
import { Access } from '../access/index.js';
import { PersonalProof } from '../people/index.js';
import { Endpoint, Given, personBehind, Who, type Caller } from '../platform/index.js';
import { Reverts } from './reverts.js';
import { Orchestrator } from './rollouts.orchestrator.js';
import { rolloutView } from './rollout.view.js';
import { Visible } from './visible.js';

/** Steering rollouts. Each verb answers with the rollout as it is then. */
@Controller()
export class VerbsController {
  constructor(
    private readonly access: Access,
    private readonly visible: Visible,
    private readonly orchestrator: Orchestrator,
    private readonly reverts: Reverts,
    private readonly proof: PersonalProof,
  ) {}

  @Endpoint('rollouts.pause')
  pause(@Given() given: Input<'rollouts.pause'>, @Who() caller: Caller): Promise<Rollout> {
    return this.#steer(given.params.id, { verb: 'pause' }, caller);
  }

  @Endpoint('rollouts.resume')
  resume(@Given() given: Input<'rollouts.resume'>, @Who() caller: Caller): Promise<Rollout> {
    return this.#steer(given.params.id, { verb: 'resume' }, caller);
  }

  @Endpoint('rollouts.cancel')
  cancel(@Given() given: Input<'rollouts.cancel'>, @Who() caller: Caller): Promise<Rollout> {
    return this.#steer(given.params.id, { verb: 'cancel' }, caller);
  }

  @Endpoint('rollouts.mark_rolled_back')
  markRolledBack(
    @Given() given: Input<'rollouts.mark_rolled_back'>,
    @Who() caller: Caller,
  ): Promise<Rollout> {
    return this.#steer(given.params.id, { verb: 'mark_rolled_back' }, caller);
  }

  @Endpoint('rollouts.retry_failed')
  retryFailed(
    @Given() given: Input<'rollouts.retry_failed'>,
    @Who() caller: Caller,
  ): Promise<Rollout> {
    return this.#steer(given.params.id, { verb: 'retry_failed' }, caller);
  }

  @Endpoint('rollouts.approve')
  approve(@Given() given: Input<'rollouts.approve'>, @Who() caller: Caller): Promise<Rollout> {
    const { wave } = given.body;
    return this.#steer(
      given.params.id,
      { verb: 'approve', wave, by: personBehind(caller) },
      caller,
    );
  }

  /** A person, by an own decision and with the own factor: a token that is stolen cannot. */
  @Endpoint('rollouts.break_glass')
  async breakGlass(
    @Given() { params, body }: Input<'rollouts.break_glass'>,
    @Who() caller: Caller,
  ): Promise<Rollout> {
    const { meta } = await this.visible.toSteer(params.id, caller);
    await this.access.require(caller, 'group.upgrade', meta.groupId);
    await this.proof.require(caller, body.code);
    const forMs = body.minutes * MINUTE_MS;
    const { id: by, name: byName } = caller;
    const { reason } = body;
    return this.#steer(params.id, { verb: 'break_glass', by, byName, reason, forMs }, caller);
  }

  @Endpoint('rollouts.skip_wave')
  skipWave(@Given() given: Input<'rollouts.skip_wave'>, @Who() caller: Caller): Promise<Rollout> {
    return this.#steer(given.params.id, { verb: 'skip_wave', wave: given.body.wave }, caller);
  }

  @Endpoint('rollouts.start_wave')
  startWave(@Given() given: Input<'rollouts.start_wave'>, @Who() caller: Caller): Promise<Rollout> {
    return this.#steer(
      given.params.id,
      { verb: 'start_wave', wave: given.body.wave, by: personBehind(caller) },
      caller,
    );
  }

  @Endpoint('rollouts.mark_done')
  markDone(@Given() given: Input<'rollouts.mark_done'>, @Who() caller: Caller): Promise<Rollout> {
    return this.#steer(
      given.params.id,
      { verb: 'mark_done', wave: given.body.wave, by: personBehind(caller) },
      caller,
    );
  }

  @Endpoint('rollouts.revert')
  async revert(
    @Given() given: Input<'rollouts.revert'>,
    @Who() caller: Caller,
  ): Promise<Answer<'rollouts.revert'>> {
    const stored = await this.visible.toSteer(given.params.id, caller);
    await this.access.require(caller, 'group.upgrade', stored.meta.groupId);
    const { ids, skipped } = await this.reverts.revert(stored, caller);
    const items = await Promise.all(ids.map((id) => this.visible.rollout(id, caller)));
    return { items: items.map(rolloutView), skipped: [...skipped] };
  }

  async #steer(id: string, verb: Verb, caller: Caller): Promise<Rollout> {
    await this.visible.toSteer(id, caller);
    await this.orchestrator.verb(id, verb, caller);
    return rolloutView(await this.visible.rollout(id, caller));
  }
}
