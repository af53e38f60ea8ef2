import { afterEach, describe, expect, it } from 'vitest';
import { startTestManager, type TestManager } from '../../../test/support/manager.js';
import { join, makeBrowser, PASSWORD, type Browser } from '../../../test/support/people/browser.js';
import { withSecondFactor } from '../../../test/support/people/second-factor.js';

let manager: TestManager;
afterEach(() => manager.stop());

const codeOf = async (answer: ReturnType<Browser['call']>) => {
  const { status, body } = await answer;
  return status < 300 ? status : body.code;
};
const MISSING = 'second_factor_missing';

/** One of each, all without a second factor. */
async function people(env: Readonly<Record<string, string>>) {
  manager = await startTestManager(env);
  const group = await manager.group('own');
  return {
    group,
    viewer: await join(manager, 'viewer', { group_id: group, role: 'viewer' }),
    operator: await join(manager, 'operator', { group_id: group, role: 'operator' }),
    admin: await join(manager, 'admin', { group_id: group, role: 'admin' }),
    super_admin: await join(manager, 'root', { super_admin: true }),
  };
}

describe('a second factor that is compulsory', () => {
  it.each([
    [{}, [200, 200, 200, 200]],
    [{ BELLWETHER_SECOND_FACTOR_FOR: 'admins' }, [200, 200, MISSING, MISSING]],
    [{ BELLWETHER_SECOND_FACTOR_FOR: 'everybody' }, [MISSING, MISSING, MISSING, MISSING]],
  ])('with %j lets in viewer, operator, admin and super admin: %j', async (env, expected) => {
    const { viewer, operator, admin, super_admin: root } = await people(env);
    const told = [];
    for (const one of [viewer, operator, admin, root])
      told.push(await codeOf(one.call('groups.list')));
    expect(told).toEqual(expected);
  });

  it('leaves a session without one nothing but setting it up', async () => {
    const { admin, group } = await people({ BELLWETHER_SECOND_FACTOR_FOR: 'admins' });
    const me = await admin.call('session.show');
    expect([me.status, me.body['second_factor_missing']]).toEqual([200, true]);
    const params = { id: group };
    const tries = [
      admin.call('members.set', { params, body: { login: 'viewer', role: 'admin' } }),
      admin.call('invitations.create', { body: { note: 'x', group_id: group, role: 'admin' } }),
      admin.call('sessions.list'),
      admin.call('account.password', { body: { current: PASSWORD, new: 'nine-green-owls-sing' } }),
      admin.call('nodes.list'),
      admin.call('audit.list'),
    ];
    expect(await Promise.all(tries.map(codeOf))).toEqual(tries.map(() => MISSING));
    // Somebody else's session is the same: it is about the person.
    const other = makeBrowser(manager.url);
    const body = { login: 'admin', password: PASSWORD, as: 'token' };
    const signedIn = await other.call('session.sign_in', { body });
    const token = signedIn.body['token'] as string;
    expect((await manager.call('groups.list', {}, token)).body.code).toBe(MISSING);

    await withSecondFactor(manager, admin);
    expect(await codeOf(admin.call('groups.list'))).toBe(200);
    expect((await admin.call('session.show')).body['second_factor_missing']).toBe(false);
    const { items } = (await manager.call('audit.list', { query: { outcome: 'refused' } })).body;
    expect(items.map(({ details }) => details['error_code'])).toContain(MISSING);
  });

  it('comes with the role, at once, and with the loss of the factor', async () => {
    const { viewer, admin, group } = await people({ BELLWETHER_SECOND_FACTOR_FOR: 'admins' });
    const set = { params: { id: group }, body: { login: 'viewer', role: 'admin' as const } };
    expect((await manager.call('members.set', set)).status).toBe(200);
    expect(await codeOf(viewer.call('groups.list'))).toBe(MISSING);

    const factor = await withSecondFactor(manager, admin);
    const body = { password: PASSWORD, code: factor.nextCode() };
    expect(await codeOf(admin.call('account.remove_factor', { body }))).toBe(204);
    expect(await codeOf(admin.call('groups.list'))).toBe(MISSING);
  });
});
