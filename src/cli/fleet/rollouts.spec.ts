import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeTempDir } from '../../../test/support/databases.js';
import { eventually, makeSigningKey, publish } from '../../../test/support/fleet.js';
import { aHost, startTestManager, type TestManager } from '../../../test/support/manager.js';
import { aService, connectNode, type NodeLink } from '../../../test/support/node-link.js';
import { recordingTerminal } from '../../../test/support/recording-terminal.js';
import type { Answer } from '../../protocol/api/index.js';
import type { NodeEventType } from '../../protocol/node/index.js';
import { runProgram } from '../program.js';

let manager: TestManager;
let group: string;
const dir = makeTempDir();
const nodes = new Map<string, Player>();

/** A node that does as it is told, and what its spool gave out. */
interface Player {
  readonly link: NodeLink;
  seq: number;
}

async function run(...words: string[]) {
  const terminal = recordingTerminal({
    BELLWETHER_MANAGER: manager.url,
    BELLWETHER_TOKEN: manager.admin,
  });
  const code = await runProgram(words, terminal);
  return { code, out: terminal.outText(), err: terminal.errText() };
}
async function ok(...words: string[]): Promise<string> {
  const { code, out, err } = await run(...words);
  expect([code, err]).toEqual([0, '']);
  return out;
}
const json = async <T>(...words: string[]): Promise<T> =>
  JSON.parse(await ok(...words, '-o', 'json')) as T;

/** Cells of the line of a table that begins with a word. */
const lineOf = (out: string, first: string): string =>
  out.split('\n').find((line) => line.startsWith(first)) ?? '';

async function tell(player: Player, type: NodeEventType, commandId: string, version: string) {
  player.link.send({
    type: 'events',
    spool_id: 'spl_000001',
    events: [
      {
        seq: (player.seq += 1),
        at: new Date().toISOString(),
        type,
        category: 'upgrade',
        severity: 'info',
        service: 'edge',
        command_id: commandId,
        message: type,
        details: { to_version: version },
      },
    ],
  });
  await player.link.next('events_ack');
}

/** Takes the next command and carries it out. */
async function obey(nodeId: string): Promise<void> {
  const player = nodes.get(nodeId);
  if (player === undefined) throw new Error(`no node ${nodeId}`);
  const { command } = await player.link.next('command');
  const { command_id: id, version } = command as unknown as Record<
    'command_id' | 'version',
    string
  >;
  player.link.send({ type: 'ack', command_id: id, result: 'accepted' });
  await tell(player, 'upgrade_started', id, version);
  await tell(player, 'upgrade_staged', id, version);
  player.link.send({ type: 'permit_request', ask: 1, command_id: id, service: 'edge', version });
  await player.link.next('permit');
  await tell(player, 'upgrade_swapping', id, version);
  await tell(player, 'upgrade_completed', id, version);
}

const targetsOf = async (id: string, wave: number): Promise<string[]> => {
  const { items } = await json<Answer<'rollouts.targets'>>('rollouts', 'targets', id);
  return items.filter((target) => target.wave === wave).map((target) => target.node_id);
};
const untilWave = (id: string, index: number, status: string): Promise<unknown> =>
  eventually(async () => {
    const { waves } = await json<Answer<'rollouts.show'>>('rollouts', 'show', id);
    expect(waves[index]?.status).toBe(status);
  });

beforeAll(async () => {
  manager = await startTestManager();
  const key = makeSigningKey();
  for (const [sequence, version] of ['1.0.0', '1.1.0'].entries()) {
    await publish(manager, { folder: dir.path, version, sequence: sequence + 1, key });
  }
  group = await manager.group('edge');
  for (const name of ['edge-1', 'edge-2', 'edge-3', 'edge-4']) {
    const link = await connectNode(manager, await manager.node(group, name));
    nodes.set(link.nodeId, { link, seq: 0 });
  }
  const services = [aService({ version: '1.1.0' })];
  const link = await connectNode(manager, await manager.node(group, 'edge-new'), { services });
  nodes.set(link.nodeId, { link, seq: 0 });
}, 60_000);

afterAll(async () => {
  for (const { link } of nodes.values()) await link.close();
  await manager.stop();
  dir.remove();
});

const WEEKLY = `
product = "edge"
version = "1.1.0"
strategy = "scheduled"

[[rings]]
name = "early"
ring = "early"
window = { days = ["tue"], start = "02:00", duration_minutes = 120, time_zone = "Europe/Berlin" }
`;
const CANARY = ['--product=edge', '--version=1.1.0', '--strategy=canary', '--canary-percent=25'];

describe('a rollout from the command line', () => {
  it('goes from its preview to its way back', { timeout: 60_000 }, async () => {
    const wanted = [...CANARY, '--group', group, '--settle-seconds=0'];

    const preview = await ok('rollouts', 'preview', ...wanted);
    expect(preview).toMatch(/^release: +edge 1\.1\.0 \(stable\)$/m);
    expect(preview).toMatch(/^nodes: +4 in 2 waves$/m);
    expect(preview).toMatch(/^takes: +unknown: it waits for people$/m);
    expect(preview).toMatch(/^downloads: +[\d.]+ (B|KiB)$/m);
    expect(lineOf(preview, '1 ')).toMatch(/canaries +1 +edge-\d +at once +/);
    expect(lineOf(preview, '2 ')).toMatch(
      /the rest +3 +edge-\d, edge-\d, edge-\d +wave 1 is through; 1 appr/,
    );
    expect(preview).toMatch(/^1 +already_current$/m);
    expect(await ok('rollouts', 'list')).toBe('no rollouts\n');

    const made = await json<Answer<'rollouts.create'>>('rollouts', 'create', ...wanted);
    expect(made).toMatchObject({ strategy: 'canary', waves: [{ size: 1 }, { size: 3 }] });
    const id = made.id;
    const [canary = ''] = await targetsOf(id, 0);
    const [waiting = ''] = await targetsOf(id, 1);

    const early = await ok('rollouts', 'why', id, waiting);
    expect(early).toMatch(/^BECAUSE +WHICH MEANS +COULD CHANGE$/m);
    expect(lineOf(early, 'wave_open')).toContain('wave 1 comes first: 1 of 1 nodes to go');

    await obey(canary);
    await untilWave(id, 0, 'passed');
    expect(await ok('rollouts', 'why', id, canary)).toContain('nothing holds it back');
    expect(lineOf(await ok('rollouts', 'why', id, waiting), 'waiting_for_approval')).toMatch(
      /wave 2 \(the rest\) is not open +-$/,
    );
    const report = await ok('rollouts', 'report', id);
    expect(report).toMatch(/^target version: +1\.1\.0$/m);
    expect(lineOf(report, 'canaries')).toMatch(/canaries +done .* 1 +1 +1 +0 +1 on 1\.1\.0/);
    expect(lineOf(report, 'the rest')).toMatch(/unstarted +waiting_for_approval .* 3 on 1\.0\.0/);

    // What holds the fleet back stands outermost, and approval does not get past it.
    const off = await ok('groups', 'switch', group, '--set=suspended', '--note=storm at sea');
    expect(off).toMatch(/^upgrades: +suspended$/m);
    expect(off).toMatch(/^note: +storm at sea$/m);
    const approved = await ok('rollouts', 'approve', id, '--wave', '2');
    expect(approved).toMatch(/wave 2 is pending \(upgrades_suspended\), approved once\n$/);
    const held = (await ok('rollouts', 'why', id, waiting)).split('\n\n')[1] ?? '';
    expect(held.split('\n')[1]).toMatch(/^upgrades_suspended +nothing new starts now/);

    const to = '2099-01-01T00:00:00.000Z';
    const times = ['--from=2026-01-01T01:00:00+01:00', `--to=${to}`];
    const freeze = (await ok('groups', 'freeze', group, '--name=year end', ...times)).trim();
    expect(lineOf(await ok('groups', 'freezes', group), freeze)).toContain(
      `year end  2026-01-01T00:00:00.000Z  ${to}`,
    );
    await ok('groups', 'switch', group, '--set=enabled');
    expect(lineOf(await ok('rollouts', 'why', id, waiting, '-o', 'wide'), 'frozen')).toContain(to);
    expect(await ok('groups', 'thaw', group, freeze)).toBe(`took ${freeze} away\n`);
    expect(await ok('groups', 'freezes', group)).toBe('no freezes\n');

    await untilWave(id, 1, 'open');
    for (const nodeId of await targetsOf(id, 1)) await obey(nodeId);
    expect((await run('rollouts', 'watch', id)).out).toMatch(/^status: +complete$/m);

    const back = await ok('rollouts', 'revert', id);
    expect(back).toMatch(/^brings: +4 nodes back$/m);
    expect(back).toMatch(/^release: +edge 1\.0\.0 \(stable\)$/m);
    const reverting = /^rollout: +(rol_\w+)$/m.exec(back)?.[1] ?? '';
    expect(await ok('rollouts', 'show', reverting)).toMatch(new RegExp(`^reverts: +${id}$`, 'm'));
    for (const nodeId of nodes.keys()) {
      if ((await targetsOf(reverting, 0)).includes(nodeId)) await obey(nodeId);
    }
    await untilWave(reverting, 0, 'passed');
  });

  it('is steered wave by wave, counted from 1', { timeout: 60_000 }, async () => {
    const plan = ['--product=edge', '--version=1.1.0', '--waves=25,50,75,100'];
    const made = await json<Answer<'groups.upgrade'>>('groups', 'upgrade', group, ...plan);
    const { id } = made;
    expect(made.waves).toHaveLength(4);
    expect(await ok('rollouts', 'skip-wave', id, '--wave=4')).toContain('wave 4 is skipped');
    expect(await ok('rollouts', 'start-wave', id, '--wave=2')).toContain(
      'wave 2 is open (manual_trigger)',
    );
    expect(await ok('rollouts', 'mark-done', id, '--wave=1')).toContain(
      'wave 1 is passed (manual_forced_done)',
    );

    const none = await run('rollouts', 'approve', id, '--wave=5');
    expect([none.code, none.err]).toEqual([4, expect.stringContaining('there is no wave 5')]);
    expect(none.err).toContain('Waves are counted from 1');
    const noNeed = await run('rollouts', 'approve', id, '--wave=3');
    expect([noNeed.code, noNeed.err]).toEqual([6, expect.stringContaining('needs no approval')]);
    const noFailure = await run('rollouts', 'retry-failed', id);
    expect([noFailure.code, noFailure.err]).toEqual([
      6,
      expect.stringContaining('[rollout_wrong_state]'),
    ]);
    expect(await ok('rollouts', 'mark-rolled-back', id)).toBe(
      `${id} is rolled_back (marked_by_operator)\n`,
    );
  });

  it('takes the nodes that are meant, and no others', async () => {
    const below = await manager.group('below', group);
    const labels = { site: 'ams', ring: 'early' };
    const host = { ...aHost('edge-ams'), labels };
    const link = await connectNode(manager, await manager.node(below, 'edge-ams'), { host });
    nodes.set(link.nodeId, { link, seq: 0 });
    const [one = '', two = ''] = nodes.keys();
    const meant = async (...scope: string[]): Promise<string[]> => {
      const words = ['--product=edge', '--version=1.1.0', '--strategy=immediate', ...scope];
      const { waves } = await json<Answer<'rollouts.preview'>>('rollouts', 'preview', ...words);
      return waves.flatMap((wave) => wave.nodes.map((node) => node.name)).sort();
    };
    const ofGroup = ['edge-1', 'edge-2', 'edge-3', 'edge-4'];
    expect(await meant()).toEqual([...ofGroup, 'edge-ams']);
    expect(await meant('--group', group, '--no-subgroups')).toEqual(ofGroup);
    expect(await meant('--label=site=ams', '--label=ring=early')).toEqual(['edge-ams']);
    expect(await meant('--node', one, '--node', two)).toEqual(['edge-1', 'edge-2']);
    expect(await meant('--group', group, '--exclude', one)).toEqual([
      ...ofGroup.slice(1),
      'edge-ams',
    ]);
  });

  it('shows the plan of a file before it runs: rings, windows, and who is in none', async () => {
    const plan = join(dir.path, 'weekly.toml');
    writeFileSync(plan, WEEKLY);
    const out = await ok('rollouts', 'preview', '--plan', plan, '--group', group);
    expect(out).toMatch(/^nodes: +1 in 1 wave$/m);
    expect(lineOf(out, '1 ')).toMatch(/early +1 +edge-ams +tue from 02:00 Europe\/Berlin for 2 h /);
    expect(out).toMatch(/^4 +in_no_wave$/m);
    expect(await ok('rollouts', 'list', '--status=pending')).toBe('no rollouts\n');
    expect(out).toMatch(/^takes: +\S.* at least \((a guess|as upgrades of it took here)/m);
  });

  it('is held by the switch of any group above, and refused where upgrades are off', async () => {
    const off = await ok('groups', 'switch', 'grp_default', '--set=disabled');
    expect(off).toMatch(/^set here: +disabled$/m);
    const here = await ok('groups', 'switch', group);
    expect(here).toMatch(/^upgrades: +disabled$/m);
    const refused = await run('groups', 'upgrade', group, '--product=edge', '--version=1.1.0');
    expect([refused.code, refused.err]).toEqual([
      6,
      expect.stringContaining('[upgrades_disabled]'),
    ]);
    await ok('groups', 'switch', 'grp_default', '--set=enabled');
  });

  it('of one node is refused when somebody was faster, or the node is away', async () => {
    const away = await manager.node(group, 'edge-away');
    const [id = ''] = nodes.keys();
    const upgrade = (node: string, ...more: string[]) =>
      run('nodes', 'upgrade', node, '--product=edge', '--version=1.1.0', ...more);
    expect((await upgrade(id, '--expected-version=0.9.0')).err).toContain(
      '[upgrade_version_changed]',
    );
    expect((await upgrade(away.id, '--only-online')).err).toContain('[node_offline]');
    const soon = new Date(Date.now() + 3_600_000).toISOString();
    const later = ['--apply-after', soon, '--expires-after=7d'];
    const made = await upgrade(id, '--expected-version=1.0.0', '--only-online', ...later);
    expect(made.out).toMatch(/^reason: +not_before$/m);
  });
});
