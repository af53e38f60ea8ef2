import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import {
  startRolloutManager,
  type ObedientNode,
  type RolloutManager,
} from '../../../test/support/obedient-node.js';
import { pollingNode } from '../../../test/support/poll-node.js';
import { connectNode, type NodeLink } from '../../../test/support/node-link.js';
import { recordingTerminal } from '../../../test/support/recording-terminal.js';
import type { Answer } from '../../protocol/api/index.js';
import { runProgram } from '../program.js';
import type { Terminal } from '../terminal.js';

let manager: RolloutManager;
let group = '';
const nodes = new Map<string, ObedientNode>();
let unmanaged: NodeLink;

beforeAll(async () => {
  manager = await startRolloutManager({});
  group = await manager.group('fleet');
  for (const [name, version] of [
    ['old-1', '1.0.0'],
    ['old-2', '1.0.0'],
    ['new-1', '1.1.0'],
  ] as const) {
    nodes.set(
      name,
      await manager.join(group, name, { version, labels: { version, ring: 'late' } }),
    );
  }
  unmanaged = await connectNode(manager, await manager.node(group, 'unmanaged'), {
    capabilities: [],
    services: [],
  });
  await pollingNode(manager, await manager.node(group, 'polling'));
}, 60_000);
afterAll(async () => {
  await unmanaged.close();
  await manager.stop();
});

async function run(
  words: readonly string[],
  change: Partial<Terminal> = {},
  token = manager.admin,
) {
  const env = { BELLWETHER_MANAGER: manager.url, BELLWETHER_TOKEN: token };
  const terminal = recordingTerminal(env, change);
  const code = await runProgram(words, terminal);
  return { code, out: terminal.outText(), err: terminal.errText() };
}
async function ok(...words: string[]): Promise<string> {
  const { code, out, err } = await run(words);
  expect([code, err]).toEqual([0, '']);
  return out;
}
const names = async (...words: string[]): Promise<string[]> => {
  const { items } = JSON.parse(await ok('nodes', 'list', '-o', 'json', ...words)) as {
    items: { name: string }[];
  };
  return items.map(({ name }) => name).sort();
};

/** Ends a command that would stay for ever, the next time that it waits. */
const stopped = (): Promise<never> => Promise.reject(new Error('stopped by the spec'));

describe('the fleet from the command line', { timeout: 60_000 }, () => {
  it('finds who is unmanaged, and who is behind', async () => {
    expect(await names('--upgrader', 'none')).toEqual(['unmanaged']);
    expect(await names('--upgrader', 'poll')).toEqual(['polling']);
    expect(await names('--upgrader', 'agent')).toEqual(['new-1', 'old-1', 'old-2']);
    expect(await names('--upgrader', 'kubernetes')).toEqual([]);
    expect(await names('--label', 'ring=late')).toEqual(['new-1', 'old-1', 'old-2']);
    expect(await names('--label', 'ring=late', '--label', 'version=1.1.0')).toEqual(['new-1']);
    expect((await run(['nodes', 'list', '--label', 'ring'])).err).toContain('key=value');
    const behind = ['old-1', 'old-2', 'polling'];
    const outdated = await names('--outdated');
    expect(outdated.filter((name) => name !== 'polling')).toEqual(behind.slice(0, 2));
    expect(await names('--outdated', '--upgrader', 'agent', '--group', group)).toEqual(
      behind.slice(0, 2),
    );
    // Page by page it is the same.
    expect(await names('--outdated', '--upgrader', 'agent', '--limit', '1')).toHaveLength(1);
    const viewer = await manager.token('viewer', await manager.group('elsewhere'));
    const { out } = await run(['nodes', 'list', '--outdated', '-o', 'name'], {}, viewer);
    expect(out).toBe('');
  });

  it('shows rows in every form, sorted, with the columns that are wanted', async () => {
    const ids = (await ok('nodes', 'list', '-o', 'name')).trim().split('\n');
    expect(ids).toHaveLength(5);
    const yaml = parse(await ok('nodes', 'ls', '-o', 'yaml')) as { items: { id: string }[] };
    expect(yaml.items.map(({ id }) => id)).toEqual(ids);
    const listed = await ok(
      'node',
      'list',
      '--columns',
      'name',
      '--sort=name:desc',
      '--no-headers',
    );
    expect(listed).toBe('unmanaged\npolling\nold-2\nold-1\nnew-1\n');
    expect(await ok('nodes', 'list', '-o', 'wide')).toMatch(/^ID .*UPGRADER .*LABELS +ENROLLED$/m);
    const wrong = await run(['nodes', 'list', '--sort', 'nam']);
    expect([wrong.code, wrong.err]).toEqual([2, expect.stringContaining('Take some of id, name')]);
    expect((await run(['nodes', 'list', '-o', 'xml'])).code).toBe(2);
  });

  it('shows manager and fleet on one screen, and what runs', async () => {
    const status = await ok('status');
    expect(status).toMatch(/^nodes: +5 \(5 online\)$/m);
    expect(status).toMatch(/^upgraded by: +1 none, 3 agent, 1 poll$/m);
    expect(status).toContain('no active rollouts');
    const report = await ok('report', '--group', group);
    expect(report).toMatch(/^edge +1\.1\.0 +1 /m);
    expect(report).toMatch(/^none \(unmanaged\) +1$/m);
    // What a token may not see is left out, and no reason to fail.
    const pipeline = await run(['status'], {}, await manager.token('release'));
    expect([pipeline.code, pipeline.out]).toEqual([
      0,
      expect.stringContaining('not for you to see'),
    ]);
  });

  it('shows groups, events and tokens one by one, and what is not there with exit code 4', async () => {
    expect(await ok('groups', 'show', group)).toMatch(/^nodes: +5 here and below, 5 online$/m);
    const event = await ok('events', 'show', '1', '-o', 'json');
    expect(JSON.parse(event)).toMatchObject({ id: 1 });
    const [token = ''] = (await ok('tokens', 'list', '-o', 'name')).split('\n');
    expect(await ok('token', 'show', token)).toMatch(new RegExp(`^id: +${token}$`, 'm'));
    for (const words of [
      ['groups', 'show', 'grp_0000000000'],
      ['events', 'show', '999999'],
      ['tokens', 'show', 'tok_0000000000'],
      ['rings', 'show', 'rol_0000000000', 'x'],
    ]) {
      expect([words[0], (await run(words)).code]).toEqual([words[0], 4]);
    }
  });

  it('watches a list: in words, as JSON lines, or drawn in place', async () => {
    let looks = 0;
    const sleep = async (): Promise<void> => {
      looks += 1;
      if (looks === 1) await manager.group(`made-${Math.random()}`);
      else await stopped();
    };
    const words = await run(['groups', 'list', '--watch'], { sleep });
    expect(words.out).toMatch(/^ID +NAME/);
    expect(words.out).toMatch(/^20\S+Z {2}grp_\w+ {2}added$/m);
    looks = 0;
    const json = await run(['groups', 'list', '-w', '-o', 'json'], { sleep });
    const lines = json.out.trim().split('\n');
    expect(JSON.parse(lines[0] ?? '')).toHaveProperty('items');
    expect(JSON.parse(lines[1] ?? '')).toMatchObject({ change: 'added' });
    looks = 0;
    const screen = { columns: () => 100, rows: () => 40 };
    const drawn = await run(['groups', 'list', '-w'], { sleep, screen });
    expect(drawn.out).toMatch(/\u001b\[\d+A\r\u001b\[J/);
  });

  it('makes a token for a node and sees it arrive', async () => {
    const into = await manager.group('newcomers');
    let link: NodeLink | null = null;
    const sleep = async (): Promise<void> => {
      link ??= await connectNode(manager, await manager.node(into, 'newcomer'));
    };
    const seen = await run(['enroll', '--group', into, '--wait'], { sleep });
    expect([seen.code, seen.err]).toEqual([
      0,
      expect.stringMatching(/nod_\w+ connected by socket/),
    ]);
    expect(seen.out).toContain('bwe_');
    await (link as NodeLink | null)?.close();
    let now = Date.now();
    const later = { now: () => now, sleep: async (ms: number) => void (now += ms) };
    const empty = await manager.group('nobody');
    const waited = await run(['enroll', '--group', empty, '--wait', '--timeout=5s'], later);
    expect([waited.code, waited.err]).toEqual([8, expect.stringContaining('[wait_timed_out]')]);
    expect((await run(['enroll', '--timeout', '5s'])).code).toBe(2);
  });

  it('waits for the end of a rollout: by number, by time, and drawn live', async () => {
    const plan = ['--group', group, '--product=edge', '--version=1.1.0', '--settle-seconds=0'];
    const create = ['rollouts', 'create', ...plan, '--strategy=immediate', '--wait'];
    let now = Date.now();
    const quick = { now: () => now, sleep: async (ms: number) => void (now += ms) };
    const late = await run([...create, '--timeout', '30s'], quick);
    expect([late.code, late.err]).toEqual([8, expect.stringContaining('is still in_progress')]);
    const id = /rol_\w+/.exec(late.err)?.[0] ?? '';
    expect(await ok('rings', 'list', '--rollout', id)).toMatch(/active|canary/);
    expect(await ok('status')).toMatch(new RegExp(`${id} +edge 1\\.1\\.0 +in_progress`));

    const old = [...nodes].filter(([name]) => name.startsWith('old')).map(([, node]) => node);
    await Promise.all(old.map((node) => node.obey()));
    const screen = { columns: () => 90, rows: () => 40 };
    let looks = 0;
    const drawing = async (): Promise<void> => {
      looks += 1;
      // The polling node was told of it and does nothing: somebody ends its wave.
      if (looks === 1) await manager.call('rollouts.cancel', { params: { id } });
      await new Promise((resolve) => setTimeout(resolve, 20));
    };
    const watched = await run(['rollouts', 'watch', id], {
      sleep: drawing,
      screen,
      isWatched: true,
    });
    expect([watched.code, watched.out]).toEqual([
      7,
      expect.stringMatching(/cancelled_by_operator/),
    ]);
    expect(watched.err).toMatch(/\u001b\[32m✓{2,3}/);
    expect(watched.err).toContain('[rollout_incomplete]');
    const again = await run(['rollouts', 'watch', id]);
    expect([again.code, again.err]).toEqual([7, expect.stringMatching(/^cancelled/)]);
    expect((await run([...create.slice(0, -1), '--timeout', '5s'])).code).toBe(2);
  });

  it('starts a ring by its name', async () => {
    const late = await manager.group('rings');
    await manager.join(late, 'ring-1', { labels: { ring: 'early' } });
    const made = await manager.call('rollouts.create', {
      body: {
        product: 'edge',
        version: '1.1.0',
        scope: { group_id: late },
        strategy: 'scheduled',
        rings: [{ name: 'early', rest: true, wait_hours: 0, window: WEEKLY }],
      },
    });
    const { id } = made.body as Answer<'rollouts.create'>;
    expect(await ok('ring', 'show', id, 'early')).toMatch(/^ring: +early$/m);
    const unknown = await run(['rings', 'start', id, 'late']);
    expect([unknown.code, unknown.err]).toEqual([4, expect.stringContaining('It has early')]);
    expect(await ok('rings', 'start', id, 'early')).toContain('wave 1 is open');
    expect((await run(['rings', 'start', id, 'early'])).code).toBe(6);
  });
});

/** Far from whatever day the spec runs on. */
const WEEKLY = {
  days: [
    (['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'] as const)[
      (new Date().getUTCDay() + 3) % 7
    ] ?? 'sun',
  ],
  start: '12:00',
  duration_minutes: 60,
};
