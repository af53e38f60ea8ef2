import { readdirSync, readlinkSync, renameSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ENDS_AT_ONCE, NodeBench, serviceArchive } from '../../../test/support/node-bench.js';

let node: NodeBench;
beforeEach(async () => {
  node = await NodeBench.make();
  await node.open();
  for (const version of ['1.0.0', '1.1.0']) {
    await node.publish({ version });
    expect(await node.upgrade(version)).toBe('succeeded');
  }
});
afterEach(async () => {
  await node.remove();
});

const link = (name: string): string => readlinkSync(join(node.root, name));

/** As `rollback.sh`, or a person, moves it: by one rename. */
function point(version: string): void {
  symlinkSync(`versions/${version}`, join(node.root, 'moved'));
  renameSync(join(node.root, 'moved'), join(node.root, 'current'));
}

describe('links that were moved while no agent ran', () => {
  beforeEach(async () => {
    await node.close(true);
    point('1.0.0');
    await node.open();
  });

  it('are what counts: what runs is told, and that it was found so', async () => {
    expect(node.updater.report()).toMatchObject({ version: '1.0.0', previous_version: null });
    expect(node.state).toMatchObject({ current: { version: '1.0.0' }, floors: { stable: 2 } });
    expect(node.told.find(({ type }) => type === 'state_recovered')).toMatchObject({
      details: { error_code: 'upgrade_state_invalid' },
    });
    // Once.
    const told = node.told.length;
    await node.close();
    await node.open();
    expect(node.told).toHaveLength(told);
    expect(await node.upgrade('1.1.0')).toBe('succeeded');
    expect(node.version).toBe('1.1.0');
  });

  it('lead the way back of the next upgrade, which is there and runs', async () => {
    const archive = await serviceArchive('1.2.0', ENDS_AT_ONCE);
    await node.publish({ version: '1.2.0', archive });
    node.policy(['enabled = true', 'boot_health_window_secs = 8']);
    expect(await node.upgrade('1.2.0')).toBe('upgrade_crash_loop');
    expect([node.version, link('current')]).toEqual(['1.0.0', 'versions/1.0.0']);
    expect(node.driver.status().running).toBe(true);
    await node.until(() => {
      expect(readdirSync(join(node.root, 'versions'))).toContain('1.0.0');
    });
  });
});

describe('a version on probation that was turned back beside the agent', () => {
  it('is told as turned back, and does not stay', async () => {
    const archive = await serviceArchive('1.2.0', undefined, true);
    await node.publish({ version: '1.2.0', archive });
    node.policy(['enabled = true', 'boot_health_window_secs = 4']);
    const command = node.command('1.2.0');
    await node.updater.command(command);
    await node.until(() => {
      expect(node.state.job?.phase).toBe('probation');
    });
    point('1.1.0');
    expect(await node.outcomeOf(command.command_id)).toBe('upgrade_crash_loop');
    expect([node.version, node.state.current?.version]).toEqual(['1.1.0', '1.1.0']);
    await node.until(() => {
      expect(node.driver.status().running).toBe(true);
    });
  });
});

describe('an install root', () => {
  it('belongs to one agent at a time, wherever the other keeps its files', async () => {
    const other = await NodeBench.make(node.root);
    await expect(other.open()).rejects.toMatchObject({ code: 'conflict' });
    expect(node.driver.status().running).toBe(true);
    await node.close();
    await other.open();
    await other.close();
    await node.open();
    await other.source.stop();
    rmSync(other.folder, { recursive: true, force: true });
  });
});
