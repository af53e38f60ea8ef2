import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeTempDir } from '../../../test/support/databases.js';
import { startRolloutManager, type RolloutManager } from '../../../test/support/obedient-node.js';
import { recordingTerminal } from '../../../test/support/recording-terminal.js';
import { runProgram } from '../program.js';

const dir = makeTempDir();
let manager: RolloutManager;
beforeAll(async () => {
  manager = await startRolloutManager({});
}, 60_000);
afterAll(async () => {
  await manager.stop();
  dir.remove();
});

async function run(text: string | null, words: readonly string[], token = manager.admin) {
  const env = {
    BELLWETHER_MANAGER: manager.url,
    BELLWETHER_TOKEN: token,
    HOOK_SECRET: `whsec_${Buffer.alloc(32, 7).toString('base64')}`,
  };
  const terminal = recordingTerminal(env, text === null ? {} : { input: async () => text });
  const code = await runProgram(words, terminal);
  return { code, out: terminal.outText(), err: terminal.errText() };
}
const apply = (text: string, ...more: string[]) => run(text, ['apply', '-f', '-', ...more]);
const diff = (text: string, ...more: string[]) => run(text, ['diff', '-f', '-', ...more]);
const groupNames = async (): Promise<string[]> =>
  (await manager.call('groups.list', { query: { limit: 500 } })).body.items
    .map(({ name }) => name)
    .sort();

const FLEET = `
# The group below stands first, and is made last.
kind: Group
name: fra
parent: eu/central
nodes_max: 20
upgrades: { mode: suspended, note: not before the audit }
freezes:
  - { name: year end, from: 2026-12-20T00:00:00+01:00, to: 2027-01-06T00:00:00Z }
---
kind: Group
name: eu
---
kind: Group
name: central
parent: eu
---
kind: Sink
name: siem
type: webhook
group: eu
config: { url: https://siem.example.com/hook }
credentials:
  secret: { env: HOOK_SECRET }
filter: { min_severity: warning, groups: [eu/central/fra] }
`;

describe('apply', { timeout: 60_000 }, () => {
  it('makes what is declared, in an order that works, and the second time nothing', async () => {
    const dry = await apply(FLEET, '--dry-run');
    expect([dry.code, dry.err]).toEqual([0, '']);
    expect(dry.out).toContain('4 to do, 0 as declared');
    expect(await groupNames()).not.toContain('eu');
    expect((await diff(FLEET)).code).toBe(9);

    const made = await apply(FLEET);
    expect([made.code, made.err]).toEqual([0, '']);
    expect(made.out).toMatch(/Group +eu +create/);
    expect(await groupNames()).toEqual(expect.arrayContaining(['central', 'eu', 'fra']));
    const again = await apply(FLEET);
    expect([again.code, again.err]).toEqual([0, '']);
    expect(again.out).toContain('nothing to do: all 4 as declared');
    const same = await diff(FLEET);
    expect([same.code, same.out]).toEqual([0, 'nothing to do: all 4 as declared\n']);
  });

  it('changes what differs, says what, and touches nothing else', async () => {
    const fewer = FLEET.replace('nodes_max: 20', 'nodes_max: 5')
      .replace('suspended, note: not before the audit', 'enabled')
      .replace('min_severity: warning, ', '');
    const told = await diff(fewer);
    expect(told.code).toBe(9);
    for (const line of [
      '~ Group eu/central/fra',
      '    nodes_max: 20 → 5',
      '    upgrades.mode: suspended → enabled',
      '~ Sink siem',
      '    filter.min_severity: warning → (gone)',
    ]) {
      expect(told.out.split('\n')).toContain(line);
    }
    expect((await apply(fewer)).out).toContain('2 done, 2 as declared');
    expect((await diff(fewer)).code).toBe(0);
    // What is left out is not touched.
    const less = 'kind: Group\nname: fra\nparent: eu/central\n';
    expect((await apply(less)).out).toContain('nothing to do');
    expect((await diff(fewer)).code).toBe(0);
    // Credentials cannot be compared, only sent again.
    const renewed = await apply(fewer, '--renew-credentials');
    expect(renewed.out).toMatch(/Sink +siem +change +credentials/);
  });

  it('makes plans and schedules, tells what differs, and deletes them in an order that works', async () => {
    const text = `
kind: Schedule
name: nightly
group: eu
product: edge
plan: careful
window: { days: [mon, tue], start: '22:00', duration_minutes: 240, time_zone: Europe/Berlin }
---
kind: Plan
name: careful
group: eu
note: few nodes first
strategy: custom
waves: [{ name: first, count: 2, approvals: 1 }, { name: rest, rest: true }]
`;
    const dry = await apply(text, '--dry-run');
    expect([dry.code, dry.err]).toEqual([0, '']);
    expect(dry.out).toMatch(/Plan +eu\/careful +create[^]*Schedule +eu\/nightly +create/);
    expect((await manager.call('plans.list')).body.items).toEqual([]);
    const made = await apply(text);
    expect([made.code, made.err]).toEqual([0, '']);
    expect((await apply(text)).out).toContain('nothing to do: all 2 as declared');
    const [schedule] = (await manager.call('schedules.list')).body.items;
    expect(schedule).toMatchObject({ plan: 'careful', state: 'idle', when_busy: 'wait' });

    const other = text
      .replace('count: 2', 'count: 3')
      .replace('product: edge', 'product: edge\nwhen_busy: supersede\npaused: true');
    const told = (await diff(other)).out;
    expect(told).toContain('when_busy: wait → supersede');
    expect(told).toContain('paused: false → true');
    expect(told).toMatch(/waves: .*"count":2.* → .*"count":3/);
    expect((await apply(other)).code).toBe(0);
    expect((await diff(other)).code).toBe(0);
    const [plan] = (await manager.call('plans.list')).body.items;
    expect(plan).toMatchObject({ revision: 2, note: 'few nodes first' });
    // What is left out of a schedule has its default; whether it is paused stays as it is.
    expect((await apply(text)).out).toContain('2 done');
    expect((await manager.call('schedules.list')).body.items[0]).toMatchObject({
      state: 'paused',
      when_busy: 'wait',
    });
    const moved = await apply(text.replace('product: edge', 'product: core'));
    expect([moved.code, moved.err]).toEqual([6, expect.stringContaining('stays as it is')]);

    const none = 'kind: Group\nname: eu\n';
    const pruned = await apply(none, '--prune', '--kind', 'Plan', '--kind', 'Schedule');
    expect([pruned.code, pruned.err]).toEqual([0, '']);
    expect((await manager.call('plans.list')).body.items).toEqual([]);
    expect((await manager.call('schedules.list')).body.items).toEqual([]);
  });

  it('deletes nothing, unless it is told which kind', async () => {
    const less = 'kind: Group\nname: central\nparent: eu\n';
    expect((await apply(less, '--prune')).code).toBe(2);
    expect((await apply(less, '--kind', 'Sink')).code).toBe(2);
    expect((await apply(less, '--prune', '--kind', 'Rollout')).code).toBe(2);
    const dry = await apply(less, '--prune', '--kind', 'Group', '--dry-run');
    expect(dry.out).toMatch(/Group +eu\/central\/fra +delete/);
    expect(dry.out).not.toMatch(/(siem|Group +eu) +delete/);
    expect((await apply(less, '--prune', '--kind=Sink', '--kind=Group')).code).toBe(0);
    expect(await groupNames()).not.toContain('fra');
    expect(await groupNames()).toContain('eu');
    expect((await manager.call('sinks.list')).body.items).toEqual([]);
  });

  it('starts a rollout that is not there, and none that is', async () => {
    const group = await manager.group('roll');
    await manager.join(group, 'edge-1');
    const text = [
      'kind: Rollout',
      'product: edge',
      'version: 1.1.0',
      'scope: { group: roll }',
      'strategy: custom',
      'waves: [{ name: first, count: 1, settle_seconds: 0 }]',
    ].join('\n');
    const dry = await apply(text, '--dry-run');
    expect([dry.err, dry.out]).toEqual(['', expect.stringContaining('1 node in 1 wave')]);
    expect((await apply(text)).out).toMatch(/Rollout +edge 1.1.0 to roll +create/);
    const again = await apply(text);
    expect(again.out).toMatch(/unchanged +rol_\w+ is /);
    const other = await apply(text.replace('1.1.0', '9.9.9'), '--dry-run');
    expect([other.code, other.err]).toEqual([4, expect.stringContaining('[not_found]')]);
  });

  it.each<[string, string, string]>([
    ['no kind', 'name: x', 'needs a kind: Group, Plan, Schedule, Sink, Rollout'],
    ['a slip in a kind', 'kind: Gruop\nname: x', 'did you mean Group?'],
    ['an unknown key', 'kind: Group\nname: x\nnode_max: 3', 'did you mean nodes_max?'],
    ['one further down', 'kind: Group\nname: x\nupgrades: { mood: x }', 'mood is not known'],
    ['a slip in a plan', 'kind: Rollout\nproduct: a\nversion: 1.0.0\nstrateggy: x', 'strategy?'],
    ['a wrong value', 'kind: Group\nname: x\nnodes_max: many', '#1.nodes_max'],
    ['the same twice', 'kind: Group\nname: x\n---\nkind: Group\nname: x', 'is declared in -#1'],
    ['one key twice', 'kind: Group\nname: x\nname: y', 'Map keys must be unique'],
    ['no YAML', 'kind: [Group', '-#1'],
    ['nothing', '# only a comment\n', 'declares nothing'],
    [
      'a secret in the file',
      SINK('credentials: { secret: whsec_x }'),
      'does not stand in the file',
    ],
    ['no secret of a webhook', SINK(''), 'a webhook needs a secret'],
    [
      'a credential of nobody',
      SINK('credentials: { token: { env: A } }'),
      'a webhook takes secret',
    ],
    ['a bomb', BOMB(), 'Excessive alias count'],
  ])('refuses %s, and does nothing', async (_what, text, why) => {
    const before = await groupNames();
    const { code, err, out } = await apply(`kind: Group\nname: never\n---\n${text}`);
    const alone = why === 'declares nothing' ? await apply(text) : { code, err, out };
    const isTold = why === 'is declared in -#1' ? 'is declared in -#2' : why.replace('#1', '#2');
    expect([alone.code, alone.out]).toEqual([1, '']);
    expect(alone.err).toContain('[apply_file_invalid]');
    expect(alone.err).toContain(isTold);
    if (alone.err === err) expect(await groupNames()).toEqual(before);
  });

  it('says where it stopped, and what is missing', async () => {
    const lost = await apply('kind: Group\nname: x\nparent: no/where');
    expect([lost.code, lost.err]).toEqual([4, expect.stringContaining('no group no/where')]);
    const viewer = await manager.token('viewer', 'grp_default');
    const refused = await run(
      'kind: Group\nname: x\n---\nkind: Group\nname: y\n',
      ['apply', '-f', '-'],
      viewer,
    );
    expect([refused.code, refused.err]).toEqual([
      5,
      expect.stringMatching(/Group x: .*0 of 2 were done before/),
    ]);
    const absent = await run(null, ['apply', '-f', join(dir.path, 'absent.yaml')]);
    expect([absent.code, absent.err]).toEqual([1, expect.stringContaining('[local_file_failed]')]);
    expect((await run(null, ['apply', '-f', '-'])).code).toBe(2);
    const file = join(dir.path, 'group.json');
    writeFileSync(file, JSON.stringify({ kind: 'Group', name: 'from-json' }));
    const made = await run(null, ['apply', '-f', file, '-o', 'json']);
    expect(JSON.parse(made.out)).toMatchObject({
      items: [{ name: 'from-json', action: 'create' }],
    });
  });
});

function SINK(more: string): string {
  return `kind: Sink\nname: s\ntype: webhook\nconfig: { url: https://a.example }\n${more}`;
}
function BOMB(): string {
  const levels = Array.from({ length: 9 }, (_, i) => {
    const parts = Array.from({ length: 9 }, () => (i === 0 ? 'x' : `*a${i - 1}`)).join(', ');
    return `a${i}: &a${i} [${parts}]`;
  });
  return `kind: Group\nname: b\n${levels.join('\n')}`;
}
