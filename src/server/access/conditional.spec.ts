import { createHash, randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeMigratedPostgres, makeTempDir, silentLog } from '../../../test/support/databases.js';
import {
  requestOf,
  startTestManager,
  type ProblemBody,
  type TestManager,
} from '../../../test/support/manager.js';
import {
  CURRENT,
  isShown,
  makesSomething,
  ROUTES,
  type RouteName,
} from '../../protocol/api/index.js';
import { startManager } from '../manager.js';
import { Database, loadConfig } from '../platform/index.js';

/** Managers on one database share their master key. */
const SAME_KEY = { BELLWETHER_MASTER_KEY: createHash('sha256').update('a test').digest('base64') };

interface Told {
  readonly status: number;
  readonly headers: Headers;
  readonly body: ProblemBody & { readonly id: string; readonly secret?: string; name?: string };
}

describe.each(['sqlite', 'postgres'] as const)('requests on a condition (%s)', (kind) => {
  let manager: TestManager;
  let database: Database;
  let drop = async (): Promise<void> => undefined;
  let stopSecond = async (): Promise<void> => undefined;
  /** Asked in turn. */
  const urls: string[] = [];
  let turn = 0;
  beforeAll(async () => {
    const postgres = kind === 'postgres' ? await makeMigratedPostgres() : null;
    drop = async () => postgres?.drop();
    manager = await startTestManager(
      postgres === null ? {} : { DATABASE_URL: postgres.url, ...SAME_KEY },
    );
    urls.push(manager.url);
    database = manager.manager.app.get(Database);
    if (postgres === null) return;
    // Another process: there only the database keeps two apart.
    const dir = makeTempDir();
    const config = loadConfig({
      BELLWETHER_DATA_DIR: dir.path,
      BELLWETHER_PORT: '0',
      DATABASE_URL: postgres.url,
      ...SAME_KEY,
    });
    const { clock } = manager;
    const second = await startManager({ config, log: silentLog, clock });
    urls.push(second.config.publicUrl);
    stopSecond = async () => {
      await second.stop();
      dir.remove();
    };
  }, 60_000);
  afterAll(async () => {
    await stopSecond();
    await manager.stop();
    await drop();
  });

  async function ask(
    name: RouteName,
    given: { params?: object; body?: object; headers?: Record<string, string>; token?: string },
  ): Promise<Told> {
    const { method, path } = requestOf(name, given);
    const response = await fetch(`${urls[(turn += 1) % urls.length]}${path}`, {
      method,
      headers: {
        authorization: `Bearer ${given.token ?? manager.admin}`,
        ...(given.body === undefined ? {} : { 'content-type': 'application/json' }),
        ...given.headers,
      },
      body: given.body === undefined ? null : JSON.stringify(given.body),
    });
    const text = await response.text();
    const body = (text === '' ? {} : JSON.parse(text)) as Told['body'];
    return { status: response.status, headers: response.headers, body };
  }
  const keyed = (key: string) => ({ headers: { 'idempotency-key': key } });
  const tagOf = async (id: string): Promise<string> =>
    (await ask('groups.show', { params: { id } })).headers.get('etag') ?? '';
  const rename = (id: string, name: string, tag: string) =>
    ask('groups.change', { params: { id }, body: { name }, headers: { 'if-match': tag } });

  it('changes a thing for whoever has seen it as it is, and shows others what changed', async () => {
    const id = await manager.group('a tab');
    const tag = await tagOf(id);
    expect(tag).toMatch(/^"[\w-]{27}"$/);
    expect(await tagOf(id)).toBe(tag);
    expect((await rename(id, 'first', tag)).status).toBe(200);
    const late = await rename(id, 'second', tag);
    expect([late.status, late.body.code]).toEqual([412, 'precondition_failed']);
    expect(late.body.context).toMatchObject({ current: { id, name: 'first' } });
    const now = String(late.body.context?.['etag']);
    expect((await rename(id, 'third', `"other", ${now}`)).status).toBe(200);
    expect((await rename(id, 'fourth', '*')).status).toBe(200);
    expect((await rename(id, 'fifth', `W/${await tagOf(id)}`)).status).toBe(412);
  });

  it('lets one of many win who change the same thing at once', async () => {
    const id = await manager.group('many tabs');
    const tag = await tagOf(id);
    const all = await Promise.all(Array.from({ length: 6 }, (_, i) => rename(id, `tab ${i}`, tag)));
    expect(all.map(({ status }) => status).sort()).toEqual([200, 412, 412, 412, 412, 412]);
  });

  it('tells nobody what he may not see, whatever the tag', async () => {
    const id = await manager.group('hidden');
    const token = await manager.token('admin', await manager.group('elsewhere'));
    const headers = { 'if-match': '"x"' };
    const told = await ask('groups.change', {
      params: { id },
      body: { name: 'x' },
      headers,
      token,
    });
    expect([told.status, told.body.code]).toEqual([404, 'not_found']);
  });

  it('refuses a condition on what has no tag', async () => {
    const told = await ask('groups.create', { body: { name: 'x' }, headers: { 'if-match': '*' } });
    expect([told.status, told.body.code]).toEqual([400, 'invalid_request']);
  });

  it('makes a thing once, also a secret that is shown once, and keeps no secret in the open', async () => {
    const key = randomUUID();
    const group_id = await manager.group('for tokens');
    const body = { name: 'pipeline', role: 'viewer', group_id };
    const first = await ask('tokens.create', { body, ...keyed(key) });
    expect(first.status).toBe(201);
    expect(first.headers.get('idempotency-replayed')).toBeNull();
    const again = await ask('tokens.create', { body, ...keyed(key) });
    expect([again.status, again.body]).toEqual([201, first.body]);
    expect(again.headers.get('idempotency-replayed')).toBe('true');
    const other = await ask('tokens.create', { body: { ...body, name: 'x' }, ...keyed(key) });
    expect([other.status, other.body.code]).toEqual([409, 'idempotency_key_reused']);
    const route = await ask('groups.create', { body: { name: 'x' }, ...keyed(key) });
    expect([route.status, route.body.code]).toEqual([409, 'idempotency_key_reused']);
    const rows = await database.read.all('SELECT * FROM idempotency_keys');
    expect(JSON.stringify(rows)).not.toContain(first.body.secret);
    expect(JSON.stringify(rows)).not.toContain(key);
  });

  it('keeps the keys of callers apart, for a day', async () => {
    const key = randomUUID();
    const own = await manager.group('own keys');
    const token = await manager.token('admin', own);
    const body = { name: 'below', parent_id: own };
    const first = await ask('groups.create', { body, ...keyed(key), token });
    expect(first.status).toBe(201);
    const other = await ask('groups.create', { body, ...keyed(key) });
    expect([other.status, other.body.code]).toEqual([409, 'conflict']);
    manager.clock.advance(24 * 3_600_000 + 1_000);
    const later = await ask('groups.create', { body, ...keyed(key), token });
    expect([later.status, later.body.code]).toEqual([409, 'conflict']);
  });

  it('makes it once when it comes many times at the same moment', async () => {
    const key = randomUUID();
    const body = { name: 'at once', parent_id: 'grp_default' };
    const all = await Promise.all(
      Array.from({ length: 6 }, () => ask('groups.create', { body, ...keyed(key) })),
    );
    const made = all.filter(({ status }) => status === 201);
    const waiting = all.filter(({ body: { code } }) => code === 'idempotency_in_progress');
    expect(made.length).toBeGreaterThanOrEqual(1);
    expect(made.length + waiting.length).toBe(6);
    expect(new Set(made.map((one) => one.body.id)).size).toBe(1);
  });

  it('takes no key for what was refused, and none that is no key', async () => {
    const key = randomUUID();
    const group_id = await manager.group('refused');
    const token = await manager.token('viewer', group_id);
    const body = { name: 'x', parent_id: group_id };
    expect((await ask('groups.create', { body, ...keyed(key), token })).status).toBe(403);
    const lost = { ...body, parent_id: 'grp_none00' };
    expect((await ask('groups.create', { body: lost, ...keyed(key) })).status).toBe(404);
    expect((await ask('groups.create', { body, ...keyed(key) })).status).toBe(201);
    const bad = await ask('groups.create', { body, ...keyed('two words') });
    expect([bad.status, bad.body.code]).toEqual([400, 'invalid_request']);
  });
});

describe('the tables of conditions', () => {
  const names = Object.keys(ROUTES) as RouteName[];

  it('name for each change a route that shows the thing, with the same parameters', () => {
    for (const [change, shown] of Object.entries(CURRENT) as [RouteName, RouteName][]) {
      expect([change, isShown(shown), ROUTES[shown].method]).toEqual([change, true, 'GET']);
      expect(ROUTES[change].path.startsWith(ROUTES[shown].path.replace(/-switch$/, ''))).toBe(true);
    }
  });

  it('have a key for all that makes something', () => {
    const made = names.filter(makesSomething);
    expect(made).toContain('rollouts.create');
    expect(made).toContain('enrollment.create');
    expect(made).not.toContain('enrollment.enroll');
    expect(made.length).toBeGreaterThanOrEqual(10);
  });
});
