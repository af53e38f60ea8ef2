import { afterAll, beforeAll, expect, it } from 'vitest';
import { startRolloutManager, type RolloutManager } from '../../../test/support/obedient-node.js';
import { join, PASSWORD } from '../../../test/support/people/browser.js';
import {
  withSecondFactor,
  type Authenticator,
} from '../../../test/support/people/second-factor.js';
import { recordingTerminal } from '../../../test/support/recording-terminal.js';
import { runProgram } from '../program.js';

const REASON = 'CVE-2026-1234 is being exploited';
let manager: RolloutManager;
let factor: Authenticator;
let token: string;
let id: string;
beforeAll(async () => {
  manager = await startRolloutManager({ env: { BELLWETHER_TWO_PERSON_ABOVE_NODES: '0' } });
  const group = await manager.group('east');
  await manager.join(group, 'edge-1');
  const ann = await join(manager, 'ann', { group_id: group, role: 'admin' });
  factor = await withSecondFactor(manager, ann);
  const body = { login: 'ann', password: PASSWORD, code: factor.nextCode(), as: 'token' };
  token = (await ann.call('session.sign_in', { body })).body['token'] as string;
  const made = await manager.call('rollouts.create', {
    body: { product: 'edge', version: '1.1.0', scope: { group_id: group } },
  });
  id = made.body.id;
}, 60_000);
afterAll(() => manager.stop());

async function run(words: string[], by = token, ask?: () => Promise<string>) {
  const env = { BELLWETHER_MANAGER: manager.url, BELLWETHER_TOKEN: by };
  const terminal = recordingTerminal(env, ask === undefined ? {} : { ask });
  const code = await runProgram(['rollouts', 'break-glass', ...words], terminal);
  return { code, out: terminal.outText(), err: terminal.errText() };
}

it('breaks the glass for a person with a code, and for nobody else', async () => {
  expect((await run([id])).code).toBe(2);
  expect((await run([id, '--reason', REASON, '--minutes', '241'])).code).toBe(2);
  expect((await run([id, '--reason', REASON], manager.admin)).err).toContain('[person_required]');
  // In a script nobody can be asked.
  expect((await run([id, '--reason', REASON])).err).toContain('[second_factor_required]');
  expect((await run([id, '--reason', 'no reason', '--code', factor.nextCode()])).code).toBe(1);
  const ask = async (): Promise<string> => `${factor.nextCode()} \n`;
  const done = await run([id, '--reason', REASON, '--minutes', '30'], token, ask);
  expect([done.code, done.err]).toEqual([0, '']);
  expect(done.out).toMatch(/is in_progress .*\nnothing but evidence holds it until 20/);
  const env = { BELLWETHER_MANAGER: manager.url, BELLWETHER_TOKEN: token };
  const terminal = recordingTerminal(env);
  await runProgram(['rollouts', 'show', id], terminal);
  expect(terminal.outText()).toMatch(new RegExp(`glass broken: +by ann until 20.*${REASON}`));
});
