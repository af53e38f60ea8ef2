import { afterEach, expect, it } from 'vitest';
import { describeOnBothDatabases } from '../../../test/support/databases.js';
import { aHello, aService } from '../../../test/support/node-link.js';
import { ann, lookAt, rolloutsOn } from '../../../test/support/rollouts.js';
import { MINUTE_MS } from '../../core/kernel/index.js';
import type { PermitRequest, UpdateOutcome } from '../../protocol/node/index.js';

const cleanUps: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0)) await cleanUp();
});

const asking = (command_id: string | null): PermitRequest => ({
  type: 'permit_request',
  ask: 1,
  command_id: command_id ?? '',
  service: 'edge',
  version: '2.0.0',
});

describeOnBothDatabases('what a node says of its command', (openTestDatabase) => {
  /** A rollout over two nodes in two waves; the first has its command. */
  const setUp = async () => {
    const manager = rolloutsOn(await openTestDatabase());
    cleanUps.push(() => manager.stop());
    const { database, nodeSide } = manager;
    const nodes = await manager.enroll(2);
    const id = await manager.create({ nodes });
    const [first, second] = (await lookAt(database, id)).targets;
    const command = first?.commandId ?? null;
    if (first === undefined || second === undefined || command === null) throw new Error('none');
    const target = async () => (await lookAt(database, id)).targets[0];
    const me = manager.identity(first.nodeId);
    const other = manager.identity(second.nodeId);
    return { manager, id, nodes, me, other, command, target, nodeSide };
  };

  it('moves its target: accepted, refused with its code', async () => {
    const { nodeSide, me, command, target } = await setUp();
    await nodeSide.acked(me, { type: 'ack', command_id: command, result: 'accepted' });
    expect(await target()).toMatchObject({ state: 'accepted', reason: 'command_accepted' });
    await nodeSide.acked(me, { type: 'ack', command_id: command, result: 'duplicate' });
    const no = { type: 'reject', command_id: command, message: 'not now' } as const;
    await nodeSide.rejected(me, { ...no, error_code: 'upgrade_policy_invalid' });
    expect(await target()).toMatchObject({
      state: 'failed',
      reason: 'command_rejected',
      errorCode: 'upgrade_policy_invalid',
    });
  });

  it('leaves its target out where it was told on the spot to take nothing, and stops nobody', async () => {
    const { manager, nodeSide, id, me, command, target } = await setUp();
    const no = { type: 'reject', command_id: command, message: 'pinned' } as const;
    for (let times = 0; times < 2; times += 1) {
      await nodeSide.rejected(me, { ...no, error_code: 'upgrade_pinned' });
      expect(await target()).toMatchObject({
        state: 'skipped',
        reason: 'held_on_node',
        errorCode: 'upgrade_pinned',
      });
    }
    expect(await nodeSide.open(me)).toEqual([]);
    const { state } = await lookAt(manager.database, id);
    expect(state.waves[0]?.counts).toMatchObject({ skipped: 1, failed: 0 });
    expect(state.reason).not.toBe('wave_failed');
  });

  it('counts only from the node that the command is for', async () => {
    const { manager, nodeSide, id, other, command, target } = await setUp();
    const before = await lookAt(manager.database, id);
    await nodeSide.acked(other, { type: 'ack', command_id: command, result: 'accepted' });
    await nodeSide.rejected(other, {
      type: 'reject',
      command_id: command,
      error_code: 'internal_error',
      message: '',
    });
    expect(await nodeSide.permit(other, asking(command))).toMatchObject({
      granted: false,
      reason: 'command_unknown',
    });
    await nodeSide.acked(other, { type: 'ack', command_id: 'cmd_unknown0', result: 'accepted' });
    expect(await lookAt(manager.database, id)).toEqual(before);
    expect((await target())?.state).toBe('offered');
  });

  it('in hello closes the gap that lost events left', async () => {
    const { manager, nodeSide, id, me, command } = await setUp();
    const outcome: UpdateOutcome = {
      command_id: command,
      result: 'rolled_back',
      version: '2.0.0',
      error_code: 'upgrade_unhealthy',
      at: '2026-11-20T08:00:00.000Z',
    };
    for (let times = 0; times < 2; times += 1) {
      await nodeSide.reported(me, aHello({ services: [aService({ outcome })] }));
      expect(await lookAt(manager.database, id)).toMatchObject({
        state: { status: 'paused', reason: 'wave_failed' },
        targets: [
          { state: 'rolled_back', reason: 'hello_rolled_back', errorCode: 'upgrade_unhealthy' },
          { state: 'pending' },
        ],
      });
    }
  });

  it('is told to it again as long as it has not ended', async () => {
    const { manager, nodeSide, id, me, other, command } = await setUp();
    const open = async () => (await nodeSide.open(me)).map((one) => one.command_id);
    expect(await open()).toEqual([command]);
    await nodeSide.acked(me, { type: 'ack', command_id: command, result: 'accepted' });
    expect(await open()).toEqual([command]);
    expect(await nodeSide.open(other)).toEqual([]);
    await manager.succeed(id, me.nodeId);
    expect(await open()).toEqual([]);
  });

  it('is not told to it after a day: then it has to be asked anew', async () => {
    const { manager, nodeSide, me } = await setUp();
    manager.clock.advance(25 * 60 * MINUTE_MS);
    expect(await nodeSide.open(me)).toEqual([]);
  });

  it('when it is withdrawn, is replaced by the withdrawal, with a higher number', async () => {
    const { manager, nodeSide, id, me, command } = await setUp();
    const [upgrade] = await nodeSide.open(me);
    await manager.orchestrator.verb(id, { verb: 'cancel' }, ann);
    const [withdrawal, ...more] = await nodeSide.open(me);
    expect(more).toEqual([]);
    expect(withdrawal).toMatchObject({ action: 'withdraw', withdraws: command });
    expect(withdrawal?.generation).toBe((upgrade?.generation ?? 0) + 1);
    const command_id = withdrawal?.command_id ?? '';
    await nodeSide.acked(me, { type: 'ack', command_id, result: 'accepted' });
    expect(await nodeSide.open(me)).toEqual([]);
  });
});

describeOnBothDatabases('a permit', (openTestDatabase) => {
  const setUp = async () => {
    const manager = rolloutsOn(await openTestDatabase());
    cleanUps.push(() => manager.stop());
    const nodes = await manager.enroll(2);
    const id = await manager.create({ nodes });
    const look = () => lookAt(manager.database, id);
    const [first] = (await look()).targets;
    const me = manager.identity(first?.nodeId ?? '');
    const command = first?.commandId ?? '';
    const ask = (command_id = command) => manager.nodeSide.permit(me, asking(command_id));
    return { manager, id, nodes, me, look, ask };
  };
  const no = (reason: string) => ({ granted: false, reason });

  it('is granted to a target of the open wave, and durable before it is told', async () => {
    const { manager, id, me, look, ask } = await setUp();
    await manager.tell(id, me.nodeId, 'upgrade_staged');
    expect(await ask()).toEqual({ granted: true, leaseMs: 10_000 });
    expect((await look()).targets[0]).toMatchObject({
      state: 'swapping',
      reason: 'permit_granted',
    });
    // The answer may have been lost on the way: a second lease, no second step.
    const { journalLength } = await look();
    expect(await ask()).toMatchObject({ granted: true });
    expect((await look()).journalLength).toBe(journalLength);
  });

  it('is denied while the rollout is paused, granted after it was resumed, never after cancel', async () => {
    const { manager, id, ask } = await setUp();
    await manager.orchestrator.verb(id, { verb: 'pause' }, ann);
    expect(await ask()).toMatchObject(no('rollout_not_running'));
    await manager.orchestrator.verb(id, { verb: 'resume' }, ann);
    expect(await ask()).toMatchObject({ granted: true });
    await manager.orchestrator.verb(id, { verb: 'cancel' }, ann);
    expect(await ask()).toMatchObject(no('rollout_not_running'));
  });

  it('is denied for a command that is unknown, and for a target that has ended', async () => {
    const { manager, id, me, ask } = await setUp();
    expect(await ask('cmd_unknown0')).toMatchObject(no('command_unknown'));
    await manager.succeed(id, me.nodeId);
    expect(await ask()).toMatchObject({ granted: false });
  });

  it('is granted to a node that comes late, but not past a newer decision', async () => {
    const { manager, id, nodes, me, ask } = await setUp();
    await manager.orchestrator.verb(id, { verb: 'cancel' }, ann);
    const old = await manager.create({ nodes, preset: { strategy: 'immediate' } });
    manager.clock.advance(2 * MINUTE_MS);
    await manager.orchestrator.wake(old);
    const { state, targets } = await lookAt(manager.database, old);
    expect(state).toMatchObject({ status: 'complete', reason: 'complete_with_silent' });
    const late = targets.find((target) => target.nodeId === me.nodeId)?.commandId ?? '';
    const newer = await manager.create({ nodes: [...nodes], version: '2.1.0' });
    // Its turn in the newer rollout may not have come yet: that holds it all the same.
    for (const { nodeId, commandId } of targets) {
      const answer = manager.nodeSide.permit(manager.identity(nodeId), asking(commandId));
      expect(await answer).toMatchObject(no('command_not_current'));
    }
    const sent = (await lookAt(manager.database, newer)).targets;
    await manager.orchestrator.verb(newer, { verb: 'cancel' }, ann);
    const wasTold = sent.find((target) => target.nodeId === me.nodeId)?.commandId !== null;
    expect(await ask(late)).toMatchObject(wasTold ? no('command_not_current') : { granted: true });
  });

  it('that is asked for at the moment of a pause is granted before it or not at all', async () => {
    const { manager, id, look, ask } = await setUp();
    const [answer] = await Promise.all([
      ask(),
      manager.orchestrator.verb(id, { verb: 'pause' }, ann),
    ]);
    const { state, targets } = await look();
    expect(state.status).toBe('paused');
    expect(targets[0]?.state).toBe(answer.granted ? 'swapping' : 'staged');
  });
});
