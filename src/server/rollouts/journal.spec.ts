import { expect, it } from 'vitest';
import { describeOnBothDatabases } from '../../../test/support/databases.js';
import {
  ann,
  lookAt,
  rolloutsOn,
  rollsOut,
  type TestRollouts,
} from '../../../test/support/rollouts.js';
import { SECOND_MS, seededRandom, type Random } from '../../core/kernel/index.js';
import { evolve, planRollout, rulesOf } from '../../core/rollout/index.js';
import type { NodeEventType } from '../../protocol/node/index.js';
import { memberOf } from './planning.js';
import { readJournal } from './tables/rollouts.store.js';

const NODES = 9;
const STEPS = 120;
const WAVE_PERCENTS = [10, 50, 100];

const TOLD: readonly NodeEventType[] = [
  'upgrade_started',
  'upgrade_downloaded',
  'upgrade_staged',
  'upgrade_swapping',
  'upgrade_probation',
  'upgrade_completed',
  'upgrade_completed',
  'upgrade_completed',
  'upgrade_rolled_back',
  'upgrade_download_failed',
  'service_healthy',
];

const oneOf = <T>(random: Random, items: readonly T[]): T => items[random.below(items.length)] as T;

/** One thing that may happen to a rollout, in any state; what does not fit is refused. */
async function step(manager: TestRollouts, id: string, random: Random): Promise<void> {
  const { targets } = await lookAt(manager.database, id);
  const target = oneOf(random, targets);
  const node = manager.identity(target.nodeId);
  const command_id = target.commandId ?? 'cmd_unknown0';
  const dice = random.below(20);
  if (dice < 10) {
    const type = oneOf(random, TOLD);
    await manager.tell(
      id,
      target.nodeId,
      type,
      type.endsWith('failed') ? 'upgrade_disk_full' : undefined,
    );
  } else if (dice < 12) {
    await manager.nodeSide.acked(node, { type: 'ack', command_id, result: 'accepted' });
  } else if (dice < 15) {
    const request = {
      type: 'permit_request',
      ask: 1,
      command_id,
      service: 'edge',
      version: '2.0.0',
    };
    await manager.nodeSide.permit(node, request as never);
  } else if (dice < 17) {
    manager.clock.advance(random.below(4) * 2 * SECOND_MS);
    await manager.orchestrator.wake(id);
  } else {
    const verb = oneOf(random, ['pause', 'resume', 'resume', 'retry_failed'] as const);
    await manager.orchestrator.verb(id, { verb }, ann).catch((error: unknown) => {
      expect(error).toMatchObject({ code: 'rollout_wrong_state' });
    });
  }
}

describeOnBothDatabases('the journal of a rollout', (openTestDatabase) => {
  it.each(['a fox', 'a hen', 'a goose'])(
    'folds to what is stored, whatever happens (seed: %s)',
    async (seed) => {
      const random = seededRandom(seed);
      const manager = rolloutsOn(await openTestDatabase());
      const { database, clock } = manager;
      // Only `step` lets time pass here.
      await manager.wakeups.close();
      const nodes = await manager.enroll(NODES);
      const asked = {
        nodes,
        wavePercents: WAVE_PERCENTS,
        terms: { nodeDeadlineMs: 10 * SECOND_MS },
      };
      const id = await manager.create(asked);
      const { meta } = await lookAt(database, id);
      const { preset, start, terms, cut } = rollsOut(asked);
      const { rollout: planned } = planRollout({
        id,
        seed: id,
        terms: { ...terms, strategy: preset.strategy, order: start.order },
        rules: rulesOf(preset, start),
        cut,
        members: nodes.map((node) => memberOf(node, '1.0.0')),
        now: meta.createdAt,
      });
      const reached = new Set<string>();
      for (let count = 0; count < STEPS; count += 1) {
        await step(manager, id, random);
        if (count === STEPS - 10)
          await manager.orchestrator.verb(id, { verb: 'cancel' }, ann).catch(() => 0);
        const { state, counts, journalLength } = await lookAt(database, id);
        const journal = await readJournal(database.read, id);
        expect(journal.reduce(evolve, planned)).toEqual(state);
        expect(journal).toHaveLength(journalLength);
        expect(state.waves.map((wave) => wave.counts)).toEqual(counts);
        reached.add(`${state.status} ${state.reason}`);
      }
      // The run went somewhere: it was not refused from its first step on.
      expect(reached.size).toBeGreaterThan(3);
      expect(clock.now()).toBeGreaterThan(meta.createdAt);
      await manager.stop();
    },
    60_000,
  );
});
