import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join as at } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { makeTempDir } from '../../../test/support/databases.js';
import { startTestManager, type TestManager } from '../../../test/support/manager.js';
import { join, PASSWORD } from '../../../test/support/people/browser.js';
import { recordingTerminal } from '../../../test/support/recording-terminal.js';
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
  expect([refused.code, refused.err]).toEqual([1, expect.stringContaining('[sign_in_failed]')]);
  writeFileSync(file, `${PASSWORD}\n`);
  expect((await run(['login', 'ann', '--password-file', file])).out).toMatch(/^bwl_\w{40}\n$/);
  expect((await run(['login', 'ann'])).err).toContain('Give --password-file FILE');
  expect((await run(['login', 'ann', '--password', 'x'])).code).toBe(2);
});
