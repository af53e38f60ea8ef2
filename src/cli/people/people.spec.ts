import { chmodSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join as at } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { makeTempDir } from '../../../test/support/databases.js';
import { startTestManager, type TestManager } from '../../../test/support/manager.js';
import { join, PASSWORD } from '../../../test/support/people/browser.js';
import { fromBase32 } from '../../../test/support/people/second-factor.js';
import { recordingTerminal } from '../../../test/support/recording-terminal.js';
import { codeOf, stepAt, TOTP_STEP_MS } from '../../core/people/index.js';
import { runProgram } from '../program.js';

const dir = makeTempDir();
let manager: TestManager;
beforeAll(async () => {
  manager = await startTestManager();
});
afterAll(async () => {
  await manager.stop();
  dir.remove();
});

async function run(words: string[], token = manager.admin, answers: string[] = []) {
  const env = { BELLWETHER_MANAGER: manager.url, BELLWETHER_TOKEN: token };
  const ask = async (): Promise<string> => answers.shift() ?? '';
  const terminal = recordingTerminal(env, answers.length > 0 ? { ask } : {});
  const code = await runProgram(words, terminal);
  return { code, out: terminal.outText(), err: terminal.errText() };
}

it('invites, signs in, manages members, and signs out', async () => {
  const invited = await run([
    'users',
    'invite',
    'kim',
    '--group',
    'grp_default',
    '--role',
    'viewer',
  ]);
  expect(invited.out).toContain(`${manager.url}/#/invitation/bwi_`);
  expect((await run(['invitations', 'list'])).out).toContain('kim');
  const ann = await join(manager, 'ann', { super_admin: true });

  const file = at(dir.path, 'token');
  const login = await run(['login', 'ann', '--token-out', file], '', [PASSWORD]);
  expect(login.code).toBe(0);
  expect(statSync(file).mode & 0o777).toBe(0o600);
  const token = readFileSync(file, 'utf8').trim();
  expect(login.out + login.err).not.toContain(token);
  expect(login.out + login.err).not.toContain(PASSWORD);

  expect((await run(['whoami'], token)).out).toMatch(/login: +ann\n/);
  expect((await run(['whoami'])).err).toContain('[person_required]');
  expect((await run(['users', 'list'], token)).out).toContain('ann');
  const set = ['members', 'set', 'grp_default', 'ann', 'operator'];
  expect((await run(set, token)).out).toBe('ann is operator now\n');
  expect((await run([...set.slice(0, 4), 'king'], token)).code).toBe(2);
  expect((await run(['members', 'list', 'grp_default'], token)).out).toContain('operator');
  expect((await run(['users', 'show', ann.id], token)).out).toContain('operator on grp_default');
  expect((await run(['members', 'remove', 'grp_default', ann.id], token)).code).toBe(0);
  expect((await run(['users', 'disable', ann.id], token)).err).toContain('[last_super_admin]');
  expect((await run(['logout'], token)).code).toBe(0);
  expect((await run(['whoami'], token)).err).toContain('[unauthenticated]');
});

it('takes a password from a file or a person, and never from the command line', async () => {
  const file = at(dir.path, 'password');
  writeFileSync(file, 'not the right one\n');
  const refused = await run(['login', 'ann', '--password-file', file]);
  expect([refused.code, refused.err]).toEqual([5, expect.stringContaining('[sign_in_failed]')]);
  writeFileSync(file, `${PASSWORD}\n`);
  expect((await run(['login', 'ann', '--print', '--password-file', file])).out).toMatch(
    /^bwl_\w{40}\n$/,
  );
  expect((await run(['login', 'ann'])).err).toContain('Give --password-file FILE');
  expect((await run(['login', 'ann', '--password', 'x'])).code).toBe(2);
});

it('sets up a second factor, asks for it, and takes it away; lists and ends sessions', async () => {
  const eve = await join(manager, 'eve', { group_id: 'grp_default', role: 'admin' });
  const file = at(dir.path, 'token-of-eve');
  const password = at(dir.path, 'password-of-eve');
  writeFileSync(password, `${PASSWORD}\n`);
  const given = ['--password-file', password];
  await run(['login', 'eve', '--token-out', file, ...given], '');
  const token = readFileSync(file, 'utf8').trim();
  // Nobody is there to read a secret that is shown once.
  expect((await run(['account', 'add-factor', ...given], token)).code).toBe(2);

  let secret = '';
  const said: string[] = [];
  const codeNow = (): string => {
    manager.clock.advance(TOTP_STEP_MS);
    return codeOf(fromBase32(secret), stepAt(manager.clock.now()));
  };
  const ask = async (): Promise<string> => {
    secret = /authenticator: (\w+)/.exec(said.join(''))?.[1] ?? '';
    return codeNow();
  };
  const env = { BELLWETHER_MANAGER: manager.url, BELLWETHER_TOKEN: token };
  const terminal = recordingTerminal(env, { ask, out: (text) => void said.push(text) });
  expect(await runProgram(['account', 'add-factor', ...given], terminal)).toBe(0);
  expect(said.join('').match(/^ {2}\w{4}-\w{4}-\w{4}-\w{4}$/gm)).toHaveLength(10);
  expect(said.join('')).not.toContain(PASSWORD);
  expect((await run(['whoami'], token)).out).toMatch(/second factor: +yes\n/);

  const sessions = await run(['sessions', 'list', '-o', 'json'], token);
  const { items } = JSON.parse(sessions.out) as { items: { id: string; is_this: boolean }[] };
  const other = items.find((one) => !one.is_this)?.id ?? '';
  expect((await run(['sessions', 'revoke', other], token)).out).toBe(`ended ${other}\n`);
  expect((await eve.call('session.show')).status).toBe(401);

  const remove = ['account', 'remove-factor', ...given, '--code'];
  expect((await run([...remove, '000000'], token)).err).toContain('[second_factor_wrong]');
  expect((await run([...remove, codeNow()], token)).code).toBe(0);
  const next = at(dir.path, 'next-password');
  writeFileSync(next, 'nine-green-owls-sing');
  const change = ['account', 'password', ...given, '--new-password-file', next];
  expect((await run(change, token)).out).toContain('sign in again');
  expect((await run(['whoami'], token)).code).toBe(5);
});

it('keeps a context for each manager, and sends its token nowhere else', async () => {
  const home = at(dir.path, 'home');
  const config = at(home, 'bellwether', 'config.json');
  const ended = async (words: string[], env: Record<string, string> = {}, more = {}) => {
    const terminal = recordingTerminal({ XDG_CONFIG_HOME: home, ...env }, more);
    const code = await runProgram(words, terminal);
    return { code, out: terminal.outText(), err: terminal.errText() };
  };
  await join(manager, 'zoe', { super_admin: true });
  const ask = async (): Promise<string> => PASSWORD;
  const signedIn = await ended(['login', 'zoe', '--manager', manager.url], {}, { ask });
  expect([signedIn.code, signedIn.err]).toEqual([0, '']);
  const written = JSON.parse(readFileSync(config, 'utf8')) as {
    current: string;
    contexts: Record<string, { token: string }>;
  };
  const name = `127.0.0.1-${new URL(manager.url).port}`;
  expect(written.current).toBe(name);
  expect(statSync(config).mode & 0o777).toBe(0o600);
  const token = written.contexts[name]?.token ?? '';
  expect(token).toMatch(/^bwl_/);
  expect((await ended(['whoami'])).out).toMatch(/login: +zoe\n/);

  const input = async (): Promise<string> => `${manager.admin}\n`;
  const kept = ['login', '--token', '-', '--manager', manager.url, '--context', 'robot'];
  expect((await ended(kept, {}, { input })).code).toBe(0);
  // A token is nobody: what is said by name holds before what is in use, and the environment before that.
  expect((await ended(['whoami'])).err).toContain('[person_required]');
  expect((await ended(['whoami', '--context', name])).code).toBe(0);
  expect((await ended(['whoami'], { BELLWETHER_CONTEXT: name })).code).toBe(0);
  expect((await ended(['whoami'], { BELLWETHER_TOKEN: token })).code).toBe(0);
  expect((await ended(['context', 'use', name])).out).toContain(`using ${name}`);
  expect((await ended(['whoami'])).code).toBe(0);

  const elsewhere = await ended(['whoami'], { BELLWETHER_MANAGER: 'http://127.0.0.1:9' });
  expect([elsewhere.code, elsewhere.err]).toEqual([2, expect.stringContaining('no token')]);
  const list = await ended(['context', 'list', '-o', 'yaml']);
  const shown = await ended(['context', 'show']);
  for (const { out, err } of [list, shown, signedIn, elsewhere]) {
    expect(out + err).not.toContain(token);
    expect(out + err).not.toContain(manager.admin);
  }
  const slip = await ended(['context', 'use', 'robt']);
  expect([slip.code, slip.err]).toEqual([4, expect.stringContaining('Did you mean robot?')]);

  const tomorrow = (): number => Date.now() + 86_400_000;
  const late = await ended(['whoami'], {}, { now: tomorrow });
  expect([late.code, late.err]).toEqual([5, expect.stringContaining('`bellwether login`')]);
  expect((await ended(['logout'])).out).toBe('signed out\n');
  expect(readFileSync(config, 'utf8')).not.toContain(token);
  expect((await ended(['whoami'])).code).toBe(2);

  chmodSync(config, 0o644);
  expect((await ended(['context', 'delete', 'robot'])).err).toContain('others can read');
  expect(statSync(config).mode & 0o777).toBe(0o600);
  expect((await ended(['context', 'list', '-o', 'name'])).out).toBe(`${name}\n`);
  for (const bad of ['{', '{"version":2}', '{"version":1,"current":null,"contexts":{"a":{}}}']) {
    writeFileSync(config, bad);
    const refused = await ended(['context', 'list']);
    expect([refused.code, refused.err]).toEqual([
      1,
      expect.stringContaining('[local_file_failed]'),
    ]);
  }
});

it('takes a login or a token, and a token only where one comes', async () => {
  for (const words of [['login'], ['login', 'ann', '--token', 'x'], ['login', '--token', '-']]) {
    expect((await run(words)).code).toBe(2);
  }
  const file = at(dir.path, 'two-tokens');
  writeFileSync(file, 'one two\n');
  expect((await run(['login', '--token', file])).err).toContain('does not hold one token');
});
