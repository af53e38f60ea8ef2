import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  startRolloutManager,
  type ObedientNode,
  type RolloutManager,
} from '../../../test/support/obedient-node.js';
import { Orchestrator } from './rollouts.orchestrator.js';
import { Asks } from './asks.js';
import { CreateRollout } from '../../protocol/api/index.js';
import { systemCaller } from '../platform/index.js';

describe.each(['sqlite', 'postgres'] as const)('a node that is transferred (%s)', (kind) => {
  let manager: RolloutManager;
  let from: string;
  let to: string;
  let node: ObedientNode;
  let count = 0;
  beforeAll(async () => {
    manager = await startRolloutManager({ kind });
  }, 60_000);
  afterAll(() => manager.stop());

  async function setUp(): Promise<void> {
    count += 1;
    from = await manager.group(`from ${count}`);
    to = await manager.group(`to ${count}`);
    node = await manager.join(from, `edge-${count}`);
  }
  const wanted = () => ({ product: 'edge', version: '1.1.0', scope: { group_id: from } });
  const create = () => manager.call('rollouts.create', { body: wanted() });
  const transfer = () =>
    manager.call('nodes.transfer', { body: { node_ids: [node.id], group_id: to } });
  const groupOfNode = async () =>
    (await manager.call('nodes.show', { params: { id: node.id } })).body.group_id;

  it('between plan and start is in no rollout, and is offered nothing', async () => {
    await setUp();
    const { app } = manager.manager;
    const caller = systemCaller('spec');
    const request = await app.get(Asks).rollout(CreateRollout.parse(wanted()), caller);
    expect((await transfer()).status).toBe(200);
    const created = app.get(Orchestrator).create(request, caller);
    await expect(created).rejects.toMatchObject({
      code: 'conflict',
      context: { node_ids: [node.id] },
    });
    expect(node.link.waiting('command')).toBe(0);
    const { body } = await manager.call('rollouts.list', { query: { limit: 100 } });
    expect(body.items.filter(({ group_id: group }) => group === from)).toEqual([]);
    // Nothing was claimed: in its new group it can be upgraded at once.
    const own = { ...wanted(), scope: { group_id: to } };
    const { status, body: made } = await manager.call('rollouts.create', { body: own });
    expect(status).toBe(202);
    await manager.call('rollouts.cancel', { params: { id: made.id } });
  });

  it('at the same moment is either there without a rollout, or here with it', async () => {
    const seen = new Set<string>();
    for (let round = 0; round < 10; round += 1) {
      await setUp();
      const [made, moved] = await Promise.all(
        round % 2 === 0 ? [create(), transfer()] : [transfer(), create()].reverse(),
      );
      const isMade = (made as { status: number }).status === 202;
      const isMoved = (moved as { status: number }).status === 200;
      seen.add(`${isMade} ${isMoved}`);
      expect([isMade, isMoved]).not.toEqual([true, true]);
      expect(await groupOfNode()).toBe(isMoved ? to : from);
      if (isMade) {
        const { body } = made as Awaited<ReturnType<typeof create>>;
        await manager.call('rollouts.cancel', { params: { id: body.id } });
      } else {
        expect(node.link.waiting('command')).toBe(0);
      }
    }
    expect([...seen].some((one) => one !== 'false false')).toBe(true);
  });
});
