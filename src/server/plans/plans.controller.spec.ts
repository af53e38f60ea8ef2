import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startRolloutManager, type RolloutManager } from '../../../test/support/obedient-node.js';
import { PLANS_MAX } from './plans.js';

const CAREFUL = { strategy: 'custom', waves: [{ count: 1 }, { rest: true }] } as const;

describe.each(['sqlite', 'postgres'] as const)('stored plans on %s', (kind) => {
  let manager: RolloutManager;
  let east: string;
  let hall: string;
  let west: string;
  beforeAll(async () => {
    manager = await startRolloutManager({ kind, versions: ['1.0.0', '1.1.0', '1.2.0'] });
    east = await manager.group('east');
    hall = await manager.group('hall', east);
    west = await manager.group('west');
  }, 60_000);
  afterAll(() => manager.stop());

  const make = async (group_id: string, name: string, terms: object = CAREFUL) => {
    const made = await manager.call('plans.create', { body: { name, group_id, terms } });
    expect(made.status, JSON.stringify(made.body)).toBe(201);
    return made.body;
  };
  const rollOut = (group_id: string, more: object, version = '1.1.0') =>
    manager.call('rollouts.create', {
      body: { product: 'edge', version, scope: { group_id }, ...more },
    });

  it('lead rollouts, which keep what they were made with', async () => {
    const node = await manager.join(hall, 'edge-1');
    const other = await manager.join(hall, 'edge-2');
    const plan = await make(east, 'careful');
    expect(plan).toMatchObject({ revision: 1, schedules: 0, terms: { settle_seconds: 300 } });
    const made = await rollOut(hall, { plan: 'careful' });
    expect(made.status, JSON.stringify(made.body)).toBe(202);
    const { id } = made.body;
    const rollout = async () => (await manager.call('rollouts.show', { params: { id } })).body;
    expect(await rollout()).toMatchObject({
      strategy: 'custom',
      plan: { id: plan.id, name: 'careful', revision: 1 },
      schedule: null,
      waves: [{ size: 1 }, { size: 1 }],
    });
    const changed = await manager.call('plans.change', {
      params: { id: plan.id },
      body: { name: 'bold', terms: { strategy: 'immediate' } },
    });
    expect(changed.body).toMatchObject({ name: 'bold', revision: 2 });
    expect(await rollout()).toMatchObject({
      plan: { name: 'careful', revision: 1 },
      waves: [{ size: 1 }, { size: 1 }],
    });
    await manager.call('plans.remove', { params: { id: plan.id } });
    expect((await rollout()).plan?.name).toBe('careful');
    const audit = await manager.call('audit.list', { query: { target_id: hall, limit: 1 } });
    expect(audit.body.items[0]?.details).toMatchObject({ plan_id: plan.id, plan_revision: 1 });
    await manager.call('rollouts.cancel', { params: { id } });
    await node.link.close();
    await other.link.close();
  });

  it('are those of the group and of the groups above it, the nearest first', async () => {
    const node = await manager.join(hall, 'edge-3');
    const above = await make('grp_default', 'usual', { strategy: 'staged' });
    const preview = (group_id: string, more: object) =>
      manager.call('rollouts.preview', {
        body: { product: 'edge', version: '1.2.0', scope: { group_id }, ...more },
      });
    expect((await preview(hall, { plan: 'usual' })).body.strategy).toBe('staged');
    const near = await make(hall, 'usual', { strategy: 'immediate' });
    expect((await preview(hall, { plan: 'usual' })).body.strategy).toBe('immediate');
    expect((await preview(hall, { plan_id: above.id })).body.strategy).toBe('staged');
    const aside = await make(west, 'aside');
    for (const more of [{ plan: 'aside' }, { plan_id: aside.id }, { plan: 'nothing' }]) {
      const refused = await preview(hall, more);
      expect(refused.body).toMatchObject({ code: 'not_found' });
    }
    const list = async (token?: string) =>
      (await manager.call('plans.list', { query: { for_group_id: hall } }, token)).body.items.map(
        ({ id }) => id,
      );
    expect((await list()).sort()).toEqual([above.id, near.id].sort());
    // Who has a role below sees what holds there, and changes it only where he has the right.
    const admin = await manager.token('admin', hall);
    expect((await list(admin)).sort()).toEqual([above.id, near.id].sort());
    const mine = await manager.call('plans.list', {}, admin);
    expect(mine.body.items.map(({ id }) => id)).not.toContain(aside.id);
    const show = (id: string) => manager.call('plans.show', { params: { id } }, admin);
    expect((await show(above.id)).status).toBe(200);
    expect((await show(aside.id)).status).toBe(404);
    const change = (id: string) =>
      manager.call('plans.change', { params: { id }, body: { note: 'x' } }, admin);
    expect((await change(near.id)).status).toBe(200);
    expect((await change(above.id)).status).toBe(404);
    expect((await change(aside.id)).status).toBe(404);
    await node.link.close();
  });

  it('are taken whole: nothing is said beside them', async () => {
    await make(west, 'alone');
    const beside = await rollOut(west, { plan: 'alone', strategy: 'canary', settle_seconds: 1 });
    expect(beside.status).toBe(400);
    expect(JSON.stringify(beside.body)).toMatch(/strategy.*leave it out/);
    const both = await rollOut(west, { plan: 'alone', plan_id: 'pln_00000000' });
    expect(both.status).toBe(400);
  });

  it('are refused with everything that is wrong with them', async () => {
    const terms = {
      strategy: 'custom',
      waves: [
        {
          name: 'a',
          percent: 50,
          windows: [{ days: ['mon'], start: '02:00', duration_minutes: 5, time_zone: 'Nowhere' }],
        },
        { name: 'a', percent: 40, not_before: '2027-01-01T00:00:00Z' },
      ],
    };
    const refused = await manager.call('plans.create', { body: { name: 'bad', terms } as never });
    expect(refused.body).toMatchObject({ code: 'rollout_plan_invalid' });
    const text = JSON.stringify(refused.body);
    for (const path of ['0.windows.0', '1.not_before', '1.name', '1.percent']) {
      expect(text).toContain(`"terms.waves.${path}"`);
    }
    const empty = { name: 'bad', terms: { strategy: 'scheduled' } } as const;
    expect((await manager.call('plans.create', { body: empty })).body).toMatchObject({
      code: 'rollout_plan_invalid',
    });
    for (const body of [
      { name: 'a/b', terms: {} },
      { name: 'x', terms: { strateggy: 'staged' } },
      { name: 'x', terms: { wave_percents: Array.from({ length: 51 }, (_, i) => i + 1) } },
    ]) {
      expect((await manager.call('plans.create', { body })).status).toBe(400);
    }
  });

  it('have one name each, so many a group, and keep their group', async () => {
    const group = await manager.group(`full-${kind}`);
    const first = await make(group, 'first');
    const again = await manager.call('plans.create', {
      body: { name: 'first', group_id: group, terms: {} },
    });
    expect(again.body).toMatchObject({ code: 'conflict' });
    const second = await make(group, 'second');
    const renamed = await manager.call('plans.change', {
      params: { id: second.id },
      body: { name: 'first' },
    });
    expect(renamed.body).toMatchObject({ code: 'conflict' });
    expect((await manager.call('groups.remove', { params: { id: group } })).body).toMatchObject({
      code: 'group_not_empty',
    });
    for (let n = 2; n < PLANS_MAX; n += 1) await make(group, `plan ${n}`);
    const more = { name: 'one more', group_id: group, terms: {} };
    expect((await manager.call('plans.create', { body: more })).body).toMatchObject({
      code: 'conflict',
    });
    const pages: string[] = [];
    let cursor: string | undefined;
    do {
      const query = { for_group_id: group, limit: 33, ...(cursor === undefined ? {} : { cursor }) };
      const { body } = await manager.call('plans.list', { query });
      pages.push(...body.items.flatMap(({ id, group_id }) => (group_id === group ? [id] : [])));
      cursor = body.next_cursor ?? undefined;
    } while (cursor !== undefined);
    expect(new Set(pages).size).toBe(PLANS_MAX);
    expect(pages).toContain(first.id);
  });

  it('change on a condition, and are made once by one key', async () => {
    const headers = {
      authorization: `Bearer ${manager.admin}`,
      'content-type': 'application/json',
    };
    const post = () =>
      fetch(`${manager.url}/api/v1/plans`, {
        method: 'POST',
        headers: { ...headers, 'idempotency-key': 'plan-once-1' },
        body: JSON.stringify({ name: `once ${kind}`, terms: {} }),
      });
    const [one, two] = [await post(), await post()];
    const { id } = (await one.json()) as { id: string };
    expect((await two.json()) as object).toMatchObject({ id });
    const shown = await fetch(`${manager.url}/api/v1/plans/${id}`, { headers });
    const tag = shown.headers.get('etag') ?? '';
    const patch = (note: string) =>
      fetch(`${manager.url}/api/v1/plans/${id}`, {
        method: 'PATCH',
        headers: { ...headers, 'if-match': tag },
        body: JSON.stringify({ note }),
      });
    expect((await patch('first')).status).toBe(200);
    expect((await patch('second')).status).toBe(412);
  });
});
