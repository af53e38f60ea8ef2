import { readdirSync, readlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ENDS_AT_ONCE, NodeBench, serviceArchive } from '../../../test/support/node-bench.js';

let node: NodeBench;
beforeEach(async () => {
  node = await NodeBench.make();
  await node.publish({ version: '1.0.0' });
  await node.open();
});
afterEach(async () => {
  await node.remove();
});

const link = (name: string): string => readlinkSync(join(node.root, name));

describe('an upgrade of a real service', () => {
  it('brings the first version, then the next, telling each step once', async () => {
    expect(await node.upgrade('1.0.0')).toBe('succeeded');
    await node.publish({ version: '1.1.0' });
    node.told.length = 0;
    expect(await node.upgrade('1.1.0')).toBe('succeeded');
    expect(node.version).toBe('1.1.0');
    expect([link('current'), link('previous')]).toEqual(['versions/1.1.0', 'versions/1.0.0']);
    expect(node.state).toMatchObject({ floors: { stable: 2 }, outbox: [] });
    expect(node.types).toEqual([
      'upgrade_started',
      'upgrade_downloaded',
      'upgrade_verified',
      'upgrade_staged',
      'upgrade_swapping',
      'upgrade_probation',
      'upgrade_completed',
    ]);
    expect(readdirSync(join(node.root, 'downloads'))).toEqual([]);
  });

  it.each([
    ['ends at once', ENDS_AT_ONCE, true, 'upgrade_crash_loop'],
    ['runs and is never well', undefined, false, 'upgrade_unhealthy'],
  ])('that %s is turned back, and the old version runs again', async (_, program, well, code) => {
    await node.upgrade('1.0.0');
    // Long enough for some ends in a row on a machine that has other work, too; the verdict ends it.
    if (code === 'upgrade_crash_loop')
      node.policy(['enabled = true', 'boot_health_window_secs = 8']);
    await node.publish({
      version: '1.1.0',
      archive: await serviceArchive('1.1.0', program, well),
    });
    expect(await node.upgrade('1.1.0')).toBe(code);
    node.policy();
    expect(node.version).toBe('1.0.0');
    expect(node.state).toMatchObject({ previous: null, floors: { stable: 1 } });
    expect(node.driver.status().running).toBe(true);
    expect(node.types.at(-1)).toBe('upgrade_rolled_back');
    // Nothing keeps the same release from being tried again.
    await node.publish({ version: '1.1.0' });
    expect(await node.upgrade('1.1.0')).toBe('succeeded');
  });

  it('whose health check hangs is turned back by time alone', async () => {
    await node.upgrade('1.0.0');
    await node.close();
    node.health = ['sh', '-c', 'test "$(cat version)" = 1.0.0 || exec sleep 25'];
    await node.open();
    await node.publish({ version: '1.1.0' });
    const startedAt = performance.now();
    expect(await node.upgrade('1.1.0')).toBe('upgrade_unhealthy');
    expect(performance.now() - startedAt).toBeLessThan(10_000);
    expect([node.version, node.driver.status().running]).toEqual(['1.0.0', true]);
  });

  it('removes what nobody needs, never what is current or previous', async () => {
    for (const version of ['1.0.0', '1.1.0', '1.2.0', '1.3.0']) {
      await node.publish({ version });
      expect(await node.upgrade(version)).toBe('succeeded');
    }
    const versions = join(node.root, 'versions');
    await node.until(() => {
      expect(readdirSync(versions).sort()).toEqual(['1.2.0', '1.3.0']);
    });
    await node.publish({ version: '1.4.0', archive: await serviceArchive('1.4.0', ENDS_AT_ONCE) });
    node.policy(['enabled = true', 'boot_health_window_secs = 8']);
    expect(await node.upgrade('1.4.0')).toBe('upgrade_crash_loop');
    await node.until(() => {
      expect(readdirSync(versions).sort()).toEqual(['1.2.0', '1.3.0']);
    });
    expect([link('current'), link('previous')]).toEqual(['versions/1.3.0', 'versions/1.2.0']);
  });

  it('back to the previous version works, as far as the policy lets it', async () => {
    for (const version of ['1.0.0', '1.1.0']) {
      await node.publish({ version });
      await node.upgrade(version);
    }
    expect(await node.upgrade('1.0.0')).toBe('succeeded');
    expect(node.version).toBe('1.0.0');
    expect(node.state.floors.stable).toBe(2);
  });

  it('counts a start of the agent that finds its service dead as one more attempt', async () => {
    await node.upgrade('1.0.0');
    node.policy(['enabled = true', 'max_boot_attempts = 2', 'boot_health_window_secs = 60']);
    const archive = await serviceArchive('1.1.0', undefined, false);
    await node.publish({ version: '1.1.0', archive });
    const command = node.command('1.1.0');
    await node.updater.command(command);
    for (let restarts = 0; restarts < 2; restarts += 1) {
      await node.until(() => {
        expect(node.state.job?.phase).toBe('probation');
      });
      // As when the version takes the machine down with it: the service is gone, and no agent saw it.
      await node.close(true);
      await node.open();
    }
    expect(await node.outcomeOf(command.command_id)).toBe('upgrade_crash_loop');
    expect(node.version).toBe('1.0.0');
  });
});

describe('a state.json that is damaged', () => {
  it('costs no service: it goes on, it is told, and the next upgrade works', async () => {
    await node.upgrade('1.0.0');
    const { pid } = node.driver.status();
    await node.close();
    writeFileSync(join(node.root, 'state.json'), '{"schema": "bellwether.state.v1", "serv');
    await node.open();
    expect(node.driver.status()).toMatchObject({ running: true, pid });
    expect(node.state.current).toMatchObject({ version: '1.0.0', channel: 'stable', sequence: 1 });
    expect(node.told.find(({ type }) => type === 'state_recovered')).toMatchObject({
      severity: 'critical',
      details: { error_code: 'upgrade_state_invalid' },
    });
    await node.publish({ version: '1.1.0' });
    expect(await node.upgrade('1.1.0')).toBe('succeeded');
  });
});
