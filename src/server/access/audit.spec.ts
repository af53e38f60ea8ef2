import { afterEach, describe, expect, it } from 'vitest';
import { makeMigratedPostgres } from '../../../test/support/databases.js';
import { requestOf, startTestManager, type TestManager } from '../../../test/support/manager.js';
import {
  ExportVerifier,
  headerOf,
  parseVerifier,
  RECORD_FIELDS,
  trustedCheckpoint,
  verifyConsistency,
  verifyInclusion,
  type Checkpoint,
} from '../../core/audit/index.js';
import { AuditEntry, ROUTES, type RouteName } from '../../protocol/api/index.js';
import { AUDIT_ACTIONS } from '../audit/index.js';
import { Database } from '../platform/index.js';
import { ACTION_OF_ROUTE } from './attempts.js';

describe.each(['sqlite', 'postgres'])('the audit log over HTTP (%s)', (kind) => {
  const cleanUps: (() => Promise<void>)[] = [];
  afterEach(async () => {
    for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
  });
  const start = async (): Promise<TestManager> => {
    const env: Record<string, string> = {};
    if (kind === 'postgres') {
      const { url, drop } = await makeMigratedPostgres();
      cleanUps.push(drop);
      env['DATABASE_URL'] = url;
    }
    const manager = await startTestManager(env);
    cleanUps.push(() => manager.stop());
    return manager;
  };
  const exported = async (
    manager: TestManager,
    query: Record<string, string | number> = {},
    token = manager.admin,
  ): Promise<{ status: number; type: string; text: string }> => {
    const { path } = requestOf('audit.export', { query });
    const response = await fetch(manager.url + path, {
      headers: { authorization: `Bearer ${token}` },
    });
    const type = response.headers.get('content-type') ?? '';
    return { status: response.status, type, text: await response.text() };
  };
  const checkpointOf = async (manager: TestManager): Promise<Checkpoint> => {
    const { body: key } = await manager.call('audit.key');
    const { body: made } = await manager.call('audit.checkpoint');
    const verifier = parseVerifier(key.verifier_key);
    const read = verifier.ok ? trustedCheckpoint(made.note, verifier.value) : verifier;
    if (!read.ok) throw new Error(read.error.message);
    return read.value;
  };
  const verify = (text: string, checkpoint: Checkpoint): string | null => {
    const verifier = new ExportVerifier([checkpoint]);
    const [first = '', ...lines] = text.trimEnd().split('\n');
    const header = headerOf(first);
    if (!header.ok) return header.error.message;
    for (const taken of [
      verifier.begin(header.value),
      ...lines.map((line) => verifier.entry(line)),
    ])
      if (!taken.ok) return taken.error.message;
    const ended = verifier.end();
    return ended.ok ? null : ended.error.message;
  };

  it('can be exported and verified with nothing but a checkpoint and the key', async () => {
    const manager = await start();
    await manager.group('east');
    const early = await checkpointOf(manager);
    await manager.group('west', 'grp_default');
    const late = await checkpointOf(manager);
    expect(late.size).toBe(early.size + 1);

    const { type, text } = await exported(manager, { through: late.size });
    expect(type).toContain('application/x-ndjson');
    expect(verify(text, late)).toBeNull();
    const behind = await exported(manager, { after: early.size });
    expect(verify(behind.text, late)).toBeNull();
    expect(verify(text.replace('"west"', '"best"'), late)).not.toBeNull();

    const proof = await manager.call('audit.consistency', {
      query: { from: early.size, to: late.size },
    });
    const path = proof.body.path.map((hash) => Buffer.from(hash, 'base64'));
    expect(verifyConsistency(early, late, path).ok).toBe(true);
    const inclusion = await manager.call('audit.inclusion', { params: { entry: 1 }, query: {} });
    const { leaf, path: steps, root, size } = inclusion.body;
    expect([root, size]).toEqual([late.root.toString('base64'), late.size]);
    const given = {
      index: 0,
      size,
      leaf: Buffer.from(leaf, 'base64'),
      path: steps.map((hash) => Buffer.from(hash, 'base64')),
      root: late.root,
    };
    expect(verifyInclusion(given).ok).toBe(true);
    const listed = await manager.call('audit.checkpoints', { query: { limit: 1 } });
    expect(listed.body.items.map((one) => one.size)).toEqual([late.size]);
    const older = await manager.call('audit.checkpoints', {
      query: { cursor: listed.body.next_cursor ?? '' },
    });
    expect(older.body.items.map((one) => one.size)).toEqual([early.size]);
    const events = await manager.call('events.list', { query: { category: 'audit' } });
    expect(events.body.items.map(({ type: name, details }) => [name, details['size']])).toEqual([
      ['audit.checkpoint', early.size],
      ['audit.checkpoint', late.size],
    ]);
  });

  it('is filtered by whoever did what to what, when, and how it ended', async () => {
    const manager = await start();
    const east = await manager.group('east');
    await manager.group('hall', east);
    await manager.group('west');
    await manager.call('groups.create', { body: { name: 'west' } });
    const ids = async (query: Record<string, string>): Promise<number[]> =>
      (await manager.call('audit.list', { query })).body.items.map(({ id }) => id);
    const all = (await manager.call('audit.list')).body.items;
    expect(all.map(({ action, outcome }) => [action, outcome])).toEqual([
      ['group.create', 'refused'],
      ['group.create', 'allowed'],
      ['group.create', 'allowed'],
      ['group.create', 'allowed'],
      ['setup.finish', 'allowed'],
    ]);
    expect(await ids({ outcome: 'refused' })).toEqual([5]);
    expect(await ids({ action: 'setup.finish' })).toEqual([1]);
    expect(await ids({ target_id: east })).toEqual([2]);
    expect(await ids({ group_id: east })).toEqual([3, 2]);
    expect(await ids({ actor_kind: 'anonymous' })).toEqual([1]);
    expect(await ids({ actor_id: all[0]?.actor_id ?? '', target_kind: 'group' })).toEqual([
      4, 3, 2,
    ]);
    expect(await ids({ request_id: all[2]?.request_id ?? '' })).toEqual([3]);
    expect(await ids({ since: '2999-01-01T00:00:00Z' })).toEqual([]);
    expect(await ids({ until: '2999-01-01T00:00:00+02:00', limit: '2' })).toEqual([5, 4]);
    for (const query of [
      { since: 'yesterday' },
      { outcome: 'fine' },
      { group_id: `' OR 1=1 --` },
    ]) {
      const refused = await manager.call('audit.list', { query: query as never });
      expect([refused.status, refused.body.code]).toEqual([400, 'invalid_request']);
    }
    expect(await ids({ actor_id: `' OR '1'='1` })).toEqual([]);
  });

  it('is exported as CSV that is no formula, and as JSON, with filters', async () => {
    const manager = await start();
    await manager.group('=HYPERLINK("http://x")');
    await manager.group('two\nlines, "quoted"');
    const csv = await exported(manager, { format: 'csv', action: 'group.create' });
    expect(csv.type).toContain('text/csv');
    const [head, ...lines] = csv.text.split('\r\n');
    expect(head).toBe(RECORD_FIELDS.map((name) => `"${name}"`).join(','));
    expect(lines.filter((line) => line !== '')).toHaveLength(2);
    expect(csv.text).not.toMatch(/(^|,)"?[=+\-@]/m);
    const json = await exported(manager, { format: 'json' });
    const entries = JSON.parse(json.text) as AuditEntry[];
    expect(entries.map(({ id }) => id)).toEqual([1, 2, 3]);
    expect(entries[1]?.details).toMatchObject({ name: '=HYPERLINK("http://x")' });
    expect(JSON.parse((await exported(manager, { format: 'json', after: 3 })).text)).toEqual([]);
    const filtered = await exported(manager, { action: 'group.create' });
    expect(filtered.text.split('\n')[0]).toContain('"action":"group.create"');
  });

  it('shows each role what is its own, in lists, exports and proofs', async () => {
    const manager = await start();
    const east = await manager.group('east');
    const hall = await manager.group('hall', east);
    const west = await manager.group('west');
    const admin = await manager.token('admin', east);
    await manager.call('audit.checkpoint');
    const seen = await manager.call('audit.list', {}, admin);
    const groups = new Set(seen.body.items.map((entry) => entry.group_id));
    expect(groups).toEqual(new Set([east, hall]));
    const file = await exported(manager, {}, admin);
    const lines = file.text
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as AuditEntry);
    expect(lines.map(({ id }) => id)).toEqual(seen.body.items.map(({ id }) => id).reverse());
    const other = await manager.call('audit.list', { query: { group_id: west } }, admin);
    expect([other.status, other.body.code]).toEqual([404, 'not_found']);
    expect((await exported(manager, { group_id: west }, admin)).status).toBe(404);
    const proof = (entry: number) =>
      manager.call('audit.inclusion', { params: { entry }, query: {} }, admin);
    expect((await proof(2)).status).toBe(200);
    expect((await proof(4)).status).toBe(404);
    for (const role of ['viewer', 'operator']) {
      const token = await manager.token(role, east);
      expect((await manager.call('audit.list', {}, token)).status).toBe(403);
      expect((await exported(manager, {}, token)).status).toBe(403);
    }
  });

  it('holds refused attempts, with the group on which they were refused', async () => {
    const manager = await start();
    const [east, west] = [await manager.group('east'), await manager.group('west')];
    const admin = await manager.token('admin', east);
    const viewer = await manager.token('viewer', east);
    const body = { group_id: west };
    expect((await manager.call('enrollment.create', { body }, admin)).status).toBe(404);
    expect(
      (await manager.call('tokens.revoke', { params: { id: 'tok_000000' } }, viewer)).status,
    ).toBe(403);
    expect((await manager.call('tokens.revoke', { params: { id: 'tok_000000' } })).status).toBe(
      404,
    );
    expect((await manager.call('tokens.list', {}, viewer)).status).toBe(403);
    const { body: found } = await manager.call('audit.list', { query: { outcome: 'refused' } });
    expect(
      found.items.map(({ action, target_kind, target_id, group_id, details, actor_name }) => [
        action,
        `${target_kind} ${target_id}`,
        group_id,
        details['error_code'],
        actor_name,
      ]),
    ).toEqual([
      ['token.revoke', 'token tok_000000', null, 'not_found', 'first admin'],
      ['token.revoke', 'token tok_000000', null, 'insufficient_role', 'a viewer'],
      ['enrollment_token.create', 'route enrollment.create', west, 'not_found', 'a admin'],
    ]);
    // Who administers the other group sees who knocked there.
    const westAdmin = await manager.token('admin', west);
    const seen = await manager.call('audit.list', { query: { outcome: 'refused' } }, westAdmin);
    expect(seen.body.items.map(({ action }) => action)).toEqual(['enrollment_token.create']);
  });

  it('keeps credentials, and what callers call themselves, out of harm', async () => {
    const manager = await start();
    const response = await fetch(`${manager.url}/api/v1/groups`, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${manager.admin}`,
        'content-type': 'application/json',
        'user-agent': `${'x'.repeat(300)} ${manager.admin}`,
        'x-request-id': 'req-of-mine',
      },
      body: JSON.stringify({ name: `my token is ${manager.admin}` }),
    });
    expect(response.status).toBe(201);
    const { text } = await exported(manager);
    expect(text).not.toContain(manager.admin);
    const { body } = await manager.call('audit.list', { query: { request_id: 'req-of-mine' } });
    expect(body.items).toHaveLength(1);
    expect(body.items[0]?.details['name']).toBe('[redacted]');
  });

  it('is what a deed cannot do without: when it cannot be written, nothing happens', async () => {
    const manager = await start();
    const node = await manager.node();
    const token = (await manager.call('tokens.list')).body.items[0]?.id ?? '';
    const database = manager.manager.app.get(Database);
    const snapshot = async (): Promise<unknown> => {
      const tables = {
        node_groups: 'id',
        api_tokens: 'id, revoked_at',
        enrollment_tokens: 'id',
        nodes: 'id, revoked_at',
        events: 'id',
        freezes: 'id',
        upgrade_switches: '*',
      };
      const rows: unknown[] = [];
      for (const [table, columns] of Object.entries(tables)) {
        rows.push(await database.read.all(`SELECT ${columns} FROM ${table} ORDER BY 1`));
      }
      return rows;
    };
    await database.transaction((tx) => tx.run('ALTER TABLE audit_entries RENAME TO gone'));
    const before = await snapshot();
    const params = { id: 'grp_default' };
    const freeze = { from: '2030-01-01T00:00:00Z', to: '2030-01-02T00:00:00Z', name: 'x' };
    const tries = [
      await manager.call('tokens.create', { body: { name: 'x', role: 'super_admin' } }),
      await manager.call('tokens.revoke', { params: { id: token } }),
      await manager.call('groups.create', { body: { name: 'x' } }),
      await manager.call('groups.set_switch', { params, body: { mode: 'disabled' } }),
      await manager.call('groups.freeze', { params, body: freeze }),
      await manager.call('enrollment.create', { body: {} }),
      await manager.call('nodes.revoke', { params: { id: node.id } }),
    ];
    expect(tries.map(({ status }) => status >= 500)).toEqual(tries.map(() => true));
    expect(await snapshot()).toEqual(before);
    // A refusal that cannot be recorded is not answered as one either.
    const viewer = await manager.call('groups.create', {
      body: { name: 'x', parent_id: 'grp_000000' },
    });
    expect(viewer.status).toBeGreaterThanOrEqual(500);
    await database.transaction((tx) => tx.run('ALTER TABLE gone RENAME TO audit_entries'));
    expect((await manager.call('groups.create', { body: { name: 'x' } })).status).toBe(201);
  });
});

describe('every route that changes something', () => {
  const changing = (Object.keys(ROUTES) as RouteName[]).filter(
    (name) => ROUTES[name].method !== 'GET',
  );

  it.each(changing)('%s says as what it is audited', (name) => {
    expect(ACTION_OF_ROUTE).toHaveProperty([name]);
    const action = ACTION_OF_ROUTE[name] ?? null;
    if (action !== null) expect(AUDIT_ACTIONS).toContain(action);
  });

  it('has entries of the fields that are hashed, and no others', () => {
    expect(Object.keys(AuditEntry.shape)).toEqual([...RECORD_FIELDS]);
  });
});

describe('a caller whose attempts are refused again and again', () => {
  it('is slowed, and fills no log', async () => {
    const manager = await startTestManager();
    try {
      const east = await manager.group('east');
      const viewer = await manager.token('viewer', east);
      const statuses: number[] = [];
      const attempt = async (): Promise<number> =>
        (await manager.call('groups.create', { body: { name: 'x' } }, viewer)).status;
      statuses.push(await attempt());
      // Many at once: one by one a slow machine would be forgiven as fast as it tries.
      for (let i = 0; i < 10; i += 1) {
        statuses.push(...(await Promise.all(Array.from({ length: 30 }, attempt))));
      }
      expect(statuses).toContain(403);
      expect(statuses).toContain(429);
      const { text } = await (async () => {
        const { path } = requestOf('audit.export', { query: { outcome: 'refused' } });
        const headers = { authorization: `Bearer ${manager.admin}` };
        return { text: await (await fetch(manager.url + path, { headers })).text() };
      })();
      expect(text.trimEnd().split('\n').length).toBe(statuses.filter((one) => one === 403).length);
      expect((await manager.call('groups.list', {}, viewer)).status).toBe(200);
    } finally {
      await manager.stop();
    }
  });
});
