import { afterEach, expect, it } from 'vitest';
import { describeOnBothDatabases } from '../../../test/support/databases.js';
import { aService } from '../../../test/support/node-link.js';
import { ann, lookAt, rolloutsOn, type TestRollouts } from '../../../test/support/rollouts.js';
import { instant, MINUTE_MS } from '../../core/kernel/index.js';

const running: TestRollouts[] = [];
afterEach(async () => {
  for (const rollouts of running.splice(0)) await rollouts.stop();
});

function managerOn(...given: Parameters<typeof rolloutsOn>): TestRollouts {
  const rollouts = rolloutsOn(...given);
  running.push(rollouts);
  return rollouts;
}

const IMMEDIATE = { strategy: 'immediate' } as const;
const atMost = (count: number) => ({ maxUnavailable: { count } });
const TOO_MANY = { granted: false, reason: 'too_many_nodes_down' };
const GRANTED = { granted: true };

describeOnBothDatabases('a limit on nodes that are down', (openTestDatabase) => {
  it('lets so many swap and the next one when one has ended, however it ended', async () => {
    const manager = managerOn(await openTestDatabase());
    const nodes = await manager.enroll(4);
    const [one, two, three, four] = nodes.map((node) => node.id);
    if (!one || !two || !three || !four) throw new Error('no nodes');
    const id = await manager.create({ nodes, preset: IMMEDIATE, terms: atMost(2) });
    const ask = (nodeId: string) => manager.ask(id, nodeId);
    expect(await ask(one)).toMatchObject(GRANTED);
    expect(await ask(two)).toMatchObject(GRANTED);
    expect(await ask(three)).toMatchObject(TOO_MANY);
    // Who has its permit keeps it when the answer was lost.
    expect(await ask(one)).toMatchObject(GRANTED);
    await manager.tell(id, one, 'upgrade_probation');
    expect(await ask(three)).toMatchObject(TOO_MANY);
    await manager.tell(id, one, 'upgrade_rolled_back', 'upgrade_unhealthy');
    expect(await ask(three)).toMatchObject(GRANTED);
    expect(await ask(four)).toMatchObject(TOO_MANY);
    await manager.tell(id, two, 'upgrade_completed');
    expect(await ask(four)).toMatchObject(GRANTED);
  });

  it('counts nodes that are away, whether they have had their turn or not', async () => {
    const manager = managerOn(await openTestDatabase());
    const nodes = await manager.enroll(4);
    const [one, two, three] = nodes.map((node) => node.id);
    if (!one || !two || !three) throw new Error('no nodes');
    const id = await manager.create({ nodes, preset: IMMEDIATE, terms: atMost(1) });
    await manager.presence(three, false);
    expect(await manager.ask(id, one)).toMatchObject(TOO_MANY);
    // It is not held back by itself.
    expect(await manager.ask(id, three)).toMatchObject(GRANTED);
    await manager.tell(id, three, 'upgrade_completed');
    expect(await manager.ask(id, one)).toMatchObject(TOO_MANY);
    await manager.presence(three, true);
    expect(await manager.ask(id, one)).toMatchObject(GRANTED);
    expect(await manager.ask(id, two)).toMatchObject(TOO_MANY);
    // Strangers that are down are no business of this rollout.
    const [stranger] = await manager.enroll(1);
    await manager.presence(stranger?.id ?? '', false);
    await manager.tell(id, one, 'upgrade_completed');
    expect(await manager.ask(id, two)).toMatchObject(GRANTED);
  });

  it('counts a node once, and one that swaps another service in another rollout too', async () => {
    const manager = managerOn(await openTestDatabase());
    const gate = aService({ name: 'gate', product: 'gate' });
    const nodes = await manager.enroll(3, { services: [aService(), gate] });
    const [one, two, three] = nodes.map((node) => node.id);
    if (!one || !two || !three) throw new Error('no nodes');
    const id = await manager.create({ nodes, preset: IMMEDIATE, terms: atMost(2) });
    const other = await manager.create({ nodes, product: 'gate', preset: IMMEDIATE });
    expect(await manager.ask(other, one)).toMatchObject(GRANTED);
    expect(await manager.ask(id, two)).toMatchObject(GRANTED);
    expect(await manager.ask(id, three)).toMatchObject(TOO_MANY);
    // Twice down is down once: the second service of one node takes no more room.
    expect(await manager.ask(id, one)).toMatchObject(GRANTED);
    await manager.tell(other, one, 'upgrade_completed');
    expect(await manager.ask(id, three)).toMatchObject(TOO_MANY);
    await manager.tell(id, one, 'upgrade_completed');
    expect(await manager.ask(id, three)).toMatchObject(GRANTED);
  });

  it('counts who was lost after its permit, until the rollout is over', async () => {
    const manager = managerOn(await openTestDatabase());
    const nodes = await manager.enroll(3);
    const [one, two] = nodes.map((node) => node.id);
    if (!one || !two) throw new Error('no nodes');
    const expiresAt = instant(manager.clock.now() + 10 * MINUTE_MS);
    const terms = { ...atMost(1), expiresAt };
    const id = await manager.create({ nodes, preset: IMMEDIATE, terms });
    await manager.ask(id, one);
    manager.clock.advance(2 * MINUTE_MS);
    await manager.orchestrator.wake(id);
    const { targets } = await lookAt(manager.database, id);
    expect(targets.find((target) => target.nodeId === one)).toMatchObject({
      state: 'silent',
      reason: 'lost_after_permit',
    });
    expect(await manager.ask(id, two)).toMatchObject(TOO_MANY);
    await manager.orchestrator.verb(id, { verb: 'cancel' }, ann);
    // Nobody would ever take the old word back: the next rollout looks at its own.
    const next = await manager.create({ nodes, preset: IMMEDIATE, terms: atMost(1) });
    expect(await manager.ask(next, two)).toMatchObject(GRANTED);
  });

  it('counts who is stuck on the way back until it says that it is done, and tries it no sooner', async () => {
    const manager = managerOn(await openTestDatabase());
    const nodes = await manager.enroll(3);
    const [one, two] = nodes.map((node) => node.id);
    if (!one || !two) throw new Error('no nodes');
    const id = await manager.create({ nodes, preset: IMMEDIATE, terms: atMost(1) });
    await manager.ask(id, one);
    await manager.tell(id, one, 'upgrade_rollback_failed');
    expect(await manager.ask(id, two)).toMatchObject(TOO_MANY);
    await expect(
      manager.orchestrator.verb(id, { verb: 'retry_failed' }, ann),
    ).rejects.toMatchObject({ code: 'rollout_wrong_state' });
    // Nor does the end of the rollout make it well.
    await manager.orchestrator.verb(id, { verb: 'cancel' }, ann);
    const next = await manager.create({ nodes, preset: IMMEDIATE, terms: atMost(1) });
    expect(await manager.ask(next, two)).toMatchObject(TOO_MANY);
    await manager.tell(id, one, 'upgrade_rolled_back');
    expect(await manager.ask(next, two)).toMatchObject(GRANTED);
  });

  it('counts who still swaps for a cancelled rollout, until its deadline', async () => {
    const manager = managerOn(await openTestDatabase());
    const nodes = await manager.enroll(3);
    const [one, two] = nodes.map((node) => node.id);
    if (!one || !two) throw new Error('no nodes');
    const id = await manager.create({ nodes, preset: IMMEDIATE });
    await manager.ask(id, one);
    await manager.orchestrator.verb(id, { verb: 'cancel' }, ann);
    const next = await manager.create({ nodes, preset: IMMEDIATE, terms: atMost(1) });
    expect(await manager.ask(next, two)).toMatchObject(TOO_MANY);
    manager.clock.advance(MINUTE_MS + 1);
    expect(await manager.ask(next, two)).toMatchObject(GRANTED);
  });

  it('that is a share is rounded down, but lets one go', async () => {
    const manager = managerOn(await openTestDatabase());
    const nodes = await manager.enroll(5);
    const terms = { maxUnavailable: { percent: 10 } };
    const id = await manager.create({ nodes, preset: IMMEDIATE, terms });
    const answers: boolean[] = [];
    for (const node of nodes) answers.push((await manager.ask(id, node.id)).granted);
    expect(answers.filter((granted) => granted)).toHaveLength(1);
  });

  it('is never passed by many that ask at one moment, of two managers and two rollouts', async () => {
    const manager = managerOn(await openTestDatabase());
    const other = managerOn(manager.database, manager.clock);
    const gate = aService({ name: 'gate', product: 'gate' });
    const nodes = await manager.enroll(40, { services: [aService(), gate] });
    const terms = atMost(7);
    const ids = [
      await manager.create({ nodes, preset: IMMEDIATE, terms }),
      await manager.create({ nodes, product: 'gate', preset: IMMEDIATE, terms }),
    ];
    const tries = nodes.flatMap((node, index) =>
      ids.map(async (id, which) => {
        const at = (index + which) % 2 === 0 ? manager : other;
        return { node: node.id, granted: (await at.ask(id, node.id)).granted };
      }),
    );
    const answers = await Promise.all(tries);
    const swapping = answers.filter(({ granted }) => granted).map(({ node }) => node);
    // Exact: each rollout sees the nodes of the other, so seven nodes are down and not one more.
    expect(new Set(swapping).size).toBe(7);
    const states = await Promise.all(ids.map((id) => lookAt(manager.database, id)));
    const stored = states.flatMap(({ targets }) =>
      targets.filter((target) => target.state === 'swapping').map((target) => target.nodeId),
    );
    expect([...new Set(stored)].sort()).toEqual([...new Set(swapping)].sort());
  }, 60_000);
});
