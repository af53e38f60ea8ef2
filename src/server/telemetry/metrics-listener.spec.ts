import { createServer, type AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { eventually } from '../../../test/support/fleet.js';
import { startTestManager, type TestManager } from '../../../test/support/manager.js';
import { lint } from '../../../test/support/telemetry/prometheus-text.js';
import { look } from '../../../test/support/telemetry/scraper.js';
import { Database } from '../platform/index.js';
import { MetricsListener } from './index.js';

describe('the address for metrics alone', () => {
  let manager: TestManager;
  let url: string;
  beforeAll(async () => {
    manager = await startTestManager({ BELLWETHER_METRICS_LISTEN: '127.0.0.1:0' });
    url = `http://127.0.0.1:${manager.manager.app.get(MetricsListener).address?.port ?? 0}`;
  });
  afterAll(() => manager.stop());

  it('tells the same to whoever reaches it, in both formats', async () => {
    const open = await look(url, null, 'openmetrics');
    const plain = await look(url, null);
    expect(open.families.size).toBe(plain.families.size);
    expect(lint(plain.families)).toEqual([]);
  });

  it('has nothing else: no API, no other method, no other path', async () => {
    for (const path of ['/', '/healthz', '/metrics/', '/metrics?a=b', '/api/v1/nodes']) {
      const { status } = await fetch(url + path, {
        headers: { authorization: `Bearer ${manager.admin}` },
      });
      expect([path, status]).toEqual([path, 404]);
    }
    expect((await fetch(`${url}/metrics`, { method: 'POST' })).status).toBe(404);
  });

  it('is not there unless it is asked for, and the manager without it still wants a token', async () => {
    const plain = await startTestManager();
    expect(plain.manager.app.get(MetricsListener).address).toBeNull();
    expect((await fetch(`${plain.url}/metrics`)).status).toBe(401);
    await plain.stop();
  });

  it('goes on when the database is gone, without the numbers of the fleet, and says so', async () => {
    const lonely = await startTestManager({ BELLWETHER_METRICS_LISTEN: '127.0.0.1:0' });
    const { app } = lonely.manager;
    const at = `http://127.0.0.1:${app.get(MetricsListener).address?.port ?? 0}`;
    expect((await look(at, null)).families.has('bellwether_audit_head')).toBe(true);
    await app.get(Database).close();
    await eventually(async () => {
      const { families, of } = await look(at, null);
      expect(families.has('bellwether_audit_head')).toBe(false);
      expect(families.has('bellwether_rollouts')).toBe(false);
      expect(families.has('bellwether_links')).toBe(true);
      expect(of('bellwether_fleet_numbers_failures_total')).toBeGreaterThan(0);
    });
    await lonely.stop();
  });

  it('stops the start with the variable that is wrong when something else listens there', async () => {
    const other = createServer();
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    const { port } = other.address() as AddressInfo;
    await expect(
      startTestManager({ BELLWETHER_METRICS_LISTEN: `127.0.0.1:${port}` }),
    ).rejects.toThrow(/^BELLWETHER_METRICS_LISTEN: cannot listen/);
    await new Promise((resolve) => other.close(resolve));
  });
});
