import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { startRolloutManager, type RolloutManager } from '../../../test/support/obedient-node.js';
import type { RouteName } from '../../protocol/api/index.js';

let manager: RolloutManager;
let east: string;
let hall: string;
/** A node below the hall that takes part. */
let nodeId: string;
/** The rollout of the hall that a verb is tried on. */
let id: string;
const tokens = new Map<string, string | null>();
const PEOPLE = [
  'viewer of hall',
  'operator of hall',
  'admin of hall',
  'operator of east',
  'admin of east',
  'viewer of west',
  'admin of west',
  'release',
  'nobody',
] as const;
type Person = (typeof PEOPLE)[number];

beforeAll(async () => {
  manager = await startRolloutManager({});
  east = await manager.group('east');
  hall = await manager.group('hall', east);
  const west = await manager.group('west');
  nodeId = (await manager.join(hall, 'alone')).id;
  for (const [name, group] of Object.entries({ hall, east, west })) {
    for (const role of ['viewer', 'operator', 'admin']) {
      tokens.set(`${role} of ${name}`, await manager.token(role, group));
    }
  }
  tokens.set('release', await manager.token('release'));
  tokens.set('nobody', null);
}, 60_000);
afterAll(() => manager.stop());

const tokenOf = (who: Person): string | null => tokens.get(who) ?? null;
const wanted = (over: object = {}) => ({
  product: 'edge',
  version: '1.1.0',
  scope: { group_id: hall },
  strategy: 'canary' as const,
  ...over,
});

async function cancelAll(): Promise<void> {
  const { body } = await manager.call('rollouts.list', { query: { limit: 100 } });
  for (const rollout of body.items) {
    if (!['complete', 'cancelled', 'rolled_back'].includes(rollout.status)) {
      await manager.call('rollouts.cancel', { params: { id: rollout.id } });
    }
  }
}

beforeEach(async () => {
  await cancelAll();
  const made = await manager.call('rollouts.create', { body: wanted() });
  expect(made.status, JSON.stringify(made.body)).toBe(202);
  id = made.body.id;
});

/**
 * Whoever may this nowhere is told so before anything is looked up; whoever may it elsewhere is told that
 * there is nothing.
 */
function answers(may: readonly Person[], good: number): Record<Person, number> {
  const all = Object.fromEntries(PEOPLE.map((who) => [who, 403])) as Record<Person, number>;
  for (const who of may) all[who] = good;
  const strangers = { 'viewer of west': may === VIEWERS ? 404 : 403, 'admin of west': 404 };
  return { ...all, ...strangers, nobody: 401 };
}
const ADMINS: readonly Person[] = ['admin of hall', 'admin of east'];
const VIEWERS: readonly Person[] = [
  'viewer of hall',
  'operator of hall',
  'operator of east',
  ...ADMINS,
];

type Given = () => { params?: object; query?: object; body?: object };
const ofRollout: Given = () => ({ params: { id } });
const ofWave: Given = () => ({ params: { id }, body: { wave: 7 } });

/** Verbs are tried on something that they do not fit, so that who is let through changes nothing. */
const ROUTES: readonly [RouteName, Given, readonly Person[], number][] = [
  ['rollouts.preview', () => ({ body: wanted() }), ADMINS, 200],
  ['rollouts.create', () => ({ body: wanted() }), ADMINS, 409],
  ['rollouts.report', ofRollout, VIEWERS, 200],
  ['rollouts.why', () => ({ params: { id, node: nodeId } }), VIEWERS, 200],
  ['rollouts.revert', ofRollout, ADMINS, 409],
  ['rollouts.retry_failed', ofRollout, ADMINS, 409],
  ['rollouts.approve', ofWave, ADMINS, 404],
  ['rollouts.skip_wave', ofWave, ADMINS, 404],
  ['rollouts.start_wave', ofWave, ADMINS, 404],
  ['rollouts.mark_done', ofWave, ADMINS, 404],
  ['groups.switch', () => ({ params: { id: hall } }), VIEWERS, 200],
  ['groups.set_switch', () => ({ params: { id: hall }, body: { mode: 'enabled' } }), ADMINS, 200],
  ['groups.freezes', () => ({ params: { id: hall } }), VIEWERS, 200],
  [
    'groups.freeze',
    () => ({
      params: { id: hall },
      body: { name: 'past', from: '2020-01-01T00:00:00Z', to: '2020-01-02T00:00:00Z' },
    }),
    ADMINS,
    201,
  ],
  ['groups.thaw', () => ({ params: { id: hall, freeze: 'frz_0000000000' } }), ADMINS, 404],
];

describe.each(ROUTES)('%s', (name, given, may, good) => {
  it('asks who it is and what they may', async () => {
    const expected = answers(may, good);
    const got: Partial<Record<Person, number>> = {};
    for (const who of PEOPLE) {
      const { status } = await manager.call(name, given() as never, tokenOf(who));
      got[who] = status;
    }
    expect(got).toEqual(expected);
  });
});

describe('a rollout', () => {
  it('is marked as rolled back by admins of its group and above only', async () => {
    for (const who of PEOPLE) {
      const { status } = await manager.call(
        'rollouts.mark_rolled_back',
        { params: { id } },
        tokenOf(who),
      );
      expect(status, who).toBe(answers(ADMINS, 200)[who]);
      if (status !== 200) continue;
      id = (await manager.call('rollouts.create', { body: wanted() })).body.id;
    }
  });

  it('of one node is steered by operators too', async () => {
    await cancelAll();
    const operator = tokenOf('operator of hall');
    const params = { id: nodeId };
    const made = await manager.call(
      'nodes.upgrade',
      { params, body: { version: '1.1.0' } },
      operator,
    );
    const given = { params: { id: made.body.id } };
    expect((await manager.call('rollouts.mark_rolled_back', given, operator)).status).toBe(200);
    // What is asked of the whole group stays with its admins.
    expect((await manager.call('rollouts.revert', given, operator)).status).toBe(403);
  });

  it('asks nobody for a node that it does not have, and hides it from strangers', async () => {
    const params = { id, node: 'nod_0000000000' };
    const own = await manager.call('rollouts.why', { params });
    expect([own.status, own.body.code]).toEqual([404, 'not_found']);
    const hidden = { id, node: nodeId };
    const token = tokenOf('admin of west');
    expect((await manager.call('rollouts.why', { params: hidden }, token)).status).toBe(404);
  });

  it('cannot reach over the border of what somebody may upgrade', async () => {
    const admin = tokenOf('admin of hall');
    const above = await manager.call(
      'rollouts.preview',
      { body: wanted({ scope: { group_id: east } }) },
      admin,
    );
    expect(above.status).toBe(404);
  });
});

describe('a group that is not there', () => {
  it.each(['groups.switch', 'groups.set_switch', 'groups.freezes', 'groups.freeze'] as const)(
    'is not found by %s',
    async (name) => {
      const bodies = {
        'groups.set_switch': { mode: 'disabled' },
        'groups.freeze': { name: 'x', from: '2020-01-01T00:00:00Z', to: '2020-01-02T00:00:00Z' },
      };
      const given = {
        params: { id: 'grp_0000000000' },
        body: (bodies as Record<string, object>)[name],
      };
      const { status } = await manager.call(name, given as never);
      expect(status).toBe(404);
    },
  );
});
