import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { eventually } from '../../../test/support/fleet.js';
import {
  startRolloutManager,
  type ObedientNode,
  type RolloutManager,
} from '../../../test/support/obedient-node.js';
import type { CreateRollout, RouteName } from '../../protocol/api/index.js';

type WaveVerb = 'approve' | 'skip_wave' | 'start_wave' | 'mark_done';
type Verb = 'pause' | 'resume' | 'cancel' | 'mark_rolled_back' | 'retry_failed';

describe.each(['sqlite', 'postgres'] as const)('a verb (%s)', (kind) => {
  let manager: RolloutManager;
  let group: string;
  let count = 0;
  const nodes = new Map<string, ObedientNode>();

  beforeAll(async () => {
    manager = await startRolloutManager({ kind });
  }, 60_000);
  afterAll(() => manager.stop());

  /** A rollout over so many nodes of a new group, in waves of a half each unless said otherwise. */
  async function rollOut(size: number, over: Partial<CreateRollout> = {}): Promise<string> {
    group = await manager.group(`group ${(count += 1)}`);
    for (let i = 0; i < size; i += 1) {
      const node = await manager.join(group, `edge-${count}-${i}`);
      nodes.set(node.id, node);
    }
    const { status, body } = await manager.call('rollouts.create', {
      body: {
        product: 'edge',
        version: '1.1.0',
        scope: { group_id: group },
        wave_percents: [50, 100],
        settle_seconds: 0,
        ...over,
      },
    });
    expect(status, JSON.stringify(body)).toBe(202);
    return body.id;
  }
  const say = (id: string, verb: Verb, token?: string) =>
    manager.call(`rollouts.${verb}`, { params: { id } }, token);
  const ofWave = (id: string, verb: WaveVerb, wave: number, token?: string) =>
    manager.call(`rollouts.${verb}`, { params: { id }, body: { wave } }, token);
  const show = async (id: string) => (await manager.call('rollouts.show', { params: { id } })).body;
  const targets = async (id: string) =>
    (await manager.call('rollouts.targets', { params: { id } })).body.items;
  /** The nodes of a wave. */
  const inWave = async (id: string, wave: number): Promise<ObedientNode[]> =>
    (await targets(id)).flatMap((one) => (one.wave === wave ? (nodes.get(one.node_id) ?? []) : []));
  const waves = async (id: string) => (await show(id)).waves.map((wave) => wave.status);
  /** What the audit log says of a rollout, oldest first, but for its making. */
  async function auditOf(id: string) {
    const { body } = await manager.call('audit.list', {
      query: { limit: 500, outcome: 'allowed' },
    });
    return body.items
      .filter((entry) => entry.target_id === id)
      .map(({ action, details, actor_name, group_id }) => {
        expect(group_id).toBe(group);
        return [actor_name, action, details['wave']];
      })
      .reverse();
  }
  const refused = (
    { status, body }: Awaited<ReturnType<typeof say>>,
    at: string,
    detail: RegExp,
  ): void => {
    expect([status, body.code]).toEqual([409, 'rollout_wrong_state']);
    expect(body.context).toEqual({ status: at, allowed: expect.any(Array) as unknown });
    expect(body.detail).toMatch(detail);
  };

  it('that approves opens the wave that waits for it, and counts each token once', async () => {
    const id = await rollOut(2, { strategy: 'canary' });
    refused(await ofWave(id, 'approve', 0), 'in_progress', /wave 1 is open/);
    const [canary] = await inWave(id, 0);
    await canary?.obey();
    await eventually(async () => expect((await show(id)).reason).toBe('waiting_for_approval'));
    const admin = await manager.token('admin', group);
    const { status, body } = await ofWave(id, 'approve', 1, admin);
    expect([status, body.waves[1]?.status, body.waves[1]?.approved_by.length]).toEqual([
      200,
      'open',
      1,
    ]);
    refused(await ofWave(id, 'approve', 1, admin), 'in_progress', /wave 2 is open/);
    const [other] = await inWave(id, 1);
    await other?.obey();
    await eventually(async () => expect((await show(id)).status).toBe('complete'));
    expect(await auditOf(id)).toEqual([['a admin', 'rollout.approve', 2]]);
  }, 30_000);

  it('that approves may come early; a wave that needs none refuses it', async () => {
    const id = await rollOut(2, { strategy: 'canary' });
    expect((await ofWave(id, 'approve', 1)).status).toBe(200);
    refused(await ofWave(id, 'approve', 1), 'in_progress', /same person before/);
    const staged = await rollOut(2);
    refused(await ofWave(staged, 'approve', 1), 'in_progress', /needs no approval/);
    const [canary] = await inWave(id, 0);
    await canary?.obey();
    await eventually(async () => expect(await waves(id)).toEqual(['passed', 'open']));
  }, 30_000);

  it('that skips a wave leaves its nodes alone', async () => {
    const id = await rollOut(2);
    refused(await ofWave(id, 'skip_wave', 0), 'in_progress', /wave 1 is open/);
    const { body } = await ofWave(id, 'skip_wave', 1);
    expect(body.waves[1]).toMatchObject({
      status: 'skipped',
      reason: 'skipped_by_operator',
      counts: { skipped: 1 },
    });
    expect((await targets(id))[1]).toMatchObject({ state: 'skipped', reason: 'wave_skipped' });
    const [first] = await inWave(id, 0);
    await first?.obey();
    await eventually(async () => expect((await show(id)).status).toBe('complete'));
    const [second] = await inWave(id, 1);
    expect(second?.link.waiting('command')).toBe(0);
    expect(await auditOf(id)).toEqual([['first admin', 'rollout.skip_wave', 2]]);
  }, 30_000);

  it('that starts a wave goes past the order, not past a switch or a freeze', async () => {
    const id = await rollOut(2);
    const params = { id: group };
    const set = (mode: 'suspended' | 'enabled') =>
      manager.call('groups.set_switch', { params, body: { mode } });
    await set('suspended');
    refused(await ofWave(id, 'start_wave', 1), 'in_progress', /upgrades_suspended/);
    await set('enabled');
    const now = manager.clock.now();
    const freeze = await manager.call('groups.freeze', {
      params,
      body: {
        name: 'fair',
        from: new Date(now - 1_000).toISOString(),
        to: new Date(now + 60_000).toISOString(),
      },
    });
    refused(await ofWave(id, 'start_wave', 1), 'in_progress', /frozen/);
    await manager.call('groups.thaw', { params: { ...params, freeze: freeze.body.id } });
    const { body } = await ofWave(id, 'start_wave', 1);
    expect(body.waves.map(({ status, reason }) => [status, reason])).toEqual([
      ['open', 'wave_open'],
      ['open', 'manual_trigger'],
    ]);
    refused(await ofWave(id, 'start_wave', 1), 'in_progress', /wave 2 is open/);
    const [second] = await inWave(id, 1);
    await second?.obey();
    expect(await auditOf(id)).toEqual([['first admin', 'rollout.start_wave', 2]]);
    await say(id, 'pause');
    refused(await ofWave(id, 'start_wave', 0), 'paused', /cannot take: start wave/);
  }, 30_000);

  it('that calls a wave done lets the next one go, and its failures stop nothing', async () => {
    const id = await rollOut(2);
    const { body } = await ofWave(id, 'mark_done', 0);
    expect(body.waves.map(({ status, reason }) => [status, reason])).toEqual([
      ['passed', 'manual_forced_done'],
      ['open', 'wave_open'],
    ]);
    refused(await ofWave(id, 'mark_done', 0), 'in_progress', /wave 1 is passed/);
    const [first] = await inWave(id, 0);
    const [second] = await inWave(id, 1);
    await first?.obey('upgrade_rolled_back');
    await second?.obey();
    await eventually(async () =>
      expect(await show(id)).toMatchObject({
        status: 'complete',
        reason: 'complete_with_failures',
      }),
    );
    expect(await auditOf(id)).toEqual([['first admin', 'rollout.mark_done', 1]]);
  }, 30_000);

  it('that says it was rolled back ends it and calls back who has not swapped', async () => {
    const id = await rollOut(2);
    const [first] = await inWave(id, 0);
    const { body } = await say(id, 'mark_rolled_back');
    expect([body.status, body.reason]).toEqual(['rolled_back', 'marked_by_operator']);
    expect((await targets(id)).map((target) => target.state)).toEqual(['cancelled', 'cancelled']);
    const told = [await first?.link.next('command'), await first?.link.next('command')];
    expect(told.map((message) => message?.command.action)).toEqual(['upgrade_binary', 'withdraw']);
    expect(await auditOf(id)).toEqual([['first admin', 'rollout.mark_rolled_back', undefined]]);
    // The nodes are free again.
    const params = { id: first?.id ?? '' };
    const again = await manager.call('nodes.upgrade', { params, body: { version: '1.1.0' } });
    expect(again.status).toBe(202);
  }, 30_000);

  it('that tries again gives failed nodes a new command, and refuses when nobody failed', async () => {
    const id = await rollOut(2);
    refused(await say(id, 'retry_failed'), 'in_progress', /no target has failed/);
    const [first] = await inWave(id, 0);
    await first?.obey('upgrade_rolled_back');
    expect((await show(id)).status).toBe('paused');
    const [before] = await targets(id);
    expect(before).toMatchObject({ state: 'rolled_back', error_code: 'upgrade_unhealthy' });
    const tried = await say(id, 'retry_failed');
    expect([tried.status, tried.body.status]).toEqual([200, 'paused']);
    // A paused rollout gives no command.
    const [waiting] = await targets(id);
    expect(waiting).toMatchObject({ state: 'pending', reason: 'retried', command_id: null });
    await say(id, 'resume');
    const [after] = await targets(id);
    expect(after).toMatchObject({ state: 'offered', error_code: null });
    expect(after?.command_id).not.toBe(before?.command_id);
    const command = await first?.stage();
    if (command === undefined) throw new Error('no command');
    await first?.finish(command);
    await eventually(async () => expect(await waves(id)).toEqual(['passed', 'open']));
    expect(await auditOf(id)).toEqual([
      ['first admin', 'rollout.retry_failed', undefined],
      ['first admin', 'rollout.resume', undefined],
    ]);
  }, 30_000);

  it('about a wave that is not there is not found', async () => {
    const id = await rollOut(2);
    for (const verb of ['approve', 'skip_wave', 'start_wave', 'mark_done'] as const) {
      const { status, body } = await ofWave(id, verb, 2);
      expect([status, body.code]).toEqual([404, 'rollout_wave_unknown']);
      for (const wave of [-1, 0.5, 'first']) {
        expect((await ofWave(id, verb, wave as number)).status).toBe(400);
      }
    }
    expect(await auditOf(id)).toEqual([]);
  }, 30_000);

  it('on a rollout that is over is refused, with nothing allowed and nothing written', async () => {
    const id = await rollOut(1);
    await say(id, 'cancel');
    const was = await show(id);
    const verbs: [RouteName, object][] = [
      ...(['pause', 'resume', 'cancel', 'mark_rolled_back', 'retry_failed'] as const).map(
        (verb): [RouteName, object] => [`rollouts.${verb}`, { params: { id } }],
      ),
      ...(['approve', 'skip_wave', 'start_wave', 'mark_done'] as const).map(
        (verb): [RouteName, object] => [`rollouts.${verb}`, { params: { id }, body: { wave: 0 } }],
      ),
    ];
    for (const [name, given] of verbs) {
      const reply = await manager.call(name as 'rollouts.pause', given);
      expect([name, reply.status, reply.body.code]).toEqual([name, 409, 'rollout_wrong_state']);
      expect(reply.body.context).toEqual({ status: 'cancelled', allowed: [] });
    }
    expect(await show(id)).toEqual(was);
    expect(await auditOf(id)).toEqual([['first admin', 'rollout.cancel', undefined]]);
  }, 30_000);

  it('of two admins at one moment wins once; the other is told what is so now', async () => {
    const id = await rollOut(2);
    const [ann, bob] = [await manager.token('admin', group), await manager.token('admin', group)];
    for (const verb of ['pause', 'resume', 'cancel'] as const) {
      const replies = await Promise.all([say(id, verb, ann), say(id, verb, bob)]);
      expect(replies.map((reply) => reply.status).sort()).toEqual([200, 409]);
    }
    const wave = await rollOut(2);
    const skips = await Promise.all([ofWave(wave, 'skip_wave', 1), ofWave(wave, 'start_wave', 1)]);
    expect(skips.map((reply) => reply.status).sort()).toEqual([200, 409]);
    expect(await auditOf(wave)).toHaveLength(1);
  }, 30_000);
});
