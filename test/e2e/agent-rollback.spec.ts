import { existsSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AgentAtHand } from '../support/agent/agent-at-hand.js';
import { eventually } from '../support/fleet.js';

/** By the hand of a person on the node, with an agent and without one. */
describe('going back by hand', () => {
  const at = new AgentAtHand();
  beforeAll(() => at.start(), 240_000);
  afterAll(() => at.stop(), 60_000);

  it('rollback goes to the version before, once, however many ask, and the manager is told', async () => {
    const [to, from] = [at.current(), await at.install()];
    const both = await Promise.all([at.cli('rollback', 'edge'), at.cli('rollback', 'edge')]);
    expect(both.map(({ code }) => code).sort(), JSON.stringify(both)).toEqual([0, 5]);
    await at.runs(to);
    expect(existsSync(join(at.agent.root, 'previous'))).toBe(false);
    expect((await at.cli('rollback')).code).toBe(5);
    await eventually(async () => {
      const { body } = await at.manager.call('events.list', { query: { limit: 1000 } });
      const told = body.items.filter(({ type }) => type === 'upgrade_rolled_back');
      expect(told).toHaveLength(1);
      expect(told[0]?.details).toMatchObject({
        error_code: 'upgrade_rolled_back_by_hand',
        from_version: from,
        to_version: to,
      });
      const { body: nodes } = await at.manager.call('nodes.list');
      expect(nodes.items[0]?.services[0]?.version).toBe(to);
    });
    await at.ends(await at.upgrade(from), { state: 'succeeded' });
  }, 240_000);

  it('rollback turns back what is on probation, and its rollout hears why', async () => {
    const before = at.current();
    at.policy('boot_health_window_secs = 60');
    const { id } = await at.next();
    await at.ends(id, { state: 'probation' });
    await at.done('rollback');
    at.policy('boot_health_window_secs = 1');
    await at.ends(id, { state: 'rolled_back', error_code: 'upgrade_rolled_back_by_hand' });
    await at.runs(before);
  }, 180_000);

  it('rollback works while the agent is dead, and the next agent tells it', async () => {
    const [to, from] = [at.current(), await at.install()];
    await at.agent.kill();
    const out = await at.done('rollback');
    expect(out).toContain(`${from} was turned back to ${to}`);
    expect(out).toContain('no agent runs');
    await at.runs(to);
    expect((await at.cli('rollback')).code).toBe(5);
    at.agent.start();
    await eventually(async () => {
      const { body } = await at.manager.call('events.list', { query: { limit: 1000 } });
      const told = body.items.filter(({ type }) => type === 'upgrade_rolled_back');
      expect(told.map(({ details }) => details['from_version'])).toContain(from);
      expect((await at.status()).link).toBe('connected');
    });
    expect(await at.agent.version()).toBe(to);
  }, 240_000);

  it('rollback to a version that is not whole changes nothing, with an agent or without', async () => {
    const [to, from] = [at.current(), await at.install()];
    const marker = join(at.agent.root, 'versions', to, '.bellwether.json');
    renameSync(marker, `${marker}.away`);
    expect(await at.cli('rollback')).toMatchObject({ code: 5 });
    await at.agent.kill();
    expect(await at.cli('rollback')).toMatchObject({ code: 5 });
    at.agent.start();
    renameSync(`${marker}.away`, marker);
    await at.runs(from);
    await at.linked();
  }, 180_000);

  it('an agent that dies in the middle of a command is told, and goes on at its next start', async () => {
    const [to] = [at.current(), await at.install()];
    await at.agent.kill();
    at.agent.start({ BELLWETHER_FAULT: 'after-state-rolling-back' });
    await at.linked();
    const { code, err } = await at.cli('rollback');
    expect([code, err]).toEqual([4, expect.stringContaining('ended before it answered')]);
    await at.agent.ended();
    at.agent.start();
    await at.runs(to);
    await at.linked();
  }, 240_000);
});
