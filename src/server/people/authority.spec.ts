import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { makeMigratedPostgres } from '../../../test/support/databases.js';
import { startTestManager, type TestManager } from '../../../test/support/manager.js';
import { join, makeBrowser, PASSWORD, type Browser } from '../../../test/support/people/browser.js';
import { DAY_MS, HOUR_MS } from '../../core/kernel/index.js';

type Person = Browser & { readonly id: string };

for (const kind of ['sqlite', 'postgres'] as const) {
  describe(`authority (${kind})`, () => {
    let manager: TestManager;
    let drop: (() => Promise<void>) | null = null;
    let east: string;
    let west: string;
    let root: Person;
    let admin: Person;
    let viewer: Person;
    beforeEach(async () => {
      const made = kind === 'postgres' ? await makeMigratedPostgres() : null;
      drop = made?.drop ?? null;
      manager = await startTestManager(made === null ? {} : { DATABASE_URL: made.url });
      east = await manager.group('east');
      west = await manager.group('west');
      root = await join(manager, 'root', { super_admin: true });
      admin = await join(manager, 'east-admin', { group_id: east, role: 'admin' });
      viewer = await join(manager, 'east-viewer', { group_id: east, role: 'viewer' });
    });
    afterEach(async () => {
      await manager.stop();
      await drop?.();
    });

    const told = async (answer: ReturnType<Browser['call']>) => {
      const { status, body } = await answer;
      return status < 300 ? status : [status, body.code];
    };
    const setMember = (by: Browser, group: string, login: string, role: string) =>
      told(by.call('members.set', { params: { id: group }, body: { login, role } }));
    const update = (by: Browser, id: string, body: object) =>
      told(by.call('users.update', { params: { id }, body }));

    it('of a group is managed by its admins, there and below, and nowhere else', async () => {
      const hall = await manager.group('hall', east);
      expect(await setMember(admin, east, 'east-viewer', 'operator')).toBe(200);
      expect(await setMember(admin, hall, 'east-viewer', 'admin')).toBe(200);
      for (const group of [west, 'grp_default', 'grp_nowhere']) {
        expect(await setMember(admin, group, 'east-admin', 'admin')).toEqual([404, 'not_found']);
        const list = admin.call('members.list', { params: { id: group } });
        expect(await told(list)).toEqual([404, 'not_found']);
      }
      const refused = [403, 'insufficient_role'];
      expect(await setMember(viewer, east, 'east-viewer', 'admin')).toEqual(refused);
      const members = (await admin.call('members.list', { params: { id: east } })).body;
      expect(members['items']).toMatchObject([
        { login: 'east-admin', role: 'admin', source: 'manual' },
        { login: 'east-viewer', role: 'operator' },
      ]);
      const params = { id: east, user: viewer.id };
      expect(await told(admin.call('members.remove', { params }))).toBe(204);
      expect(await told(admin.call('members.remove', { params }))).toEqual([404, 'not_found']);
    });

    it('is not raised by any field that could carry it', async () => {
      const bad = [400, 'invalid_request'];
      const forbidden = [403, 'insufficient_role'];
      for (const role of ['super_admin', 'release', 'ADMIN', '', null]) {
        expect(await setMember(admin, east, 'east-admin', role as string)).toEqual(bad);
      }
      for (const id of [admin.id, root.id]) {
        expect(await update(admin, id, { super_admin: true })).toEqual(forbidden);
      }
      const invite = (body: object) =>
        told(admin.call('invitations.create', { body: { note: 'x', ...body } }));
      expect(await invite({ super_admin: true })).toEqual(forbidden);
      expect(await invite({ super_admin: true, group_id: east, role: 'viewer' })).toEqual(
        forbidden,
      );
      expect(await invite({ group_id: east, role: 'super_admin' })).toEqual(bad);
      expect(await invite({ group_id: west, role: 'viewer' })).toEqual([404, 'not_found']);
      expect(await invite({ group_id: east, role: 'admin', is_super_admin: true })).toEqual(bad);
      expect(await invite({ group_id: east, role: 'admin' })).toBe(201);
      const token = { name: 'x', role: 'super_admin' };
      expect(await told(admin.call('tokens.create', { body: token }))).toEqual(forbidden);

      const { secret } = (
        await manager.call('invitations.create', {
          body: { note: 'x', group_id: east, role: 'viewer' },
        })
      ).body;
      const body = { secret, login: 'eve', name: 'Eve', password: PASSWORD };
      const stranger = makeBrowser(manager.url);
      for (const more of [
        { super_admin: true },
        { role: 'admin' },
        { group_id: west },
        { id: 'x' },
      ]) {
        const answer = stranger.call('invitations.accept', { body: { ...body, ...more } });
        expect(await told(answer)).toEqual(bad);
      }
      expect((await stranger.call('invitations.accept', { body })).body['grants']).toEqual([
        { role: 'viewer', group_id: east },
      ]);
      const escalate = { current: PASSWORD, new: 'another-long-sentence', super_admin: true };
      expect(await told(stranger.call('account.password', { body: escalate }))).toEqual(bad);
    });

    it('is gone with the next request once it is taken away', async () => {
      expect((await viewer.call('nodes.list')).status).toBe(200);
      await admin.call('members.remove', { params: { id: east, user: viewer.id } });
      expect((await viewer.call('nodes.list')).status).toBe(403);
      expect((await viewer.call('session.show')).status).toBe(200);
      await root.call('users.disable', { params: { id: viewer.id } });
      expect((await viewer.call('session.show')).status).toBe(401);
      await root.call('users.enable', { params: { id: viewer.id } });
      // Enabled is not signed in.
      expect((await viewer.call('session.show')).status).toBe(401);
    });

    it('ends by itself where it was given for a time', async () => {
      const body = { login: 'east-viewer', role: 'operator', expires_in_days: 1 };
      await admin.call('members.set', { params: { id: east }, body });
      const guest = await join(
        manager,
        'guest',
        { group_id: east, role: 'viewer' },
        {
          user_expires_in_days: 1,
        },
      );
      expect((await guest.call('nodes.list')).status).toBe(200);
      for (let hour = 0; hour < 48; hour += 1) {
        manager.clock.advance(HOUR_MS / 2);
        await root.call('session.show');
        await guest.call('session.show');
      }
      expect((await guest.call('session.show')).status).toBe(401);
      const again = makeBrowser(manager.url);
      const signIn = { login: 'guest', password: PASSWORD };
      expect(await told(again.call('session.sign_in', { body: signIn }))).toEqual([
        401,
        'sign_in_failed',
      ]);
      const other = makeBrowser(manager.url);
      await other.call('session.sign_in', { body: { ...signIn, login: 'east-viewer' } });
      expect((await other.call('nodes.list')).status).toBe(403);
      const shown = await manager.call('users.show', { params: { id: guest.id } });
      expect(shown.body.status).toBe('expired');
    });

    it('of the last super admin stays', async () => {
      const stays = [409, 'last_super_admin'];
      const disable = (by: Browser, id: string) =>
        told(by.call('users.disable', { params: { id } }));
      const guest = await join(
        manager,
        'guest',
        { super_admin: true },
        { user_expires_in_days: 9 },
      );
      expect(await disable(root, root.id)).toEqual(stays);
      expect(await update(guest, root.id, { super_admin: false })).toEqual(stays);
      // Whoever ends by himself leaves nobody behind.
      expect(await update(root, root.id, { expires_in_days: 1 })).toEqual(stays);
      const bob = await join(manager, 'bob', { super_admin: true });
      const both = await Promise.all([
        update(root, bob.id, { super_admin: false }),
        update(bob, root.id, { super_admin: false }),
        disable(root, bob.id),
        disable(bob, root.id),
      ]);
      expect(both.length).toBe(4);
      const { items } = (await manager.call('users.list')).body;
      const left = items.filter(
        (user) => user.super_admin && user.status === 'active' && user.expires_at === null,
      );
      expect(left).toHaveLength(1);
    });

    it('that was promised ends with him who promised it', async () => {
      const invited = await admin.call('invitations.create', {
        body: { note: 'later', group_id: east, role: 'admin' },
      });
      const params = { id: east, user: admin.id };
      await manager.call('members.remove', { params });
      const { secret } = invited.body as unknown as { secret: string };
      const body = { secret, login: 'eve', name: 'Eve', password: PASSWORD };
      const answer = makeBrowser(manager.url).call('invitations.accept', { body });
      expect(await told(answer)).toEqual([401, 'invitation_invalid']);
    });

    it('goes by names of which none looks like another', async () => {
      const accept = async (login: string) => {
        const body = { note: login, group_id: east, role: 'viewer' as const };
        const invited = await manager.call('invitations.create', { body });
        const { secret } = invited.body;
        const given = { secret, login, name: 'x', password: PASSWORD };
        return told(makeBrowser(manager.url).call('invitations.accept', { body: given }));
      };
      expect(await accept('paul.m')).toBe(201);
      // The first letter of the first two is Cyrillic, then full-width, then one that is not seen.
      for (const login of [
        '\u0440aul.m',
        '\u0420aul.m',
        '\uff50aul.m',
        'paul\u200b.m',
        'p\u00e4ul',
      ]) {
        expect([login, await accept(login)]).toEqual([login, [400, 'invalid_request']]);
      }
      for (const login of ['paul.m', 'PAUL.M', 'pau1.m', 'paul-m', 'paul_m']) {
        expect([login, await accept(login)]).toEqual([login, [409, 'conflict']]);
      }
      expect(await accept('paula')).toBe(201);
    });

    it('that was promised is worth what its maker could promise now', async () => {
      const invite = async (by: Browser, body: object): Promise<string> =>
        (await by.call('invitations.create', { body: { note: 'later', ...body } })).body[
          'secret'
        ] as string;
      const accept = (secret: string, login: string) =>
        told(
          makeBrowser(manager.url).call('invitations.accept', {
            body: { secret, login, name: login, password: PASSWORD },
          }),
        );
      const invalid = [401, 'invitation_invalid'];
      // What others do to a role elsewhere, or on top of a higher one, ends nothing.
      const far = await invite(root, { group_id: west, role: 'admin' });
      expect(await setMember(admin, east, 'root', 'viewer')).toBe(200);
      await admin.call('members.remove', { params: { id: east, user: root.id } });
      expect(await accept(far, 'far')).toBe(201);

      const body = { login: 'east-viewer', role: 'admin', expires_in_days: 1 };
      await admin.call('members.set', { params: { id: east }, body });
      const late = await invite(viewer, { group_id: east, role: 'admin', expires_in_hours: 336 });
      const token = await manager.call('tokens.create', {
        body: { name: 'stolen', role: 'super_admin' },
      });
      const stolen = await manager.call(
        'invitations.create',
        { body: { note: 'x', super_admin: true, expires_in_hours: 336 } },
        token.body.secret,
      );
      await manager.call('tokens.revoke', { params: { id: token.body.id } });
      expect(await accept(stolen.body.secret, 'thief')).toEqual(invalid);
      const moved = await manager.group('moved', east);
      const away = await invite(admin, { group_id: moved, role: 'viewer' });
      await manager.call('groups.change', { params: { id: moved }, body: { parent_id: west } });
      expect(await accept(away, 'away')).toEqual(invalid);
      manager.clock.advance(2 * DAY_MS);
      expect(await accept(late, 'late')).toEqual(invalid);
    });

    it('of a token by name makes no super admin, and gives no role that can more', async () => {
      const refused = [403, 'insufficient_role'];
      const by = async (name: 'users.update', given: object, secret: string) => {
        const { status, body } = await manager.call(name, given, secret);
        return status < 300 ? status : [status, body.code];
      };
      const named = async (permissions: string[], group_id: string | null) =>
        (
          await manager.call('tokens.create', {
            body: { name: 'x', permissions, group_id } as never,
          })
        ).body.secret;
      const people = await named(['user.manage', 'member.manage'], null);
      const params = { id: viewer.id };
      expect(await by('users.update', { params, body: { name: 'Kim' } }, people)).toBe(200);
      expect(await by('users.update', { params, body: { super_admin: true } }, people)).toEqual(
        refused,
      );
      const call = by as unknown as (name: string, given: object, secret: string) => unknown;
      for (const name of ['users.disable', 'users.sign_out', 'users.reset_factor']) {
        expect(await call(name, { params: { id: root.id } }, people)).toEqual(refused);
      }
      const invite = (body: object, secret: string) =>
        call('invitations.create', { body: { note: 'x', ...body } }, secret);
      expect(await invite({ super_admin: true }, people)).toEqual(refused);
      expect(await invite({ group_id: east, role: 'viewer' }, people)).toEqual(refused);
      const members = await named(['member.manage', 'group.view'], east);
      const body = { login: 'east-viewer', role: 'admin' };
      expect(await call('members.set', { params: { id: east }, body }, members)).toEqual(refused);
      const gone = { params: { id: east, user: viewer.id } };
      expect(await call('members.remove', gone, members)).toBe(204);
    });

    it('of an invitation is given once, in time, until it is taken back', async () => {
      const invite = async () =>
        (
          await admin.call('invitations.create', {
            body: { note: 'x', group_id: east, role: 'viewer', expires_in_hours: 1 },
          })
        ).body as unknown as { id: string; secret: string; link: string };
      const accept = (secret: string, login: string) =>
        told(
          makeBrowser(manager.url).call('invitations.accept', {
            body: { secret, login, name: login, password: PASSWORD },
          }),
        );
      const invalid = [401, 'invitation_invalid'];
      const one = await invite();
      expect(one.link).toBe(`${manager.url}/#/invitation/${one.secret}`);
      const both = await Promise.all([accept(one.secret, 'amy'), accept(one.secret, 'zoe')]);
      expect(both).toContainEqual(201);
      expect(both).toContainEqual(invalid);

      const two = await invite();
      // Taken, and alike: the invitation is not used up by the refusal.
      expect(await accept(two.secret, 'root')).toEqual([409, 'conflict']);
      expect(await accept(two.secret, 'r00t')).toEqual([409, 'conflict']);
      expect(await accept(two.secret, '\u0430nn')).toEqual([400, 'invalid_request']);
      const west1 = await join(manager, 'west-admin', { group_id: west, role: 'admin' });
      const revoke = (by: Browser) =>
        told(by.call('invitations.revoke', { params: { id: two.id } }));
      expect((await west1.call('invitations.list')).body['items']).toEqual([]);
      expect(await revoke(west1)).toEqual([404, 'not_found']);
      expect((await admin.call('invitations.list')).body['items']).toHaveLength(1);
      expect(await revoke(admin)).toBe(204);
      expect(await accept(two.secret, 'kim')).toEqual(invalid);

      const three = await invite();
      manager.clock.advance(DAY_MS);
      expect(await accept(three.secret, 'kim')).toEqual(invalid);
      const stored = JSON.stringify(
        (await manager.call('audit.list', { query: { limit: 500 } })).body,
      );
      for (const { secret } of [one, two, three]) expect(stored).not.toContain(secret);
    });
  });
}
