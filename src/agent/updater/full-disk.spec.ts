import { mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { tarGz } from '../../../test/support/archive.js';
import { NodeBench, RUNS, serviceArchive } from '../../../test/support/node-bench.js';
import { mountSmallDisk, type SmallDisk } from '../../../test/support/small-disk.js';
import type { FaultPoint, Faults } from './faults.js';

const disk = mountSmallDisk();
disk?.remove();

/** Does something once, when the updater passes a point. */
const at = (point: FaultPoint, deed: () => void): Faults => {
  let isDone = false;
  return {
    hit: (passed) => {
      if (passed !== point || isDone) return;
      isDone = true;
      deed();
    },
  };
};

describe.skipIf(disk === null)('on a small disk', () => {
  let small: SmallDisk;
  let node: NodeBench;

  beforeEach(async () => {
    small = mountSmallDisk()!;
    node = await NodeBench.make(join(small.path, 'edge'));
    await node.publish({ version: '1.0.0' });
    await node.open();
    expect(await node.upgrade('1.0.0')).toBe('succeeded');
  });
  afterEach(async () => {
    small.free();
    await node.remove();
    small.remove();
  });

  const reopen = async (faults: Faults): Promise<void> => {
    await node.close();
    await node.open(faults);
  };
  const isRunning = (): boolean => node.driver.status().running;

  it('an artifact that does not fit three times is refused before a byte of it is asked for', async () => {
    const archive = await tarGz([
      { name: 'bin/edge', mode: 0o755, content: RUNS },
      { name: 'data', content: randomBytes(500_000) },
    ]);
    const sha256 = await node.publish({ version: '1.1.0', archive });
    expect(await node.upgrade('1.1.0')).toBe('upgrade_disk_full');
    expect(node.told.at(-1)).toMatchObject({ type: 'upgrade_download_failed' });
    expect(node.source.requests.some(({ url }) => url.includes(sha256))).toBe(false);
    expect([node.version, isRunning()]).toEqual(['1.0.0', true]);
  });

  it.each(['after-download', 'after-extract'] as const)(
    'that is full %s: the upgrade fails, says so, and leaves nothing',
    async (point) => {
      await node.publish({ version: '1.1.0' });
      await reopen(
        at(point, () => {
          small.fill();
        }),
      );
      expect(await node.upgrade('1.1.0')).toBe('upgrade_disk_full');
      expect([node.version, isRunning()]).toEqual(['1.0.0', true]);
      await node.until(() => {
        expect(readdirSync(join(node.root, 'versions'))).toEqual(['1.0.0']);
        expect(readdirSync(join(node.root, 'downloads'))).toEqual([]);
      });
      // The next try, with room, is like the first.
      small.free();
      expect(await node.upgrade('1.1.0')).toBe('succeeded');
    },
  );

  it('that is full when a command comes: it is not accepted, and is when there is room', async () => {
    await node.publish({ version: '1.1.0' });
    small.fill();
    const command = node.command('1.1.0');
    await expect(node.updater.command(command)).rejects.toThrow('ENOSPC');
    await expect(node.updater.command(command)).rejects.toThrow('ENOSPC');
    expect(node.state.answers).toHaveLength(1);
    expect(node.source.requests.some(({ url }) => url.includes('1.1.0'))).toBe(false);
    expect(isRunning()).toBe(true);
    small.free();
    expect(await node.updater.command(command)).toMatchObject({ ok: true });
    expect(await node.outcomeOf(command.command_id)).toBe('succeeded');
  });

  it('that is full in the middle of the swap: the old version goes on running', async () => {
    await node.publish({ version: '1.1.0' });
    await reopen(
      at('after-service-stopped', () => {
        small.fill();
      }),
    );
    const command = node.command('1.1.0');
    await node.updater.command(command);
    await node.until(() => {
      expect(node.logged.join()).toContain('ENOSPC');
      expect([node.version, isRunning()]).toEqual(['1.0.0', true]);
    });
    small.free();
    expect(await node.outcomeOf(command.command_id)).toBe('upgrade_disk_full');
    expect([node.version, isRunning()]).toEqual(['1.0.0', true]);
    expect(await node.upgrade('1.1.0')).toBe('succeeded');
  });

  it('that is full while a version proves itself: it is watched all the same, and told later', async () => {
    const archive = await serviceArchive('1.1.0', undefined, false);
    await node.publish({ version: '1.1.0', archive });
    const command = node.command('1.1.0');
    await node.updater.command(command);
    await node.until(() => {
      expect(node.state).toMatchObject({ job: { phase: 'probation' }, outbox: [] });
    });
    small.fill();
    await node.until(() => {
      expect(node.logged.join()).toContain('ENOSPC');
    });
    // It may be the new version itself that filled the disk: the way back needs no room.
    await node.until(() => {
      expect([node.version, isRunning()]).toEqual(['1.0.0', true]);
    });
    const { pid } = node.driver.status();
    // Decided, but not durable: nothing is claimed that a crash would undo.
    expect(node.updater.report()).toMatchObject({ phase: 'probation', version: '1.1.0' });
    small.free();
    expect(await node.outcomeOf(command.command_id)).toBe('upgrade_unhealthy');
    expect([node.version, isRunning()]).toEqual(['1.0.0', true]);
    expect(node.updater.report()).toMatchObject({ phase: 'idle', version: '1.0.0' });
    expect(node.driver.status().pid).toBe(pid);
  });

  it('that is full when the agent starts: the service runs, and goes on being looked after', async () => {
    await node.close(true);
    expect(isRunning()).toBe(false);
    small.fill(1);
    await node.open();
    await node.until(() => {
      expect(isRunning()).toBe(true);
    });
    small.free();
    await node.publish({ version: '1.1.0' });
    expect(await node.upgrade('1.1.0')).toBe('succeeded');
  });

  it('that is full when the service ends by itself: it is started again', async () => {
    small.fill();
    const { pid } = node.driver.status();
    process.kill(pid!, 'SIGKILL');
    await node.until(() => {
      expect(isRunning()).toBe(true);
      expect(node.driver.status().pid).not.toBe(pid);
    });
    // And the next agent finds that very process.
    const found = node.driver.status().pid;
    await reopen({ hit: () => undefined });
    expect(node.driver.status().pid).toBe(found);
  });
});

describe('a way back whose version is gone', () => {
  it('leaves running what runs, says so, and is gone when the version is there again', async () => {
    const node = await NodeBench.make();
    await node.publish({ version: '1.0.0' });
    await node.open();
    await node.upgrade('1.0.0');
    node.policy(['enabled = true', 'boot_health_window_secs = 3']);
    const archive = await serviceArchive('1.1.0', undefined, false);
    await node.publish({ version: '1.1.0', archive });
    const command = node.command('1.1.0');
    await node.updater.command(command);
    await node.until(() => {
      expect(node.state.job?.phase).toBe('probation');
    });
    const place = join(node.root, 'versions', '1.0.0');
    renameSync(place, join(node.folder, 'elsewhere'));
    await node.until(() => {
      expect(node.types).toContain('upgrade_rollback_failed');
    });
    expect([node.version, node.driver.status().running]).toEqual(['1.1.0', true]);
    renameSync(join(node.folder, 'elsewhere'), place);
    expect(await node.outcomeOf(command.command_id)).toBe('upgrade_unhealthy');
    expect([node.version, node.driver.status().running]).toEqual(['1.0.0', true]);
    await node.remove();
  });
});

describe('a swap that cannot be undone at once', () => {
  it('is undone when it can be, and the old version runs', async () => {
    const node = await NodeBench.make();
    await node.publish({ version: '1.0.0' });
    await node.open();
    await node.upgrade('1.0.0');
    await node.publish({ version: '1.1.0' });
    await node.close();
    const inTheWay = join(node.root, 'current.tmp', 'x');
    const log = join(node.root, 'log');
    await node.open(
      at('after-link-current', () => {
        // Neither can the new version be started, nor the link be moved back.
        rmSync(log, { recursive: true });
        writeFileSync(log, '');
        mkdirSync(inTheWay, { recursive: true });
      }),
    );
    const command = node.command('1.1.0');
    await node.updater.command(command);
    await node.until(() => {
      expect(node.types).toContain('upgrade_rollback_failed');
    });
    rmSync(log);
    rmSync(join(node.root, 'current.tmp'), { recursive: true });
    expect(await node.outcomeOf(command.command_id)).toBe('upgrade_swap_failed');
    expect([node.version, node.driver.status().running]).toEqual(['1.0.0', true]);
    expect(node.types.at(-1)).toBe('upgrade_rolled_back');
    await node.remove();
  });
});
