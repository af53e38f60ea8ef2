import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeTempDir } from '../../../test/support/databases.js';
import { startRolloutManager, type RolloutManager } from '../../../test/support/obedient-node.js';
import { recordingTerminal } from '../../../test/support/recording-terminal.js';
import { runProgram } from '../program.js';

const dir = makeTempDir();
let manager: RolloutManager;
let east: string;
beforeAll(async () => {
  manager = await startRolloutManager({});
  east = await manager.group('east');
  await manager.join(east, 'edge-1');
}, 60_000);
afterAll(async () => {
  await manager.stop();
  dir.remove();
});

async function run(...words: readonly string[]) {
  const env = { BELLWETHER_MANAGER: manager.url, BELLWETHER_TOKEN: manager.admin };
  const terminal = recordingTerminal(env);
  const code = await runProgram(words, terminal);
  return { code, out: terminal.outText(), err: terminal.errText() };
}
const done = async (...words: readonly string[]): Promise<string> => {
  const { code, out, err } = await run(...words);
  expect([code, err]).toEqual([0, '']);
  return out;
};

describe('plans and schedules', { timeout: 60_000 }, () => {
  it('are stored, shown, changed by what is named, and lead rollouts', async () => {
    const made = await done(
      ...['plans', 'create', 'quick', '--group', east, '--strategy', 'immediate'],
      ...['--max-unavailable', '10%', '--note', 'for the lab'],
    );
    expect(made).toMatch(/revision: +1/);
    expect(await done('plans', 'list')).toMatch(/quick.*immediate +1 +0 +for the lab/);
    const changed = await done('plans', 'update', 'quick', '--spread-seconds', '60');
    expect(changed).toMatch(/revision: +2[^]*max unavailable: +10%[^]*spread seconds: +60/);
    const twice = await run('plans', 'update', 'quick', '--spread-seconds', '60');
    expect([twice.code, twice.err]).toEqual([2, expect.stringContaining('something to change')]);
    const started = await done(
      ...['rollouts', 'create', '--product', 'edge', '--version', '1.1.0'],
      ...['--group', east, '--stored-plan', 'quick'],
    );
    expect(started).toMatch(/plan: +quick, revision 2/);
    const beside = await run(
      ...['groups', 'upgrade', east, '--product', 'edge', '--version', '1.1.0'],
      ...['--stored-plan', 'quick', '--settle-seconds', '1'],
    );
    expect([beside.code, beside.err]).toEqual([1, expect.stringContaining('leave it out')]);
  });

  it('lose nothing when several change one at once', async () => {
    await done('plans', 'create', 'shared', '--strategy', 'staged');
    await Promise.all([
      done('plans', 'update', 'shared', '--spread-seconds', '60'),
      done('plans', 'update', 'shared', '--settle-seconds', '7'),
      done('plans', 'update', 'shared', '--max-unavailable', '20%'),
    ]);
    const plan = JSON.parse(await done('plans', 'show', 'shared', '-o', 'json')) as object;
    const terms = { spread_seconds: 60, settle_seconds: 7, max_unavailable: '20%' };
    expect(plan).toMatchObject({ revision: 4, terms });
  });

  it('take rings and waves from a file, and tell what is wrong with it', async () => {
    const file = join(dir.path, 'plan.yaml');
    writeFileSync(file, 'strategy: custom\nwaves: [{ count: 1 }, { rest: true }]\n');
    await done('plans', 'create', 'careful', '--file', file);
    expect(await done('plans', 'show', 'careful', '-o', 'json')).toContain('"count": 1');
    expect((await run('plans', 'create', 'x', '--strategy', 'custom')).err).toContain('--file');
    writeFileSync(file, 'strategy: custom\nwavez: []\nwaves: [{ count: 1 }]\n');
    const slip = await run('plans', 'create', 'slip', '--file', file);
    expect(slip.err).toContain('did you mean waves?');
  });

  it('start rollouts when releases come, and are paused, resumed and deleted', async () => {
    const words = ['--product', 'edge', '--plan', 'quick', '--group', east];
    const window = ['--days', 'mon,tue', '--start', '22:00', '--duration', '4h'];
    const made = await done(
      ...['schedules', 'create', 'nightly', ...words, ...window],
      ...['--time-zone', 'Europe/Berlin', '--when-busy', 'supersede'],
    );
    expect(made).toMatch(/window: +mon, tue from 22:00 for 240 min \(Europe\/Berlin\)/);
    expect(await done('schedules', 'list')).toMatch(/nightly .*edge \(stable\) +quick +idle/);
    expect(await done('schedules', 'pause', 'nightly')).toMatch(/state: +paused/);
    expect(await done('schedules', 'resume', 'nightly')).toMatch(/state: +idle/);
    const used = await run('plans', 'delete', 'quick');
    expect([used.code, used.err]).toEqual([6, expect.stringContaining('[plan_in_use]')]);
    expect(await done('schedules', 'show', 'nightly')).toMatch(/rights of: +token/);
    await done('schedules', 'delete', 'nightly', '--group', east);
    await done('plans', 'delete', 'quick');
    expect((await run('schedules', 'show', 'nightly')).code).toBe(4);
  });

  it('are changed by what is named, the window too, and nothing is guessed', async () => {
    await done('plans', 'create', 'slow', '--strategy', 'rolling');
    const words = ['--product', 'edge', '--plan', 'slow', '--paused'];
    await done('schedules', 'create', 'weekly', ...words);
    const half = await run('schedules', 'update', 'weekly', '--duration', '6h');
    expect([half.code, half.err]).toEqual([2, expect.stringContaining('--start and --duration')]);
    const night = ['--days', 'sat', '--start', '01:00', '--duration', '2h', '--time-zone', 'UTC'];
    await done('schedules', 'update', 'weekly', ...night);
    const longer = await done('schedules', 'update', 'weekly', '--duration', '90m');
    expect(longer).toMatch(/window: +sat from 01:00 for 90 min \(UTC\)/);
    const other = ['--name', 'by week', '--plan', 'careful', '--when-busy', 'supersede'];
    const changed = await done('schedules', 'update', 'weekly', ...other);
    expect(changed).toMatch(/name: +by week[^]*plan: +careful[^]*sat from 01:00[^]*supersede/);
    expect(changed).toMatch(/state: +paused/);
    expect(await done('schedules', 'update', 'by week', '--any-time')).toMatch(
      /window: +at any time/,
    );
    const both = await run('schedules', 'update', 'by week', '--any-time', '--start', '22:00');
    expect([both.code, both.err]).toEqual([2, expect.stringContaining('takes the window away')]);
    const nothing = await run('schedules', 'update', 'by week');
    expect([nothing.code, nothing.err]).toEqual([
      2,
      expect.stringContaining('something to change'),
    ]);
    expect((await run('schedules', 'update', 'by week', '--plan', 'none')).code).toBe(4);
    await done('schedules', 'delete', 'by week');
  });

  it.each([
    [['--start', '22:00'], 'needs --start and --duration'],
    [['--time-zone', 'UTC'], 'give --start and --duration'],
    [['--start', '25:00', '--duration', '1h'], 'take a time such as 22:30'],
    [['--start', '22:00', '--duration', '1h', '--days', 'monday'], 'take days such as'],
  ])('refuse a window that is %j', async (words, why) => {
    const all = ['schedules', 'create', 'x', '--product', 'edge', '--plan', 'careful', ...words];
    expect(await run(...all)).toMatchObject({
      code: 2,
      err: expect.stringContaining(why) as string,
    });
  });
});
