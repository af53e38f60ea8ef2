import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { HostileBench } from '../support/hostile-bench.js';

let bench: HostileBench;
let digests: Record<string, string>;
beforeEach(async () => {
  bench = await HostileBench.make();
  digests = { '1.5.0': await bench.publish('1.5.0'), '1.6.0': await bench.publish('1.6.0') };
});
afterEach(() => bench.remove());

const revoke = (sequence: number, ...versions: string[]): Promise<void> =>
  bench.index('1.6.0', {
    sequence,
    revoked: versions.map((version) => ({
      version,
      sha256: digests[version] ?? '',
      reason: 'it leaks',
    })),
  });
const install = async (...versions: string[]): Promise<void> => {
  for (const version of versions) expect(await bench.upgrade(version)).toBe('succeeded');
};
const revoked = () => bench.events.filter((event) => event.type === 'service_revoked');

describe('a revoked version', () => {
  it('is refused before its artifact is asked for', async () => {
    await bench.start();
    await revoke(7, '1.5.0');
    expect(await bench.upgrade('1.5.0')).toBe('upgrade_revoked');
    expect(bench.source.requests.filter(({ url }) => url.includes('/blobs/'))).toEqual([]);
  });

  it('is refused before the swap when it is revoked while it waits', async () => {
    await bench.start({}, 200);
    await install('1.5.0');
    const apply_after = new Date(Date.now() + 3_000).toISOString();
    const ending = bench.upgrade('1.6.0', { apply_after });
    await bench.until(() => {
      expect(bench.state.job?.phase).toBe('staged');
    });
    await revoke(7, '1.6.0');
    expect(await ending).toBe('upgrade_revoked');
    expect([bench.version, bench.isRunning]).toEqual(['1.5.0', true]);
  });

  it('that runs goes back to the version before, and cannot come again', async () => {
    await bench.start({}, 200);
    await install('1.5.0', '1.6.0');
    await revoke(7, '1.6.0');
    await bench.until(() => {
      expect([bench.version, bench.isRunning]).toEqual(['1.5.0', true]);
      expect(revoked()).toMatchObject([
        { severity: 'critical', details: { error_code: 'upgrade_revoked', to_version: '1.5.0' } },
      ]);
    });
    expect(bench.state).toMatchObject({ current: { version: '1.5.0' }, previous: null });
    expect(await bench.upgrade('1.6.0')).toBe('upgrade_revoked');
  });

  it('is found soon when the manager says that there is a newer index, however often it says so', async () => {
    // News are looked at within half a second, the next look by itself comes after 45 seconds.
    await bench.start({}, 60_000);
    const looks = () =>
      bench.source.requests.filter(({ url }) => url.includes('/channels/')).length;
    const news = (change: object = {}): void => {
      bench.say({ type: 'index_news', product: 'edge', channel: 'stable', ...change });
    };
    await install('1.5.0', '1.6.0');
    // Once is for the news, or for the first look by itself; after the second time there is nothing to come.
    for (let times = 0; times < 2; times += 1) {
      const seen = looks();
      news();
      await bench.until(() => {
        expect(looks()).toBeGreaterThan(seen);
      });
      await new Promise((resolve) => setTimeout(resolve, 1_000));
    }
    const before = looks();
    await revoke(7, '1.6.0');
    for (const other of [{ product: 'gateway' }, { channel: 'dev' }]) news(other);
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    expect(looks()).toBe(before);
    for (let times = 0; times < 200; times += 1) news();
    await bench.until(() => {
      expect([bench.version, bench.isRunning]).toEqual(['1.5.0', true]);
    });
    expect(looks()).toBeLessThan(before + 5);
  });

  it('without a good one before it runs on under `alert`, and is never started again', async () => {
    await bench.start({}, 200);
    await install('1.5.0');
    await revoke(7, '1.5.0');
    await bench.until(() => {
      expect(revoked()).toHaveLength(1);
    });
    expect(bench.isRunning).toBe(true);
    await bench.stop(true);
    await bench.start({}, 200);
    await new Promise((resolve) => setTimeout(resolve, 800));
    expect([bench.version, bench.isRunning, revoked().length]).toEqual(['1.5.0', false, 1]);
    await install('1.6.0');
    expect([bench.version, bench.isRunning]).toEqual(['1.6.0', true]);
  });

  it('that ends by itself is not started again', async () => {
    await bench.start({}, 200);
    await install('1.5.0');
    await revoke(7, '1.5.0');
    await bench.until(() => {
      expect(revoked()).toHaveLength(1);
    });
    process.kill(-bench.servicePid, 'SIGKILL');
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    expect(bench.isRunning).toBe(false);
  });

  it('without a good one before it is stopped under `stop`', async () => {
    bench.policy(['on_revoked = "stop"']);
    await bench.start({}, 200);
    await install('1.5.0', '1.6.0');
    await revoke(7, '1.5.0', '1.6.0');
    await bench.until(() => {
      expect(revoked()).toHaveLength(1);
      expect(bench.isRunning).toBe(false);
    });
  });

  it.each(['alert', 'stop'])(
    'that is the agent itself, and the only one, runs on under `%s`, says so, and gives way to a better one',
    async (how) => {
      bench.policy([`on_revoked = "${how}"`]);
      await bench.startSelf(200);
      await install('1.5.0');
      expect(bench.selfRestarts).toBe(1);
      await revoke(7, '1.5.0');
      await bench.until(() => {
        expect(revoked()).toMatchObject([
          {
            severity: 'critical',
            message: expect.stringContaining('runs on while it runs') as string,
            details: { from_version: '1.5.0', to_version: null },
          },
        ]);
      });
      // A restart of the machine brings it up again, and that is not told twice.
      await bench.stop();
      await bench.startSelf(200);
      expect(bench.version).toBe('1.5.0');
      await install('1.6.0');
      expect(bench.state).toMatchObject({ current: { version: '1.6.0' }, job: null });
      expect([bench.selfRestarts, revoked().length]).toEqual([2, 1]);
      // And what was revoked is no way back.
      expect(await bench.upgrade('1.5.0')).toBe('upgrade_revoked');
    },
  );

  it('stays revoked when its index expires, or is no longer shown', async () => {
    await bench.start();
    await install('1.5.0');
    const past = { issued_at: '2025-01-01T00:00:00Z', expires_at: '2025-01-02T00:00:00Z' };
    const list = [{ version: '1.6.0', sha256: digests['1.6.0'] ?? '', reason: 'it leaks' }];
    await bench.index('1.6.0', { sequence: 7, revoked: list, ...past });
    expect(await bench.upgrade('1.6.0')).toBe('upgrade_revoked');
    bench.source.serve('/node/v1/channels/edge/stable', null);
    await bench.stop();
    await bench.start();
    expect(await bench.upgrade('1.6.0')).toBe('upgrade_revoked');
  });
});
