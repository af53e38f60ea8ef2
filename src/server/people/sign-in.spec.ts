import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { makeMigratedPostgres } from '../../../test/support/databases.js';
import { startTestManager, type TestManager } from '../../../test/support/manager.js';
import { join, makeBrowser, PASSWORD, type Browser } from '../../../test/support/people/browser.js';
import { MINUTE_MS, SECOND_MS } from '../../core/kernel/index.js';
import { codeOf, PACES, stepAt, TOTP_STEP_MS } from '../../core/people/index.js';
import { Database } from '../platform/index.js';
import { hashPassword, isOutdated, isPassword } from './password-hash.js';
import { SignIn } from './sign-in.js';
import { Users } from './users.store.js';
import { networkOf } from '../platform/http/index.js';

const signIn = (browser: Browser, body: object) =>
  browser.call('session.sign_in', { body: { login: 'ann', password: PASSWORD, ...body } });

for (const kind of ['sqlite', 'postgres'] as const) {
  describe(`signing in (${kind})`, () => {
    let manager: TestManager;
    let drop: (() => Promise<void>) | null = null;
    beforeEach(async () => {
      const made = kind === 'postgres' ? await makeMigratedPostgres() : null;
      drop = made?.drop ?? null;
      manager = await startTestManager(made === null ? {} : { DATABASE_URL: made.url });
    });
    afterEach(async () => {
      await manager.stop();
      await drop?.();
    });
    const audited = async (action: string) =>
      (await manager.call('audit.list', { query: { action, limit: 500 } })).body.items;

    it('takes the right password, and tells nothing about who exists', async () => {
      await join(manager, 'ann', { super_admin: true });
      await join(manager, 'gone', { super_admin: true });
      const users = await manager.call('users.list');
      const gone = users.body.items.find(({ login }) => login === 'gone');
      await manager.call('users.disable', { params: { id: gone?.id ?? '' } });
      const browser = makeBrowser(manager.url);
      const answers = [];
      for (const body of [{ login: 'nobody' }, { password: 'not-hers' }, { login: 'gone' }]) {
        const { status, body: told } = await signIn(browser, body);
        answers.push({ status, ...told, request_id: '' });
      }
      expect(answers[0]).toMatchObject({ status: 401, code: 'sign_in_failed' });
      expect(answers).toEqual([answers[0], answers[0], answers[0]]);
      expect((await signIn(browser, { login: ' ANN ' })).status).toBe(201);
      const entries = await audited('session.sign_in');
      expect(entries.filter(({ outcome }) => outcome === 'refused')).toHaveLength(3);
      expect(JSON.stringify(entries)).not.toMatch(/nobody|not-hers|seven-blue/);
    });

    it('takes no password that was changed while its hash was waited for', async () => {
      const ann = await join(manager, 'ann', { super_admin: true });
      const { app } = manager.manager;
      const user = await app.get(Users).byLogin('ann');
      const body = { current: PASSWORD, new: 'eight-green-anvils-sing' };
      expect((await ann.call('account.password', { body })).status).toBe(200);
      const caller = { kind: 'anonymous', id: '', name: '', grants: [], requestId: '' } as const;
      // What was read before the change: as it is for whoever stands in the line of hashes meanwhile.
      const entered = app
        .get(SignIn)
        .enter(
          { login: 'ann', password: PASSWORD },
          { caller: { ...caller, ip: '192.0.2.1' }, user, device: null },
          async () => 'in',
        );
      await expect(entered).rejects.toMatchObject({ code: 'sign_in_failed' });
      const refused = (await audited('session.sign_in')).filter((one) => one.outcome === 'refused');
      expect(refused).toMatchObject([{ target_id: ann.id, ip: '192.0.2.1' }]);
    });

    it('asks for the second factor once it is confirmed, and takes each code once', async () => {
      const ann = await join(manager, 'ann', { super_admin: true });
      const begun = await ann.call('account.begin_factor', { body: { password: PASSWORD } });
      expect(begun.status).toBe(201);
      const secret = fromBase32(begun.body['secret'] as string);
      const code = (): string => codeOf(secret, stepAt(manager.clock.now()));
      // Not confirmed: nothing has changed.
      expect((await signIn(makeBrowser(manager.url), {})).status).toBe(201);
      const wrong = await ann.call('account.confirm_factor', { body: { code: '000000' } });
      expect([wrong.status, wrong.body.code]).toEqual([401, 'second_factor_wrong']);
      const used = code();
      const confirmed = await ann.call('account.confirm_factor', { body: { code: used } });
      const codes = confirmed.body['recovery_codes'] as string[];
      expect(new Set(codes).size).toBe(10);

      const other = makeBrowser(manager.url);
      expect((await signIn(other, {})).body.code).toBe('second_factor_required');
      expect((await signIn(other, { code: '123456' })).body.code).toBe('sign_in_failed');
      expect((await signIn(other, { code: used })).body.code).toBe('sign_in_failed');
      manager.clock.advance(TOTP_STEP_MS);
      const now = code();
      const both = await Promise.all(
        [0, 1].map(() => signIn(makeBrowser(manager.url), { code: now })),
      );
      expect(both.map(({ status }) => status).sort()).toEqual([201, 401]);
      const recovery = { code: codes[0]?.toUpperCase() };
      expect((await signIn(other, recovery)).body['user']).toMatchObject({
        recovery_codes_left: 9,
      });
      expect((await signIn(makeBrowser(manager.url), recovery)).status).toBe(401);
      expect(await audited('factor.recovery')).toHaveLength(1);
      const log = JSON.stringify(
        (await manager.call('audit.list', { query: { limit: 500 } })).body,
      );
      for (const hidden of [begun.body['secret'] as string, ...codes]) {
        expect(log).not.toContain(hidden);
      }

      manager.clock.advance(TOTP_STEP_MS);
      const remove = { password: PASSWORD, code: code() };
      expect((await other.call('account.remove_factor', { body: remove })).status).toBe(204);
      expect((await signIn(makeBrowser(manager.url), {})).status).toBe(201);
    });

    it('is slowed down by failures, and the known browser of the owner is not', async () => {
      const ann = makeBrowser(manager.url);
      await join(manager, 'ann', { super_admin: true });
      expect((await signIn(ann, {})).status).toBe(201);
      const thief = makeBrowser(manager.url);
      for (let i = 0; i < PACES.pair.free; i += 1) {
        expect((await signIn(thief, { password: 'guess' })).status).toBe(401);
      }
      const limited = await signIn(thief, {});
      expect([limited.status, limited.headers.get('retry-after')]).toEqual([429, '1']);
      expect(await audited('session.lockout')).toMatchObject([{ details: { pace: 'pair' } }]);
      // The browser that was here before comes in, from the very same address.
      expect((await signIn(ann, {})).status).toBe(201);
      manager.clock.advance(15 * MINUTE_MS);
      expect((await signIn(thief, {})).status).toBe(201);
    });

    it('at once many times does not slip through', async () => {
      await join(manager, 'ann', { super_admin: true });
      const tries = await Promise.all(
        Array.from({ length: 30 }, () => signIn(makeBrowser(manager.url), { password: 'guess' })),
      );
      const looked = tries.filter(({ status }) => status === 401);
      expect(looked.length).toBeGreaterThanOrEqual(PACES.pair.free);
      // Some more when the machine is so slow that waits end meanwhile.
      expect(looked.length).toBeLessThan(PACES.pair.free + 10);
    });
  });
}

describe('ten thousand failed sign-ins', () => {
  it('cost few hashes, few entries, and lock nobody out', { timeout: 300_000 }, async () => {
    const manager = await startTestManager({ BELLWETHER_TRUSTED_PROXIES: '127.0.0.1' });
    try {
      const ann = makeBrowser(manager.url);
      await join(manager, 'ann', { super_admin: true });
      await join(manager, 'bob', { super_admin: true });
      await signIn(ann, {});
      const statuses = new Map<number, number>();
      for (let round = 0; round < 200; round += 1) {
        const answers = await Promise.all(
          Array.from({ length: 50 }, () => signIn(makeBrowser(manager.url), { password: 'guess' })),
        );
        for (const { status } of answers) statuses.set(status, (statuses.get(status) ?? 0) + 1);
        manager.clock.advance(SECOND_MS);
      }
      expect([...statuses.keys()].sort()).toEqual([401, 429]);
      // Waits double from one second: within 200 s there is room for the free ones and a few more.
      expect(statuses.get(401)).toBeLessThan(PACES.pair.free + 10);
      const { items } = (
        await manager.call('audit.list', { query: { action: 'session.sign_in', limit: 500 } })
      ).body;
      expect(items.filter(({ outcome }) => outcome === 'refused')).toHaveLength(
        statuses.get(401) ?? 0,
      );
      expect((await signIn(ann, {})).status).toBe(201);
      // Whoever is elsewhere notices nothing, not even the one that it is about, in a new browser.
      for (const login of ['bob', 'ann']) {
        const body = { login, password: PASSWORD };
        const elsewhere = { 'x-forwarded-for': '203.0.113.9' };
        const there = await makeBrowser(manager.url).call('session.sign_in', { body }, elsewhere);
        expect([login, there.status]).toEqual([login, 201]);
      }
      const rows = await manager.manager.app
        .get(Database)
        .read.get<{ count: number }>('SELECT count(*) AS count FROM sign_in_tries');
      expect(rows?.count).toBeLessThan(10);
      manager.clock.advance(15 * MINUTE_MS);
      expect((await signIn(makeBrowser(manager.url), {})).status).toBe(201);
    } finally {
      await manager.stop();
    }
  });
});

describe('a password hash', () => {
  it('is argon2id with the parameters in it, and another one each time', async () => {
    const [one, two] = await Promise.all([hashPassword(PASSWORD), hashPassword(PASSWORD)]);
    expect(one).toMatch(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$/);
    expect(one).not.toBe(two);
    expect(await isPassword(PASSWORD, one)).toBe(true);
    expect(await isPassword(`${PASSWORD} `, one)).toBe(false);
    expect(isOutdated(one)).toBe(false);
    expect(isOutdated(one.replace('t=2', 't=1'))).toBe(true);
  });

  it('that is missing or damaged is of no password', async () => {
    for (const hash of [null, '', 'x', '$argon2i$v=19$m=8,t=1,p=1$AAAA$AAAA']) {
      expect(await isPassword('', hash)).toBe(false);
    }
  });

  it('of another implementation is understood', async () => {
    // A test vector of the reference implementation: password, somesalt, t=2, m=2^16, p=1.
    const known =
      '$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc';
    expect(await isPassword('password', known)).toBe(true);
  });
});

describe('the network of an address', () => {
  it.each([
    ['192.0.2.7', '192.0.2.7'],
    ['::ffff:192.0.2.7', '192.0.2.7'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2'],
    ['2001:db8:1:2::9', '2001:db8:1:2'],
    ['2001:0db8::1', '2001:db8:0:0'],
    ['::1', '0:0:0:0'],
  ])('%s is %s', (ip, network) => expect(networkOf(ip)).toBe(network));
});

function fromBase32(text: string): Buffer {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
  const bits = Array.from(text, (c) => alphabet.indexOf(c).toString(2).padStart(5, '0')).join('');
  return Buffer.from(bits.match(/.{8}/g)!.map((byte) => Number.parseInt(byte, 2)));
}
