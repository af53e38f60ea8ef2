import { afterAll, beforeAll, expect, it } from 'vitest';
import { startTestManager, type TestManager } from '../../../test/support/manager.js';
import { recordingTerminal } from '../../../test/support/recording-terminal.js';
import { runProgram } from '../program.js';

let manager: TestManager;
beforeAll(async () => {
  manager = await startTestManager();
});
afterAll(() => manager.stop());

async function run(words: string[], token = manager.admin) {
  const terminal = recordingTerminal({
    BELLWETHER_MANAGER: manager.url,
    BELLWETHER_TOKEN: token,
  });
  const code = await runProgram(words, terminal);
  return { code, out: terminal.outText(), err: terminal.errText() };
}
async function ok(...words: string[]): Promise<string> {
  const { code, out, err } = await run(words);
  expect([code, err]).toEqual([0, '']);
  return out;
}

it('renames, moves and removes groups', async () => {
  const [east, west] = [await manager.group('east'), await manager.group('west')];
  const hall = await manager.group('hall', east);
  expect(await ok('groups', 'rename', hall, 'hall 7')).toBe(`${hall} is hall 7 now\n`);
  expect(await ok('groups', 'move', hall, '--parent', west)).toBe(`${hall} is below ${west}\n`);
  const loop = await run(['groups', 'move', west, '--parent', hall]);
  expect([loop.code, loop.err]).toEqual([6, expect.stringContaining('[conflict]')]);
  const full = await run(['groups', 'remove', west]);
  expect(full.err).toContain('[group_not_empty]');
  expect(await ok('groups', 'remove', hall)).toBe(`removed ${hall}\n`);
  expect(await ok('groups', 'list')).not.toContain('hall 7');
  expect((await run(['groups', 'move', west])).code).toBe(2);
});

it('sets quotas and transfers nodes, all or none', async () => {
  const [from, to] = [await manager.group('from'), await manager.group('to')];
  const ids = [(await manager.node(from, 'one')).id, (await manager.node(from, 'two')).id];
  expect(await ok('groups', 'quota', to, '--nodes', '1')).toBe(`${to} may hold 1 nodes\n`);
  expect(await ok('groups', 'list')).toMatch(new RegExp(`${to}.* 1 `));
  const words = ['nodes', 'transfer', '--to', to, ...ids.flatMap((id) => ['--node', id])];
  expect((await run(words)).err).toContain('[quota_exceeded]');
  for (const wrong of [[], ['--none', '--nodes', '3'], ['--nodes', '-1'], ['--nodes', 'many']]) {
    expect((await run(['groups', 'quota', to, ...wrong])).code).toBe(2);
  }
  expect(await ok('groups', 'quota', to, '--none')).toContain('any number');
  expect(await ok(...words)).toBe(ids.map((id) => `${id} is in ${to}\n`).join(''));
  const admin = await manager.token('admin', from);
  expect((await run(['groups', 'quota', to, '--none'], admin)).err).toContain(
    '[insufficient_role]',
  );
  expect((await run(words, admin)).err).toContain('[not_found]');
  expect((await run(['nodes', 'transfer', '--to', to])).code).toBe(2);
});
