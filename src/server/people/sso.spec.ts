import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { join as at } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { makeTempDir } from '../../../test/support/databases.js';
import { startTestManager, type TestManager } from '../../../test/support/manager.js';
import {
  join,
  keepCookies,
  makeBrowser,
  PASSWORD,
  type Browser,
} from '../../../test/support/people/browser.js';
import { PACES } from '../../core/people/index.js';
import { readOidcFile } from './oidc-file.js';

const PROVIDER = fileURLToPath(
  new URL('../../../test/support/people/oidc-provider.mjs', import.meta.url),
);

const dir = makeTempDir();
const accounts = at(dir.path, 'accounts.json');
let provider: ChildProcess;
let manager: TestManager;
let east: string;
let issuer: string;

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

const settings = (groups: string): string => `
issuer = "${issuer}"
client_id = "bellwether"
client_secret_file = "${at(dir.path, 'secret')}"
${groups}
`;
const mapped = (claim: string, group: string, role: string): string =>
  `[[groups]]\nclaim = "${claim}"\ngroup_id = "${group}"\nrole = "${role}"\n`;

beforeAll(async () => {
  const port = await freePort();
  const callback = `http://127.0.0.1:${port}/api/v1/sso/callback`;
  writeFileSync(at(dir.path, 'secret'), 'kept-in-a-file\n');
  provider = spawn(process.execPath, [PROVIDER, accounts, callback], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  for await (const line of createInterface({ input: provider.stdout! })) {
    issuer = line;
    break;
  }
  const file = at(dir.path, 'oidc.toml');
  writeFileSync(
    file,
    settings(
      mapped('ops', 'grp_default', 'operator') +
        mapped('boss', 'grp_default', 'admin') +
        mapped('ghosts', 'grp_nowhere', 'admin'),
    ),
  );
  manager = await startTestManager({
    BELLWETHER_OIDC_FILE: file,
    BELLWETHER_PORT: String(port),
  });
  east = await manager.group('east');
}, 60_000);
afterAll(async () => {
  await manager.stop();
  provider.kill('SIGKILL');
  dir.remove();
});

const people = (claims: object): void => writeFileSync(accounts, JSON.stringify(claims));
beforeEach(() => people({ 'ann-1': { preferred_username: 'ann', name: 'Ann', groups: ['ops'] } }));

/** Walks to the provider as a browser would, signs in there, and stops before the way back. */
async function toCallback(browser: Browser, sub: string): Promise<URL> {
  const started = await browser.call('sso.start');
  expect(started.status).toBe(302);
  let url = new URL(started.headers.get('location') ?? '');
  const cookies = new Map<string, string>();
  for (let hop = 0; hop < 12; hop += 1) {
    if (url.pathname === '/api/v1/sso/callback') return url;
    const isForm = url.pathname.startsWith('/interaction/');
    const response = await fetch(url, {
      redirect: 'manual',
      method: isForm ? 'POST' : 'GET',
      headers: { cookie: [...cookies].map(([name, value]) => `${name}=${value}`).join('; ') },
      body: isForm ? new URLSearchParams({ prompt: 'login', login: sub, password: 'x' }) : null,
    });
    keepCookies(cookies, response);
    url = new URL(response.headers.get('location') ?? '', url);
  }
  throw new Error(`the provider never sent back: ${url.href}`);
}

async function back(browser: Browser, url: URL) {
  return browser.call('sso.callback', { query: Object.fromEntries(url.searchParams) });
}

async function signIn(sub: string): Promise<{ browser: Browser; status: number; code: string }> {
  const browser = makeBrowser(manager.url);
  const { status, body } = await back(browser, await toCallback(browser, sub));
  return { browser, status, code: body.code };
}
const grantsOf = async (browser: Browser): Promise<unknown> =>
  (await browser.call('session.show')).body['grants'];

describe('single sign-on', () => {
  it('goes with PKCE, state and nonce', async () => {
    const started = await makeBrowser(manager.url).call('sso.start');
    const query = new URL(started.headers.get('location') ?? '').searchParams;
    expect(query.get('code_challenge_method')).toBe('S256');
    for (const name of ['state', 'nonce', 'code_challenge']) {
      expect(query.get(name)?.length).toBeGreaterThanOrEqual(43);
    }
    expect(started.headers.getSetCookie()[0]).toMatch(/HttpOnly; SameSite=Lax$/);
  });

  it('gives the roles of the claims, anew at each sign-in', async () => {
    const first = await signIn('ann-1');
    expect(first.status).toBe(302);
    expect(await grantsOf(first.browser)).toEqual([{ role: 'operator', group_id: 'grp_default' }]);

    people({ 'ann-1': { preferred_username: 'ann', groups: ['ops', 'boss', 'OPS', 'ghosts'] } });
    const second = await signIn('ann-1');
    expect(await grantsOf(second.browser)).toEqual([{ role: 'admin', group_id: 'grp_default' }]);

    people({ 'ann-1': { preferred_username: 'ann', groups: ['others', 'super_admin'] } });
    const third = await signIn('ann-1');
    expect([third.status, third.code]).toEqual([403, 'sso_no_access']);
    // What was taken away is away for the sessions of before, too.
    expect((await second.browser.call('session.show')).status).toBe(401);
    const audit = await manager.call('audit.list', { query: { action: 'member.remove' } });
    expect(audit.body.items).toMatchObject([
      { group_id: 'grp_default', details: { role: 'admin', source: 'sso' } },
    ]);
  });

  it('ends what somebody promised when the claims take away what he could', async () => {
    people({ 'bea-1': { preferred_username: 'bea', groups: ['boss', 'ops'] } });
    const { browser } = await signIn('bea-1');
    // Which tells the CSRF value.
    await browser.call('session.show');
    const note = { note: 'x', group_id: 'grp_default', role: 'admin' };
    const invited = await browser.call('invitations.create', { body: note });
    expect(invited.status).toBe(201);
    people({ 'bea-1': { preferred_username: 'bea', groups: ['ops'] } });
    expect((await signIn('bea-1')).status).toBe(302);
    const secret = invited.body['secret'] as string;
    const body = { secret, login: 'cy', name: 'Cy', password: PASSWORD };
    const answer = await makeBrowser(manager.url).call('invitations.accept', { body });
    expect(answer.body.code).toBe('invitation_invalid');
    const audit = await manager.call('audit.list', { query: { action: 'invitation.revoke' } });
    expect(audit.body.items).toMatchObject([{ details: { invitations_ended: 1, source: 'sso' } }]);
  });

  it('leaves alone what an admin gave', async () => {
    const { browser } = await signIn('ann-1');
    const login = ((await browser.call('session.show')).body['user'] as { login: string }).login;
    const body = { login, role: 'viewer' as const };
    await manager.call('members.set', { params: { id: east }, body });
    people({ 'ann-1': { groups: [] } });
    const again = await signIn('ann-1');
    expect(again.status).toBe(302);
    expect(await grantsOf(again.browser)).toEqual([{ role: 'viewer', group_id: east }]);
  });

  it('never opens the account of another by name', async () => {
    await join(manager, 'mallory', { super_admin: true });
    people({ 'eve-1': { preferred_username: 'ma11ory', groups: ['ops'] } });
    const { browser } = await signIn('eve-1');
    const { user, grants } = (await browser.call('session.show')).body;
    expect(user).toMatchObject({
      login: expect.stringMatching(/^sso-/) as unknown,
      has_password: false,
    });
    expect(grants).toEqual([{ role: 'operator', group_id: 'grp_default' }]);
    for (const odd of ['\u0430dmin', 'x'.repeat(500), 'a\u0000b', '']) {
      people({ 'odd-1': { preferred_username: odd, name: '\u202eevil', groups: ['ops'] } });
      expect((await signIn('odd-1')).status).toBe(302);
    }
  });

  it('lets nobody in who is disabled here', async () => {
    people({ 'dan-1': { preferred_username: 'dan', groups: ['ops'] } });
    const { browser } = await signIn('dan-1');
    const { id } = (await browser.call('session.show')).body['user'] as { id: string };
    await manager.call('users.disable', { params: { id } });
    expect((await browser.call('session.show')).status).toBe(401);
    expect((await signIn('dan-1')).code).toBe('sso_no_access');
  });

  it('refuses what did not begin in this browser, and what comes twice', async () => {
    const browser = makeBrowser(manager.url);
    const url = await toCallback(browser, 'ann-1');
    const stranger = await back(makeBrowser(manager.url), url);
    expect(stranger.body.code).toBe('sso_failed');

    const trip = browser.cookies.get('bellwether-sso') ?? '';
    const [state = '', nonce = '', verifier = ''] = trip.split('.');
    const changed = [
      [`x${state.slice(1)}`, nonce, verifier],
      [state, `x${nonce.slice(1)}`, verifier],
      [state, nonce, `x${verifier.slice(1)}`],
    ];
    for (const parts of changed) {
      const other = makeBrowser(manager.url);
      const fresh = await toCallback(other, 'ann-1');
      const own = (other.cookies.get('bellwether-sso') ?? '').split('.');
      const mixed = parts.map((part, i) => (part.startsWith('x') ? part : own[i]));
      other.cookies.set('bellwether-sso', mixed.join('.'));
      expect((await back(other, fresh)).body.code).toBe('sso_failed');
    }
    expect((await back(browser, url)).status).toBe(302);
    browser.cookies.set('bellwether-sso', trip);
    expect((await back(browser, url)).body.code).toBe('sso_failed');
    const refused = await manager.call('audit.list', {
      query: { action: 'session.sign_in', outcome: 'refused', limit: 500 },
    });
    const text = JSON.stringify(refused.body);
    expect(text).not.toContain(url.searchParams.get('code'));
    expect(text).not.toContain('kept-in-a-file');
  });

  it('is not slowed for others by what any page can send', async () => {
    const stray = async () =>
      (await makeBrowser(manager.url).call('sso.callback', { query: { code: 'x', state: 'y' } }))
        .status;
    const told = new Set<number>();
    for (let i = 0; i < 4 * PACES.address.free && !told.has(429); i += 1) told.add(await stray());
    expect([...told]).toContain(429);
    expect((await signIn('ann-1')).status).toBe(302);
  });
});

describe('the file of the provider', () => {
  const read = (text: string): unknown => {
    const file = at(dir.path, 'other.toml');
    writeFileSync(file, text);
    return readOidcFile(file);
  };

  it.each([
    ['no TLS', 'issuer = "http://idp.example"\nclient_id = "x"'],
    ['no client', 'issuer = "https://idp.example"'],
    [
      'a platform role',
      `issuer = "https://idp.example"\nclient_id = "x"\n${mapped('a', 'grp_default', 'super_admin')}`,
    ],
    ['an unknown key', 'issuer = "https://idp.example"\nclient_id = "x"\nadmin = true'],
    ['no TOML', 'issuer ='],
    [
      'a secret that is not there',
      'issuer = "https://idp.example"\nclient_id = "x"\nclient_secret_file = "/nowhere/x"',
    ],
  ])('with %s is refused', (_, text) => {
    expect(() => read(text)).toThrow(/^BELLWETHER_OIDC_FILE: /);
  });

  it('may be left out: then nobody can sign in that way', async () => {
    expect(readOidcFile(null)).toBeNull();
    const without = await startTestManager();
    const browser = makeBrowser(without.url);
    expect((await browser.call('sso.start')).body.code).toBe('sso_not_configured');
    expect((await browser.call('sso.callback')).body.code).toBe('sso_not_configured');
    await without.stop();
  });
});
