import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { recordingTerminal } from '../../../test/support/recording-terminal.js';
import { parseGiven } from '../command.js';
import { runProgram } from '../program.js';
import { readGroupPlan, readRolloutPlan } from './plan-options.js';
import { createRollout, upgradeGroup } from './upgrade.js';

const folder = mkdtempSync(join(tmpdir(), 'bellwether-plan-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

let count = 0;
function file(text: string): string {
  const path = join(folder, `plan-${(count += 1)}`);
  writeFileSync(path, text);
  return path;
}
const bodyOf = (...words: string[]) => readRolloutPlan(parseGiven(createRollout, words));

async function refused(text: string, ...words: string[]): Promise<string> {
  const terminal = recordingTerminal({ BELLWETHER_TOKEN: 'bwt_x' });
  const code = await runProgram(['rollouts', 'create', '--plan', file(text), ...words], terminal);
  expect([code, terminal.errText()]).toEqual([1, expect.stringContaining('rollout_plan_invalid')]);
  expect(terminal.errText().trimEnd().split('\n')).toHaveLength(1);
  return terminal.errText();
}

const WEEKLY = `
product = "edge"
version = "1.4.0"
strategy = "scheduled"
apply_after = 2026-12-01T22:00:00+01:00

[scope]
labels = { site = "fra" }

[tolerate]
failures = "1%"

[[rings]]
name = "early"
ring = "early"
canary_count = 1
window = { days = ["tue"], start = "02:00", duration_minutes = 120, time_zone = "Europe/Berlin" }

[[rings]]
name = "all"
rest = true
`;

describe('a plan file', () => {
  it('is YAML when its name says so', async () => {
    const path = `${file('')}.yaml`;
    writeFileSync(
      path,
      'product: edge\nversion: 1.4.0\nstrategy: scheduled\nrings: [{ name: all, rest: true }]\n',
    );
    expect(await bodyOf('--plan', path)).toMatchObject({ rings: [{ name: 'all', rest: true }] });
  });

  it('is TOML or JSON, and both say the same', async () => {
    const body = await bodyOf('--plan', file(WEEKLY));
    expect(body).toMatchObject({
      strategy: 'scheduled',
      apply_after: '2026-12-01T21:00:00.000Z',
      scope: { labels: { site: 'fra' } },
      rings: [{ name: 'early', canary_count: 1 }, { rest: true }],
    });
    expect(await bodyOf('--plan', file(JSON.stringify(body)))).toEqual(body);
  });

  it('is changed by what is said on the command line, part by part', async () => {
    const path = file(WEEKLY);
    const options = ['--version', '1.5.0', '--max-silent=any', '--exclude', 'nod_000001'];
    expect(await bodyOf('--plan', path, ...options)).toMatchObject({
      version: '1.5.0',
      tolerate: { failures: '1%', silent: null },
      scope: { labels: { site: 'fra' }, exclude_node_ids: ['nod_000001'] },
    });
  });

  it('is refused with every problem and its path', async () => {
    const told = await refused(
      WEEKLY.replace('02:00', '2 am').replace('rest = true', 'rest = true\ncount = 3'),
      '--max-failures=2',
    );
    expect(told).toContain('rings.0.window.start: take a time such as 22:30');
    expect(told).toContain('rings.1: give exactly one of percent, count');
  });

  it('is refused for keys that nobody reads', async () => {
    const told = await refused(WEEKLY.replace('canary_count', 'canary_cout'));
    expect(told).toContain('rings.0.canary_cout: is not known; did you mean canary_count?');
    expect(await refused('{"product":"edge","version":"1.0.0","zzzzzzzzzz":1}')).toContain(
      'zzzzzzzzzz: is not known.'.replace('known.', 'known'),
    );
  });

  it.each([
    ['broken JSON', '{"product": '],
    ['broken TOML', 'product = '],
    ['a moment without a zone', 'product="edge"\nversion="1.0.0"\napply_after=2026-12-01T22:00:00'],
  ])('is refused when it holds %s', async (_what, text) => {
    await refused(text);
  });

  it('of a group has no scope of its own', async () => {
    const given = parseGiven(upgradeGroup, ['grp_default', '--plan', file(WEEKLY)]);
    await expect(readGroupPlan(given)).rejects.toMatchObject({
      code: 'rollout_plan_invalid',
      message: expect.stringContaining('scope: the group stands on the command line') as string,
    });
  });
});

describe('the options of a rollout', () => {
  it('become the request', async () => {
    const body = await bodyOf(
      ...['--product=edge', '--version=1.4.0', '--channel=beta', '--strategy=rolling'],
      ...['--step-percent=20', '--group=grp_000001', '--no-subgroups', '--label=site=fra'],
      ...['--label=rack=a=1', '--node=nod_000001', '--node=nod_000002', '--exclude=nod_000003'],
      ...['--settle-seconds=60', '--node-deadline-seconds=600', '--max-failures=2'],
      ...['--max-offline=any', '--max-silent=25%', '--max-unavailable=10%', '--domain=site=1'],
      ...['--apply-after=2026-12-01T22:00:00Z', '--expires-after=12h', '--spread-seconds=300'],
      '--strata=site,rack',
    );
    expect(body).toEqual({
      product: 'edge',
      version: '1.4.0',
      channel: 'beta',
      strategy: 'rolling',
      step_percent: 20,
      scope: {
        group_id: 'grp_000001',
        subgroups: false,
        labels: { site: 'fra', rack: 'a=1' },
        node_ids: ['nod_000001', 'nod_000002'],
        exclude_node_ids: ['nod_000003'],
      },
      settle_seconds: 60,
      node_deadline_seconds: 600,
      tolerate: { failures: 2, offline: null, silent: '25%' },
      max_unavailable: '10%',
      domain: { label: 'site', max: 1 },
      apply_after: '2026-12-01T22:00:00.000Z',
      expires_after_seconds: 43_200,
      spread_seconds: 300,
      strata: ['site', 'rack'],
    });
  });

  it('that were left out are left to the manager', async () => {
    expect(await bodyOf('--product=edge', '--version=1.4.0')).toEqual({
      product: 'edge',
      version: '1.4.0',
    });
  });
});
