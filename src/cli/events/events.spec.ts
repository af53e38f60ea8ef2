import { readFileSync, writeFileSync } from 'node:fs';
import { join as at } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { makeTempDir } from '../../../test/support/databases.js';
import { startTestManager, type TestManager } from '../../../test/support/manager.js';
import { recordingTerminal } from '../../../test/support/recording-terminal.js';
import { runProgram } from '../program.js';

const dir = makeTempDir();
let manager: TestManager;
let east: string;
beforeAll(async () => {
  manager = await startTestManager();
  east = await manager.group('east');
  for (let index = 1; index <= 4; index += 1) await manager.node(east, `edge-${index}`);
  await manager.node('grp_default', 'edge-root');
});
afterAll(async () => {
  await manager.stop();
  dir.remove();
});

async function run(words: string[], token = manager.admin, change: object = {}) {
  const env = { BELLWETHER_MANAGER: manager.url, BELLWETHER_TOKEN: token };
  const terminal = recordingTerminal(env, change);
  const code = await runProgram(words, terminal);
  return { code, out: terminal.outText(), err: terminal.errText() };
}

it('lists events in both directions, filtered', async () => {
  const oldest = await run(['events', 'list', '--group', east, '--limit', '2']);
  expect(oldest.out).toMatch(/edge-1 was enrolled[^]*edge-2 was enrolled[^]*--after \d+/);
  const newest = await run(['events', 'list', '--newest', '--type', 'node_enrolled']);
  expect(newest.out).toMatch(/edge-root[^]*edge-4[^]*edge-1/);
  const wrong = await run(['events', 'list', '--type', 'node_exploded']);
  expect([wrong.code, wrong.err]).toEqual([1, expect.stringContaining('node_exploded')]);
});

it('counts them over time', async () => {
  const { out } = await run(['events', 'count', '--last', '1h', '--bucket', '5m']);
  expect(out).toMatch(/in all +node_enrolled +5 +A machine became a node/);
});

it('exports with proof and verifies without a manager', async () => {
  const [file, kept] = [at(dir.path, 'events.ndjson'), at(dir.path, 'kept')];
  const made = await run(['events', 'export', file]);
  expect([made.code, made.out]).toEqual([0, expect.stringContaining('with proof')]);
  const verify = ['events', 'verify', file, '--kept', kept];
  const verified = await run(verify, '');
  expect([verified.code, verified.out]).toEqual([0, expect.stringMatching(/complete: +yes/)]);
  expect(readFileSync(kept, 'utf8')).toMatch(/^\d+ [0-9a-f]{64}\n$/);
  expect((await run(verify, '')).code).toBe(0);
  const text = readFileSync(file, 'utf8');
  expect((await run(['events', 'export', file])).err).toContain('[local_file_failed]');

  const lines = text.split('\n');
  writeFileSync(file, lines.toSpliced(3, 1).join('\n'));
  const missing = await run(verify, '');
  expect([missing.code, missing.err]).toEqual([1, expect.stringContaining('missing:')]);
  expect(missing.err).toContain('[events_verification_failed]');
  writeFileSync(file, text.replace('edge-2 was', 'edge-3 was'));
  expect((await run(verify, '')).err).toContain('changed:');
  writeFileSync(kept, `3 ${'f'.repeat(64)}\n`);
  writeFileSync(file, text);
  expect((await run(verify, '')).code).toBe(1);
});

it('a token of one group exports and proves what it sees', async () => {
  const body = { name: 'siem', permissions: ['event.view'] as ['event.view'], group_id: east };
  const { secret } = (await manager.call('tokens.create', { body })).body;
  const file = at(dir.path, 'east.ndjson');
  await run(['events', 'export', file], secret);
  expect(readFileSync(file, 'utf8')).not.toContain('edge-root');
  expect((await run(['events', 'verify', file], '')).out).toMatch(/events: +4\n/);
  const plain = at(dir.path, 'plain.ndjson');
  await run(['events', 'export', plain, '--text', 'EDGE-2'], secret);
  expect(readFileSync(plain, 'utf8').trim().split('\n')).toHaveLength(1);
  expect((await run(['events', 'verify', plain], '')).err).toContain('not the head');
  expect((await run(['events', 'segments'], secret)).out).toMatch(/sealed through \d+/);
});

it('follows events as they happen, and stops after so many', async () => {
  const following = run(['events', 'tail', '--after', '0', '--limit', '6', '-o', 'json']);
  await manager.node(east, 'edge-late');
  const { code, out } = await following;
  expect(code).toBe(0);
  const ids = out
    .trim()
    .split('\n')
    .map((line) => (JSON.parse(line) as { id: number }).id);
  expect(ids).toEqual([1, 2, 3, 4, 5, 6]);
});

it('says why it cannot follow', async () => {
  const refused = await run(['events', 'tail'], await manager.token('release'));
  expect([refused.code, refused.err]).toEqual([5, expect.stringContaining('[insufficient_role]')]);
});
