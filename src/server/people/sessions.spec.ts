import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { startTestManager, type TestManager } from '../../../test/support/manager.js';
import { join, makeBrowser, PASSWORD, type Browser } from '../../../test/support/people/browser.js';
import { startManager } from '../manager.js';
import { makeTempDir, silentLog } from '../../../test/support/databases.js';
import { makeClock } from '../../../test/support/manager.js';
import { loadConfig } from '../platform/index.js';
import {
  COOKIE_IDLE_MS,
  COOKIE_LIFETIME_MS,
  ROTATE_MS,
  ROTATION_GRACE_MS,
  TOKEN_LIFETIME_MS,
} from './sessions.store.js';

let manager: TestManager;
let ann: Browser & { readonly id: string };
beforeEach(async () => {
  manager = await startTestManager();
  ann = await join(manager, 'ann', { super_admin: true });
});
afterEach(() => manager.stop());

const signIn = (body: object = {}, browser = makeBrowser(manager.url)) =>
  browser.call('session.sign_in', { body: { login: 'ann', password: PASSWORD, ...body } });
const copyOf = (browser: Browser): Browser => {
  const copy = makeBrowser(manager.url);
  for (const [name, value] of browser.cookies) copy.cookies.set(name, value);
  copy.csrf = browser.csrf;
  return copy;
};
const group = { body: { name: 'east' } };

describe('a session', () => {
  it('is a cookie that no script can read and no other site can send', async () => {
    const { headers } = await signIn();
    expect(headers.getSetCookie()).toEqual([
      expect.stringMatching(
        /^bellwether=bwc_[0-9a-z]{40}; Path=\/; Max-Age=86400; HttpOnly; SameSite=Strict$/,
      ),
      expect.stringMatching(/^bellwether-device=bwd_.*; HttpOnly; SameSite=Strict$/),
    ]);
  });

  it('has the prefix __Host- and is Secure where TLS is', async () => {
    const dir = makeTempDir();
    const config = loadConfig({
      BELLWETHER_DATA_DIR: dir.path,
      BELLWETHER_PORT: '0',
      BELLWETHER_PUBLIC_URL: 'https://fleet.example',
    });
    const behind = await startManager({ config, log: silentLog, clock: makeClock() });
    const address = behind.app.getHttpServer().address() as { port: number };
    const body = { setup_token: behind.setupToken, login: 'ann', name: 'Ann', password: PASSWORD };
    const answer = await makeBrowser(`http://127.0.0.1:${address.port}`).call('setup.first_user', {
      body,
    });
    expect(answer.headers.getSetCookie()[0]).toMatch(
      /^__Host-bellwether=bwc_\w+; Path=\/; Max-Age=86400; HttpOnly; Secure; SameSite=Strict$/,
    );
    await behind.stop();
    dir.remove();
  });

  it('stores hashes, never the secret', async () => {
    const secret = ann.cookies.get('bellwether') ?? '';
    const { items } = (await ann.call('sessions.list')).body as unknown as { items: object[] };
    expect(items).toHaveLength(1);
    expect(JSON.stringify(items)).not.toContain(secret);
  });

  it('that is idle or old is over', async () => {
    manager.clock.advance(COOKIE_IDLE_MS - 1_000);
    expect((await ann.call('session.show')).status).toBe(200);
    manager.clock.advance(COOKIE_IDLE_MS);
    expect((await ann.call('session.show')).status).toBe(401);
    expect(ann.cookies.has('bellwether')).toBe(false);

    const other = makeBrowser(manager.url);
    await signIn({}, other);
    const step = COOKIE_IDLE_MS / 2;
    for (let spent = 0; spent < COOKIE_LIFETIME_MS; spent += step) {
      expect((await other.call('session.show')).status).toBe(200);
      manager.clock.advance(step);
    }
    expect((await other.call('session.show')).status).toBe(401);
  });

  it('gets a new secret now and then; the old one ends it for both once it comes late', async () => {
    const thief = copyOf(ann);
    const before = ann.cookies.get('bellwether');
    manager.clock.advance(ROTATE_MS);
    expect((await ann.call('session.show')).status).toBe(200);
    expect(ann.cookies.get('bellwether')).not.toBe(before);
    // Requests that were on their way are not lost, and the CSRF value stays.
    expect((await copyOf(thief).call('groups.create', group)).status).toBe(201);
    manager.clock.advance(ROTATION_GRACE_MS + 1);
    expect((await thief.call('session.show')).status).toBe(401);
    expect((await ann.call('session.show')).status).toBe(401);
    const audit = await manager.call('audit.list', { query: { action: 'session.reuse' } });
    expect(audit.body.items).toMatchObject([{ outcome: 'refused', target_id: ann.id }]);
  });

  it('needs its own CSRF value for whatever changes something', async () => {
    const bob = await join(manager, 'bob', { super_admin: true });
    for (const csrf of ['', 'x', bob.csrf]) {
      const answer = await ann.call('groups.create', group, { 'x-bellwether-csrf': csrf });
      expect([answer.status, answer.body.code]).toEqual([403, 'csrf_invalid']);
    }
    const foreigners: Readonly<Record<string, string>>[] = [
      { origin: 'https://evil.example' },
      { origin: 'null' },
      { 'sec-fetch-site': 'cross-site' },
      { 'sec-fetch-site': 'same-site' },
    ];
    for (const foreign of foreigners) {
      expect((await ann.call('groups.create', group, foreign)).status).toBe(403);
      const body = { login: 'ann', password: PASSWORD };
      const planted = await makeBrowser(manager.url).call('session.sign_in', { body }, foreign);
      expect([planted.status, planted.body.code]).toEqual([403, 'csrf_invalid']);
    }
    expect((await ann.call('groups.create', group, { origin: manager.url })).status).toBe(201);
    const refused = await manager.call('audit.list', {
      query: { action: 'group.create', outcome: 'refused' },
    });
    expect(refused.body.items).toHaveLength(7);
  });

  it('planted twice is none', async () => {
    const cookie = `bellwether=${ann.cookies.get('bellwether')}; bellwether=bwc_${'0'.repeat(40)}`;
    expect((await makeBrowser(manager.url).call('session.show', {}, { cookie })).status).toBe(401);
  });

  it('ends by signing out, one by one, and all of them with a new password', async () => {
    const browsers = [makeBrowser(manager.url), makeBrowser(manager.url), makeBrowser(manager.url)];
    for (const browser of browsers) await signIn({}, browser);
    const [one, two, three] = browsers as [Browser, Browser, Browser];
    const kept = copyOf(one);
    expect((await one.call('session.sign_out')).status).toBe(204);
    expect((await kept.call('session.show')).status).toBe(401);

    const { items } = (await ann.call('sessions.list')).body as unknown as {
      items: { id: string; is_this: boolean }[];
    };
    expect(items.filter((item) => item.is_this)).toHaveLength(1);
    const id = ((await two.call('session.show')).body['session'] as { id: string }).id;
    const bob = await join(manager, 'bob', { super_admin: true });
    expect((await bob.call('sessions.revoke', { params: { id } })).status).toBe(404);
    expect((await ann.call('sessions.revoke', { params: { id } })).status).toBe(204);
    expect((await two.call('session.show')).status).toBe(401);

    const old = copyOf(three);
    const change = (current: string, next: string) =>
      three.call('account.password', { body: { current, new: next } });
    expect((await change('wrong', 'another-long-password')).body.code).toBe('sign_in_failed');
    expect((await change(PASSWORD, 'ann-ann-ann-ann')).body.code).toBe('password_weak');
    expect((await change(PASSWORD, 'another-long-sentence')).status).toBe(200);
    expect((await three.call('session.show')).status).toBe(200);
    expect((await old.call('session.show')).status).toBe(401);
    expect((await ann.call('session.show')).status).toBe(401);
    expect((await signIn()).status).toBe(401);
    expect((await signIn({ password: 'another-long-sentence' })).status).toBe(201);
  });

  it('of a command line is a bearer token that lives for some hours', async () => {
    const { body, headers } = await signIn({ as: 'token' });
    const token = body['token'] as string;
    expect(headers.getSetCookie()).toEqual([]);
    expect([token.slice(0, 4), body['csrf']]).toEqual(['bwl_', null]);
    expect((await manager.call('groups.create', group, token)).status).toBe(201);
    expect((await manager.call('session.show', {}, token)).body.user.login).toBe('ann');
    const cookie = ann.cookies.get('bellwether') ?? '';
    expect((await manager.call('session.show', {}, cookie)).status).toBe(401);
    manager.clock.advance(TOKEN_LIFETIME_MS);
    expect((await manager.call('session.show', {}, token)).status).toBe(401);
  });
});

describe('the first user', () => {
  it('is made once, with the set-up token, and is an admin', async () => {
    const dir = makeTempDir();
    const config = loadConfig({ BELLWETHER_DATA_DIR: dir.path, BELLWETHER_PORT: '0' });
    const first = await startManager({ config, log: silentLog, clock: makeClock() });
    const browser = makeBrowser(first.config.publicUrl);
    const make = (body: object) =>
      browser.call('setup.first_user', {
        body: {
          setup_token: first.setupToken,
          login: 'ann',
          name: 'Ann',
          password: PASSWORD,
          ...body,
        },
      });
    expect((await make({ setup_token: `bws_${'0'.repeat(40)}` })).status).toBe(401);
    expect((await make({ password: 'password1234' })).body.code).toBe('password_weak');
    const made = await Promise.all([make({}), make({ login: 'bob' }), make({ login: 'eve' })]);
    expect(made.map(({ status }) => status).sort()).toEqual([201, 409, 409]);
    expect((await browser.call('users.list')).body['items']).toHaveLength(1);
    const body = { setup_token: first.setupToken, name: 'x' };
    expect((await browser.call('setup.finish', { body })).body.code).toBe('setup_done');
    await first.stop();
    const second = await startManager({ config, log: silentLog, clock: makeClock() });
    expect(second.setupToken).toBeNull();
    await second.stop();
    dir.remove();
  });
});
