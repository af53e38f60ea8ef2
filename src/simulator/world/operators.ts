import { FleetError, HOUR_MS, instant, MINUTE_MS } from '../../core/kernel/index.js';
import { isOver, type Verb } from '../../core/rollout/index.js';
import type { Chance } from './chance.js';
import type { Manager } from './manager.js';
import { findRollout, newId, oneNode, type Caller, type StoredRollout } from './parts.js';
import { GROUPS, ROOT_GROUP, scopeOf, termsOf, VERSIONS } from './scenario.js';
import type { Watch } from './checks/watch.js';
import type { WatchedRollout } from './checks/watched-rollout.js';

/** A failed rollout is resumed so often; then the operators take the failures as they are. */
const RESUMES_MAX = 2;

const person = (name: string): Caller => ({
  kind: 'token',
  id: `tok_${name}`,
  name,
  grants: [{ role: 'super_admin' }],
  requestId: `req_${name}`,
  ip: '192.0.2.7',
});
const PEOPLE = [person('ann'), person('bob'), person('eve')] as const;

/** What the API answers people every day; anything else that is thrown at them is a mistake of ours. */
const USUAL = new Set([
  'rollout_wrong_state',
  'rollout_wave_unknown',
  'rollout_empty',
  'rollout_node_busy',
  'rollout_plan_invalid',
  'upgrade_already_pending',
  'upgrades_disabled',
  'release_not_for_scope',
  'not_found',
  'unavailable',
]);
export const isUsual = (error: unknown): boolean =>
  error instanceof FleetError && USUAL.has(error.code);

export interface OperatorsOptions {
  readonly chance: Chance;
  readonly watch: Watch;
  readonly now: () => number;
  readonly say: (what: string) => void;
}

/** The people at the console: at first at random, at the end to let everything come to its end. */
export class Operators {
  readonly #options: OperatorsOptions;
  readonly #resumes = new Map<string, number>();
  readonly #freezes: string[] = [];

  constructor(options: OperatorsOptions) {
    this.#options = options;
  }

  /** Something, whether it makes sense or not. */
  async act(manager: Manager): Promise<void> {
    const { chance } = this.#options;
    const running = this.#running();
    const rollout = running.length > 0 ? chance.pick(running) : null;
    const luck = chance.next();
    if (luck < 0.05) await this.#switch(manager);
    else if (luck < 0.09) await this.#freeze(manager);
    else if (luck < 0.11) await this.#thaw(manager);
    else if (luck < 0.3) await this.help(manager);
    else if (luck < 0.4 || this.#all().length === 0) await this.create(manager);
    else if (luck < 0.44) await this.#upgradeOne(manager);
    else if (luck < 0.5) await this.#revert(manager);
    else if (rollout !== null) await this.#verb(manager, rollout.meta.id, this.#anyVerb(rollout));
    else if (this.#all().length > 0) {
      const any = chance.pick(this.#all());
      await this.#verb(manager, any.meta.id, { verb: 'mark_rolled_back' });
    }
  }

  /** A rollout of any kind to nodes that may be in another. */
  async create(manager: Manager): Promise<void> {
    const { chance, now, say, watch } = this.#options;
    const terms = termsOf(chance, now());
    const scope = scopeOf(chance, [...watch.nodes.keys()]);
    const release = await manager.releases.find(
      'edge',
      chance.pick(['2.0.0', '2.0.0', '3.0.0']),
      'stable',
    );
    if (release === null) return;
    const nodes = await manager.scopes.nodesOf(scope);
    say(`ask for ${terms.preset.strategy} to ${release.manifest.version} in ${scope.groupId}`);
    const request = { ...terms, scope, nodes, release, problems: [] };
    await manager.orchestrator.create(request, chance.pick(PEOPLE));
  }

  /** At the end: switches on. Freezes pass by themselves. */
  async allowAll(manager: Manager): Promise<void> {
    for (const groupId of [ROOT_GROUP, ...GROUPS]) {
      const own = await manager.book.switchOf(manager.database.read, groupId);
      if (own !== null && own.mode !== 'enabled')
        await this.#setSwitch(manager, groupId, 'enabled');
    }
  }

  /** Does for each rollout what waits for people. */
  async help(manager: Manager): Promise<void> {
    for (const { meta } of this.#running()) {
      const stored = await findRollout(manager.database.read, meta.id);
      if (stored === null || isOver(stored.state.status)) continue;
      await this.#approveAll(manager, stored);
      if (stored.state.status === 'paused') await this.#goOn(manager, stored);
    }
  }

  async #approveAll(manager: Manager, { meta, state }: StoredRollout): Promise<void> {
    for (const wave of state.waves) {
      if (wave.status !== 'pending' || wave.reason !== 'waiting_for_approval') continue;
      for (const { id } of PEOPLE) {
        if (wave.approvedBy.includes(id)) continue;
        await this.#verb(manager, meta.id, { verb: 'approve', wave: wave.index, by: id });
      }
    }
  }

  async #goOn(manager: Manager, { meta, state }: StoredRollout): Promise<void> {
    const times = this.#resumes.get(meta.id) ?? 0;
    this.#resumes.set(meta.id, times + 1);
    if (times >= RESUMES_MAX) {
      // Known by now: the release is bad on some nodes. "I know, go on."
      for (const { index, status } of state.waves) {
        if (status !== 'open' && status !== 'settling') continue;
        await this.#verb(manager, meta.id, { verb: 'mark_done', wave: index, by: 'tok_ann' });
      }
    }
    await this.#verb(manager, meta.id, { verb: 'resume' });
  }

  #all(): WatchedRollout[] {
    return [...this.#options.watch.rollouts.values()];
  }

  #running(): WatchedRollout[] {
    return this.#all().filter(({ folded }) => !isOver(folded.status));
  }

  #anyVerb({ folded }: WatchedRollout): Verb {
    const { chance } = this.#options;
    const wave = chance.int(0, folded.waves.length - 1);
    const { id: by } = chance.pick(PEOPLE);
    return chance.pick<Verb>([
      { verb: 'pause' },
      { verb: 'pause' },
      { verb: 'resume' },
      { verb: 'resume' },
      { verb: 'resume' },
      { verb: 'retry_failed' },
      { verb: 'approve', wave, by },
      { verb: 'approve', wave, by },
      { verb: 'skip_wave', wave },
      { verb: 'start_wave', wave, by: 'tok_ben' },
      { verb: 'mark_done', wave, by: 'tok_ben' },
      ...(chance.hit(0.3)
        ? [{ verb: 'cancel' } as const, { verb: 'mark_rolled_back' } as const]
        : []),
    ]);
  }

  async #verb(manager: Manager, id: string, verb: Verb): Promise<void> {
    const wave = 'wave' in verb ? ` wave ${verb.wave}` : '';
    this.#options.say(`${verb.verb}${wave} of ${id}`);
    try {
      await manager.orchestrator.verb(id, verb, this.#options.chance.pick(PEOPLE));
    } catch (error) {
      if (!isUsual(error)) throw error;
      this.#options.say(`are refused: ${(error as Error).message}`);
    }
  }

  async #switch(manager: Manager): Promise<void> {
    const { chance } = this.#options;
    const mode = chance.pick(['enabled', 'enabled', 'enabled', 'suspended', 'disabled'] as const);
    await this.#setSwitch(manager, chance.pick([ROOT_GROUP, ...GROUPS]), mode);
  }

  async #setSwitch(
    manager: Manager,
    groupId: string,
    mode: 'enabled' | 'suspended' | 'disabled',
  ): Promise<void> {
    this.#options.say(`set the switch of ${groupId} to ${mode}`);
    const setAt = instant(this.#options.now());
    await manager.database.transaction((tx) =>
      manager.book.set(tx, { groupId, mode, note: '', setBy: 'ann', setAt }),
    );
    await manager.orchestrator.wakeAll();
  }

  async #freeze(manager: Manager): Promise<void> {
    const { chance, now, say } = this.#options;
    const groupId = chance.pick([ROOT_GROUP, ...GROUPS]);
    const from = instant(now() + chance.pick([0, 0, 10 * MINUTE_MS]));
    const to = instant(from + chance.spread(MINUTE_MS, 3 * HOUR_MS));
    const id = newId('frz');
    this.#freezes.push(id);
    say(`freeze ${groupId} for ${Math.round((to - from) / MINUTE_MS)} min`);
    const made = {
      id,
      groupId,
      name: 'freeze',
      from,
      to,
      createdBy: 'ann',
      createdAt: instant(now()),
    };
    await manager.database.transaction((tx) => manager.book.freeze(tx, made));
    await manager.orchestrator.wakeAll();
  }

  async #thaw(manager: Manager): Promise<void> {
    const id = this.#freezes.pop();
    if (id === undefined) return;
    this.#options.say(`take ${id} back`);
    await manager.database.transaction((tx) => manager.book.thaw(tx, id));
    await manager.orchestrator.wakeAll();
  }

  async #upgradeOne(manager: Manager): Promise<void> {
    const { chance, watch, say } = this.#options;
    const node = await manager.nodes.find(chance.pick([...watch.nodes.keys()]));
    const release = await manager.releases.find('edge', chance.pick(VERSIONS), 'stable');
    if (node === null || release === null) return;
    say(`upgrade ${node.name} alone to ${release.manifest.version}`);
    await manager.orchestrator.create(oneNode(node, release), chance.pick(PEOPLE));
  }

  async #revert(manager: Manager): Promise<void> {
    const { chance, say } = this.#options;
    if (this.#all().length === 0) return;
    const { meta } = chance.pick(this.#all());
    const stored = await findRollout(manager.database.read, meta.id);
    if (stored === null) return;
    say(`revert ${meta.id}`);
    await manager.reverts.revert(stored, chance.pick(PEOPLE));
  }
}
