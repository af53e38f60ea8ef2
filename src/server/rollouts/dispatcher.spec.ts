import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeTempDir } from '../../../test/support/databases.js';
import { makeSigningKey, publish } from '../../../test/support/fleet.js';
import { startTestManager, type TestManager } from '../../../test/support/manager.js';
import { connectNode } from '../../../test/support/node-link.js';
import { ACK_TIMEOUT_MS } from '../../protocol/node/index.js';

let manager: TestManager;
const dir = makeTempDir();

beforeAll(async () => {
  manager = await startTestManager({ BELLWETHER_HEARTBEAT_MS: '600000' });
  const key = makeSigningKey();
  await publish(manager, { folder: dir.path, version: '1.1.0', sequence: 1, key });
});
afterAll(async () => {
  await manager.stop();
  dir.remove();
});

const upgrade = async (id: string): Promise<string> => {
  const { status, body } = await manager.call('nodes.upgrade', {
    params: { id },
    body: { version: '1.1.0' },
  });
  expect(status).toBe(202);
  return body.id;
};
const stateOf = async (id: string): Promise<string | undefined> => {
  const { body } = await manager.call('rollouts.targets', { params: { id } });
  return body.items[0]?.state;
};

describe('a command', () => {
  it('that was not answered in time is pushed again, and no more once it is', async () => {
    const node = await manager.node('grp_default', 'slow');
    const link = await connectNode(manager, node);
    const id = await upgrade(node.id);
    const { command } = await link.next('command');
    manager.clock.advance(ACK_TIMEOUT_MS + 1);
    // The sweep comes by every five seconds.
    expect((await link.next('command')).command).toEqual(command);
    link.send({ type: 'ack', command_id: command.command_id, result: 'accepted' });
    await expect.poll(() => stateOf(id)).toBe('accepted');
    const told = link.waiting('command');
    await new Promise((resolve) => setTimeout(resolve, 5_500));
    expect(link.waiting('command')).toBe(told);
    await link.close();
  });

  it('for a node that is away waits in its next welcome, accepted or not, until it ends', async () => {
    const node = await manager.node('grp_default', 'away');
    await (await connectNode(manager, node)).close();
    const id = await upgrade(node.id);
    const back = await connectNode(manager, node);
    const { commands } = await back.next('welcome');
    expect(commands).toMatchObject([{ action: 'upgrade_binary', version: '1.1.0' }]);
    const command_id = commands[0]?.command_id ?? '';
    back.send({ type: 'ack', command_id, result: 'accepted' });
    await expect.poll(() => stateOf(id)).toBe('accepted');
    await back.close();

    const again = await connectNode(manager, node);
    expect((await again.next('welcome')).commands).toEqual(commands);
    const no = { type: 'reject', command_id, message: 'switched off' } as const;
    again.send({ ...no, error_code: 'upgrade_disabled' });
    await expect.poll(() => stateOf(id)).toBe('skipped');
    await again.close();

    const last = await connectNode(manager, node);
    expect((await last.next('welcome')).commands).toEqual([]);
    await last.close();
  });
});
