import { existsSync, readFileSync, statSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { makeTempDir, silentLog } from '../../../test/support/databases.js';
import { makeClock, startTestManager, type TestManager } from '../../../test/support/manager.js';
import { DAY_MS } from '../../core/kernel/index.js';
import { startManager, type Manager } from '../manager.js';
import { loadConfig } from '../platform/index.js';
import { REFUSAL_REFILL_MS, REFUSALS_BURST_MAX } from './index.js';

describe('the first admin', () => {
  const dir = makeTempDir();
  let manager: Manager | null = null;
  const clock = makeClock();
  const start = async (): Promise<Manager> => {
    const config = loadConfig({ BELLWETHER_DATA_DIR: dir.path, BELLWETHER_PORT: '0' });
    manager = await startManager({ config, log: silentLog, clock });
    return manager;
  };
  const finish = async (setupToken: string): Promise<{ status: number; code?: string }> => {
    const response = await fetch(`${manager?.config.publicUrl}/api/v1/setup`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ setup_token: setupToken, name: 'ann' }),
    });
    const { code } = (await response.json()) as { code?: string };
    return { status: response.status, ...(code === undefined ? {} : { code }) };
  };
  afterEach(() => manager?.stop());

  it('is made with a token that works once, for a day, until the next start', async () => {
    const first = await start();
    const old = first.setupToken ?? '';
    expect(old).toMatch(/^bws_[0-9a-z]{40}$/);
    expect(readFileSync(first.setupFile, 'utf8').trim()).toBe(old);
    expect(statSync(first.setupFile).mode & 0o777).toBe(0o600);
    await first.stop();

    const second = await start();
    const fresh = second.setupToken ?? '';
    expect(fresh).not.toBe(old);
    const invalid = { status: 401, code: 'setup_token_invalid' };
    expect(await finish(old)).toEqual(invalid);
    clock.advance(DAY_MS);
    expect(await finish(fresh)).toEqual(invalid);
    await second.stop();

    const third = await start();
    const token = third.setupToken ?? '';
    const tries = await Promise.all([finish(token), finish(token), finish(token)]);
    expect(tries.map(({ status }) => status).sort()).toEqual([201, 409, 409]);
    expect(existsSync(third.setupFile)).toBe(false);
    expect(await finish(token)).toEqual({ status: 409, code: 'setup_done' });
    await third.stop();

    const fourth = await start();
    expect(fourth.setupToken).toBeNull();
    expect(existsSync(fourth.setupFile)).toBe(false);
    await fourth.stop();
    dir.remove();
  });
});

describe('credentials', () => {
  let manager: TestManager;
  beforeEach(async () => {
    manager = await startTestManager();
  });
  afterEach(() => manager.stop());

  const secret = 'bwt_0000000000000000000000000000000000000000';

  it('that are wrong are audited, without what was sent', async () => {
    const { status, body } = await manager.call('nodes.list', {}, secret);
    expect([status, body.code]).toEqual([401, 'unauthenticated']);
    const audit = await manager.call('audit.list', { query: { action: 'auth.refused' } });
    expect(audit.body.items).toMatchObject([
      {
        actor_kind: 'anonymous',
        target_id: 'nodes.list',
        outcome: 'refused',
        details: { error_code: 'unauthenticated' },
        request_id: body.request_id,
      },
    ]);
    expect(JSON.stringify(audit.body)).not.toContain(secret);
  });

  it.each([
    'Basic YWRtaW46YWRtaW4=',
    'Bearer',
    'Bearer  ',
    `Bearer ${'x'.repeat(6_000)}`,
    "Bearer ' OR 1=1 --",
  ])('of another kind are refused: %.30s', async (authorization) => {
    const response = await fetch(`${manager.url}/api/v1/nodes`, { headers: { authorization } });
    expect(response.status).toBe(401);
  });

  it('that are wrong too often have to wait; good ones never do', async () => {
    const attempt = async (): Promise<{ status: number; headers: Headers }> =>
      await manager.call('nodes.list', {}, secret);
    for (let i = 0; i < REFUSALS_BURST_MAX; i += 1) expect((await attempt()).status).toBe(401);
    const limited = await attempt();
    expect(limited.status).toBe(429);
    expect(Number(limited.headers.get('retry-after'))).toBeGreaterThanOrEqual(1);
    expect((await manager.call('nodes.list')).status).toBe(200);
    const audit = await manager.call('audit.list', {
      query: { action: 'auth.refused', limit: 500 },
    });
    expect(audit.body.items).toHaveLength(REFUSALS_BURST_MAX);
    manager.clock.advance(REFUSAL_REFILL_MS);
    expect((await attempt()).status).toBe(401);
    expect((await attempt()).status).toBe(429);
  });

  it('that were revoked or have expired are worth nothing', async () => {
    const made = await manager.call('tokens.create', {
      body: { name: 'ci', role: 'viewer', group_id: 'grp_default', expires_in_days: 1 },
    });
    const { id, secret: token } = made.body;
    expect((await manager.call('nodes.list', {}, token)).status).toBe(200);
    manager.clock.advance(DAY_MS);
    expect((await manager.call('nodes.list', {}, token)).status).toBe(401);
    const revoked = await manager.call('tokens.revoke', { params: { id } });
    expect(revoked.status).toBe(204);
    expect((await manager.call('tokens.revoke', { params: { id } })).status).toBe(404);
  });

  it('are made only for groups that exist and roles that fit', async () => {
    const create = async (body: object) =>
      (await manager.call('tokens.create', { body: { name: 'x', ...body } })).status;
    expect(await create({ role: 'viewer', group_id: 'grp_nowhere' })).toBe(404);
    expect(await create({ role: 'viewer' })).toBe(400);
    expect(await create({ role: 'super_admin', group_id: 'grp_default' })).toBe(400);
    expect(await create({ role: 'release', expires_in_days: 366 })).toBe(400);
    expect(await create({ role: 'release', expires_in_days: 365 })).toBe(201);
  });

  it('show their secret once', async () => {
    await manager.token('release');
    const listed = await manager.call('tokens.list');
    expect(listed.body.items).toHaveLength(2);
    expect(JSON.stringify(listed.body)).not.toMatch(/bwt_|secret|hash/);
  });

  it('leave an audit entry when they are made and revoked, for those who may read it', async () => {
    const east = await manager.group('east');
    const admin = await manager.token('admin', east);
    await manager.token('release');
    const own = await manager.call('audit.list', {}, admin);
    expect(own.body.items.map(({ action, group_id }) => [action, group_id])).toEqual([
      ['token.create', east],
      ['group.create', east],
    ]);
    const all = await manager.call('audit.list');
    expect(all.body.items.map(({ action }) => action)).toEqual([
      'token.create',
      'token.create',
      'group.create',
      'setup.finish',
    ]);
    expect(all.body.items.map(({ id }) => id)).toEqual([4, 3, 2, 1]);
    const page = await manager.call('audit.list', { query: { limit: 3 } });
    const rest = await manager.call('audit.list', {
      query: { limit: 3, cursor: page.body.next_cursor ?? '' },
    });
    expect(rest.body.items.map(({ id }) => id)).toEqual([1]);
    expect(rest.body.next_cursor).toBeNull();
  });
});

describe('an address of IPv6', () => {
  it('is one with all others of its network', async () => {
    const manager = await startTestManager({ BELLWETHER_TRUSTED_PROXIES: '127.0.0.1' });
    try {
      const attempt = async (from: string): Promise<number> => {
        const headers = { authorization: 'Bearer wrong', 'x-forwarded-for': from };
        return (await fetch(`${manager.url}/api/v1/nodes`, { headers })).status;
      };
      for (let i = 0; i < REFUSALS_BURST_MAX; i += 1) {
        expect(await attempt(`2001:db8:1:2:${i}::1`)).toBe(401);
      }
      expect(await attempt('2001:db8:1:2:ffff::1')).toBe(429);
      expect(await attempt('2001:db8:1:3::1')).toBe(401);
    } finally {
      await manager.stop();
    }
  });
});
