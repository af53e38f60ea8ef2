import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startRolloutManager, type RolloutManager } from '../../../test/support/obedient-node.js';
import { rowsOf } from '../../../test/support/rollouts.js';

let manager: RolloutManager;
let east: string;
let hall: string;
let empty: string;

beforeAll(async () => {
  manager = await startRolloutManager({});
  east = await manager.group('east');
  hall = await manager.group('hall', east);
  empty = await manager.group('empty', east);
  for (const ring of ['a', 'b', 'b', 'b']) {
    await manager.join(east, `edge-${ring}`, { labels: { ring } });
  }
  await manager.join(hall, 'edge-hall');
}, 60_000);
afterAll(() => manager.stop());

const ask = (over: object) =>
  manager.call('rollouts.create', {
    body: { product: 'edge', version: '1.1.0', scope: { group_id: east }, ...over },
  });
const window = (over: object = {}) => ({
  days: ['mon'],
  start: '22:30',
  duration_minutes: 120,
  time_zone: 'Europe/Berlin',
  ...over,
});
const NOWHERE = window({ time_zone: 'Europe/Atlantis' });

async function isRefused(over: object, code: string): Promise<string[]> {
  const { status, body } = await ask(over);
  expect([status, body.code], JSON.stringify(body)).toEqual([400, code]);
  expect(await rowsOf(manager.database, 'rollouts')).toEqual([0]);
  return (body.problems ?? []).map(({ path }) => path).sort();
}

describe('a plan that does not fit together', () => {
  it.each<[string, object, string[]]>([
    ['no waves', { strategy: 'custom' }, ['waves']],
    ['no rings', { strategy: 'scheduled' }, ['rings']],
    ['percents that fall', { wave_percents: [50, 10, 100] }, ['wave_percents.1']],
    ['percents that end early', { wave_percents: [10, 50] }, ['wave_percents.1']],
    [
      'percents of waves that stand still',
      { strategy: 'custom', waves: [{ percent: 50 }, { percent: 50 }, { rest: true }] },
      ['waves.1.percent'],
    ],
    [
      'a time zone that nobody knows',
      { strategy: 'scheduled', rings: [{ name: 'all', rest: true, window: NOWHERE }] },
      ['rings.0.window'],
    ],
    [
      'two waves for the same nodes',
      { strategy: 'custom', waves: [{ ring: 'a' }, { label: { key: 'ring', value: 'a' } }] },
      ['waves.1'],
    ],
    [
      'two rings of one name',
      {
        strategy: 'scheduled',
        rings: [
          { name: 'one', ring: 'a' },
          { name: 'one', ring: 'b' },
        ],
      },
      ['rings.1.name'],
    ],
    [
      'hours to wait for a ring that it is independent of',
      {
        strategy: 'scheduled',
        order: 'independent',
        rings: [
          { name: 'one', ring: 'a' },
          { name: 'two', ring: 'b', wait_hours: 1 },
        ],
      },
      ['rings.1.wait_hours'],
    ],
    [
      'a wave without nodes',
      { strategy: 'custom', waves: [{ group_id: 'EMPTY' }, { ring: 'z' }, { rest: true }] },
      ['waves.0', 'waves.1'],
    ],
    [
      'a start after the end',
      { apply_after: '2099-01-01T00:00:00Z', expires_after_seconds: 3600 },
      ['apply_after'],
    ],
  ])('with %s is refused', async (_what, over, paths) => {
    const asked = JSON.parse(JSON.stringify(over).replace('EMPTY', empty)) as object;
    expect(await isRefused(asked, 'rollout_plan_invalid')).toEqual(paths);
  });

  it('is told everything that is wrong with it at once', async () => {
    const paths = await isRefused(
      {
        strategy: 'scheduled',
        apply_after: '2099-01-01T00:00:00Z',
        expires_after_seconds: 3600,
        rings: [
          { name: 'one', ring: 'z', window: NOWHERE },
          { name: 'two', percent: 50 },
          { name: 'two', percent: 20, window: NOWHERE },
        ],
      },
      'rollout_plan_invalid',
    );
    expect(paths).toEqual([
      'apply_after',
      'rings.0',
      'rings.0.window',
      'rings.2.name',
      'rings.2.percent',
      'rings.2.window',
    ]);
  });

  it('is told so also by the upgrade of one node', async () => {
    const { body } = await manager.call('nodes.list', {});
    const reply = await manager.call('nodes.upgrade', {
      params: { id: body.items[0]?.id ?? '' },
      body: {
        version: '1.1.0',
        apply_after: '2099-01-01T00:00:00Z',
        expires_after_seconds: 3600,
      },
    });
    expect([reply.status, reply.body.code]).toEqual([400, 'rollout_plan_invalid']);
  });
});

describe('a request that is none', () => {
  it.each<[string, object, string[]]>([
    [
      'two selectors in a wave, or none',
      { strategy: 'custom', waves: [{ percent: 10, rest: true }, {}] },
      ['body.waves.0', 'body.waves.1'],
    ],
    [
      'a window without days, or at no time',
      {
        strategy: 'custom',
        waves: [{ rest: true, windows: [window({ days: [] }), window({ start: '25:00' })] }],
      },
      ['body.waves.0.windows.0.days', 'body.waves.0.windows.1.start'],
    ],
    [
      'thresholds that are no numbers',
      { tolerate: { failures: 'many', offline: -1, silent: '1/2' } },
      ['body.tolerate.failures', 'body.tolerate.offline', 'body.tolerate.silent'],
    ],
    ['a limit of nothing', { max_unavailable: 0 }, ['body.max_unavailable']],
    ['a limit of no percent', { max_unavailable: '0%' }, ['body.max_unavailable']],
    ['a share above the whole', { max_unavailable: '400%' }, ['body.max_unavailable']],
    ['no percent in other words', { domain: { label: 'ring', max: '0.0%' } }, ['body.domain.max']],
    [
      'no numbers in fields of numbers',
      { settle_seconds: 'soon', spread_seconds: 0.5 },
      ['body.settle_seconds', 'body.spread_seconds'],
    ],
    ['an unknown strategy', { strategy: 'yolo' }, ['body.strategy']],
    ['an end that comes too soon', { expires_after_seconds: 1 }, ['body.expires_after_seconds']],
  ])('with %s is refused, place by place', async (_what, over, paths) => {
    expect(await isRefused(over, 'invalid_request')).toEqual(paths);
  });
});
