import { once } from 'node:events';
import { connect } from 'node:net';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeOnBothDatabases, makeMigratedPostgres } from '../../../test/support/databases.js';
import { startTestManager, type TestManager } from '../../../test/support/manager.js';
import { join } from '../../../test/support/people/browser.js';
import { DAY_MS, MINUTE_MS } from '../../core/kernel/index.js';
import type { Call } from '../../protocol/api/index.js';
import { Database } from '../platform/database/index.js';
import { OpenRequests } from './open-requests.js';

type Wanted = Call<'tokens.create'>['body'];

describeOnBothDatabases('tokens', (_, kind) => {
  let manager: TestManager;
  let own: string;
  let drop = async (): Promise<void> => undefined;
  beforeAll(async () => {
    const postgres = kind === 'postgres' ? await makeMigratedPostgres() : null;
    if (postgres !== null) drop = () => postgres.drop();
    manager = await startTestManager(postgres === null ? {} : { DATABASE_URL: postgres.url });
    own = await manager.group('own');
  });
  afterAll(async () => {
    await manager.stop();
    await drop();
  });

  const make = async (body: Wanted, by?: string) => manager.call('tokens.create', { body }, by);
  const made = async (body: Wanted): Promise<{ id: string; secret: string }> => {
    const reply = await make(body);
    expect(reply.status, JSON.stringify(reply.body)).toBe(201);
    return reply.body;
  };
  const works = async (secret: string): Promise<boolean> =>
    (await manager.call('events.list', {}, secret)).status === 200;

  it('with permissions by name do that and nothing else', async () => {
    const { id, secret } = await made({ name: 'siem', permissions: ['event.view'], group_id: own });
    expect(await works(secret)).toBe(true);
    for (const name of ['nodes.list', 'audit.list', 'groups.list', 'tokens.list'] as const) {
      const refused = await manager.call(name, {}, secret);
      expect([name, refused.status, refused.body.code]).toEqual([name, 403, 'insufficient_role']);
    }
    const { body } = await manager.call('tokens.list', { query: { limit: 100 } });
    expect(body.items.find((token) => token.id === id)).toMatchObject({
      role: null,
      permissions: ['event.view'],
      group_id: own,
      last_used_from: expect.stringMatching(/127\.0\.0\.1|::1/) as string,
    });
    expect(JSON.stringify(body)).not.toContain(secret);
  });

  it('are made of a role or of permissions, for a year at most', async () => {
    const wrong: unknown[] = [
      { name: 'both', role: 'viewer', permissions: ['event.view'], group_id: own },
      { name: 'neither', group_id: own },
      { name: 'empty', permissions: [], group_id: own },
      { name: 'unknown', permissions: ['event.everything'] },
      { name: 'public', permissions: ['public'] },
      // There are no users and no releases of a group: it would be all of them.
      { name: 'users', permissions: ['event.view', 'user.manage'], group_id: own },
      { name: 'releases', permissions: ['release.publish'], group_id: own },
      { name: 'long', role: 'release', expires_in_days: 366 },
      { name: 'nowhere', role: 'viewer' },
    ];
    for (const body of wrong) expect((await make(body as Wanted)).status).toBe(400);
    const elsewhere = await make({
      name: 'x',
      permissions: ['event.view'],
      group_id: 'grp_nowhere',
    });
    expect(elsewhere.status).toBe(404);
  });

  it('make none that can more than they', async () => {
    const maker = await made({
      name: 'maker',
      permissions: ['token.manage', 'event.view'],
      group_id: own,
    });
    const below = await manager.group(`below ${maker.id}`, own);
    const tryAll: [Wanted, number][] = [
      [{ name: 'same', permissions: ['event.view'], group_id: own }, 201],
      [{ name: 'below', permissions: ['event.view', 'token.manage'], group_id: below }, 201],
      [{ name: 'more', permissions: ['event.view', 'audit.view'], group_id: own }, 403],
      [{ name: 'role', role: 'viewer', group_id: own }, 403],
      [{ name: 'everywhere', permissions: ['event.view'] }, 403],
      [{ name: 'super', role: 'super_admin' }, 403],
      [{ name: 'release', role: 'release' }, 403],
      [{ name: 'above', permissions: ['event.view'], group_id: 'grp_default' }, 404],
    ];
    for (const [body, status] of tryAll) {
      expect([body.name, (await make(body, maker.secret)).status]).toEqual([body.name, status]);
    }
    // Nor ends or rotates what is out of its sight, nor rotates what can more.
    const admin = await made({ name: 'admin', role: 'admin', group_id: own });
    const far = await made({ name: 'far', role: 'release' });
    const rotate = (id: string) =>
      manager.call('tokens.rotate', { params: { id }, body: {} }, maker.secret);
    expect((await rotate(admin.id)).body.code).toBe('token_exceeds_maker');
    expect((await rotate(far.id)).status).toBe(404);
    const revoke = await manager.call('tokens.revoke', { params: { id: far.id } }, maker.secret);
    expect(revoke.status).toBe(404);
    const { body } = await manager.call('tokens.list', { query: { limit: 100 } }, maker.secret);
    expect(new Set(body.items.map((token) => token.group_id))).toEqual(new Set([own, below]));
  });

  it('are rotated in one step, with some minutes of grace if asked for', async () => {
    const old = await made({ name: 'ci', permissions: ['event.view'], group_id: own });
    const rotate = (id: string, grace: number) =>
      manager.call('tokens.rotate', { params: { id }, body: { grace_minutes: grace } });
    const next = await rotate(old.id, 5);
    expect(next.status).toBe(201);
    expect(next.body).toMatchObject({ name: 'ci', permissions: ['event.view'], group_id: own });
    expect([await works(old.secret), await works(next.body.secret)]).toEqual([true, true]);
    manager.clock.advance(5 * MINUTE_MS);
    expect([await works(old.secret), await works(next.body.secret)]).toEqual([false, true]);
    expect((await rotate(old.id, 0)).status).toBe(409);

    const tries = await Promise.all([1, 2, 3].map(() => rotate(next.body.id, 0)));
    expect(tries.filter(({ status }) => status === 201)).toHaveLength(1);
    expect(await works(next.body.secret)).toBe(false);
  });

  it('that are revoked are cut off in the middle of what they do', async () => {
    const { id, secret } = await made({ name: 'upload', role: 'release' });
    const { port } = new URL(manager.url);
    const socket = connect(Number(port), '127.0.0.1');
    await once(socket, 'connect');
    socket.write(
      `PUT /api/v1/blobs/sha256/${'1'.repeat(64)} HTTP/1.1\r\nHost: x\r\n` +
        `Authorization: Bearer ${secret}\r\nContent-Length: 1000000\r\n\r\nbegun`,
    );
    const closed = once(socket, 'close');
    await expect
      .poll(async () => (await manager.call('tokens.list', { query: { limit: 100 } })).body.items)
      .toContainEqual(expect.objectContaining({ id, last_used_at: expect.any(String) as string }));
    await manager.call('tokens.revoke', { params: { id } });
    await closed;
    expect(await works(secret)).toBe(false);
  });

  /** Begins an upload with a token, and gives the end of its connection. */
  async function uploading(secret: string): Promise<{ closed: Promise<unknown> }> {
    const socket = connect(Number(new URL(manager.url).port), '127.0.0.1');
    await once(socket, 'connect');
    socket.write(
      `PUT /api/v1/blobs/sha256/${'2'.repeat(64)} HTTP/1.1\r\nHost: x\r\n` +
        `Authorization: Bearer ${secret}\r\nContent-Length: 1000000\r\n\r\nbegun`,
    );
    const closed = once(socket, 'close');
    const open = manager.manager.app.get(OpenRequests);
    await expect.poll(() => open.size).toBe(1);
    return { closed };
  }

  it('end with the person who made them, also in the middle of what they do', async () => {
    await join(manager, `stays-${kind}`, { super_admin: true });
    const maker = await join(manager, `maker-${kind}`, { super_admin: true });
    const tokenOf = async (name: string) => {
      const reply = await maker.call('tokens.create', { body: { name, role: 'super_admin' } });
      return reply.body as unknown as { id: string; secret: string };
    };
    const token = await tokenOf('of somebody');
    const child = await manager.call(
      'tokens.create',
      { body: { name: 'made by that', permissions: ['event.view'] } },
      token.secret,
    );
    const listed = await manager.call('tokens.list', { query: { limit: 100 } });
    const made = listed.body.items.filter(({ made_by: by }) => by === maker.id);
    expect(made.map(({ name }) => name).sort()).toEqual(['made by that', 'of somebody']);
    const { closed } = await uploading(token.secret);
    const disabled = await manager.call('users.disable', { params: { id: maker.id } });
    expect(disabled.status).toBe(200);
    await closed;
    expect([await works(token.secret), await works(child.body.secret)]).toEqual([false, false]);

    // Who comes back has them again; what ends by itself ends them too.
    await manager.call('users.enable', { params: { id: maker.id } });
    expect([await works(token.secret), await works(child.body.secret)]).toEqual([true, true]);
    const params = { id: maker.id };
    await manager.call('users.update', { params, body: { expires_in_days: 1 } });
    const next = await uploading(token.secret);
    manager.clock.advance(DAY_MS);
    await next.closed;
    expect(await works(token.secret)).toBe(false);
    await manager.call('users.update', { params, body: { expires_in_days: null } });
    expect(await works(token.secret)).toBe(true);
  });

  it('end for good when their maker is a super admin no more', async () => {
    await join(manager, `keeper-${kind}`, { super_admin: true });
    const maker = await join(manager, `demoted-${kind}`, { super_admin: true });
    const body = { name: 'of somebody else', role: 'super_admin' };
    const made = await maker.call('tokens.create', { body });
    const secret = (made.body as unknown as { secret: string }).secret;
    expect(await works(secret)).toBe(true);
    const params = { id: maker.id };
    await manager.call('users.update', { params, body: { super_admin: false } });
    expect(await works(secret)).toBe(false);
    await manager.call('users.update', { params, body: { super_admin: true } });
    expect(await works(secret)).toBe(false);
  });

  /** Begins an upload that never ends, and resolves when it is cut. */
  const uploadUntilCut = async (headers: string): Promise<{ readonly cut: Promise<unknown> }> => {
    const { port } = new URL(manager.url);
    const socket = connect(Number(port), '127.0.0.1');
    await once(socket, 'connect');
    socket.write(
      `PUT /api/v1/blobs/sha256/${'2'.repeat(64)} HTTP/1.1\r\nHost: x\r\n${headers}` +
        `Expect: 100-continue\r\nContent-Length: 1000000\r\n\r\n`,
    );
    const cut = once(socket, 'close');
    // It is let in: from here on it is only the end of its credential that can end it.
    expect(String((await once(socket, 'data'))[0])).toContain('100 Continue');
    socket.write('begun');
    socket.resume();
    return { cut };
  };

  it('and sessions that are ended elsewhere are cut off in the middle, too', async () => {
    const { id, secret } = await made({ name: 'upload', role: 'release' });
    const upload = await uploadUntilCut(`Authorization: Bearer ${secret}\r\n`);
    const kim = await join(manager, 'kim', { super_admin: true });
    const cookie = [...kim.cookies].map(([name, value]) => `${name}=${value}`).join('; ');
    const ofKim = await uploadUntilCut(`Cookie: ${cookie}\r\nX-Bellwether-CSRF: ${kim.csrf}\r\n`);
    // As another manager on the same database would.
    await manager.manager.app
      .get(Database)
      .transaction((tx) =>
        tx.run('UPDATE api_tokens SET revoked_at = ? WHERE id = ?', [manager.clock.now(), id]),
      );
    const out = await manager.call('users.sign_out', { params: { id: kim.id } });
    expect(out.status).toBe(204);
    manager.clock.advance(MINUTE_MS);
    await Promise.all([upload.cut, ofKim.cut]);
  });
});
