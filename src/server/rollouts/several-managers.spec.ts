import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { makeTempDir } from '../../../test/support/databases.js';
import { makeSigningKey, publish } from '../../../test/support/fleet.js';
import { aHost } from '../../../test/support/manager.js';
import { aService, connectNode } from '../../../test/support/node-link.js';
import { ObedientNode } from '../../../test/support/obedient-node.js';
import {
  startManagers,
  type OneOfSeveral,
  type SeveralManagers,
} from '../../../test/support/several/managers.js';
import { BUS, type Bus } from '../platform/bus/index.js';
import { Sweeper } from './sweeper.js';

let managers: SeveralManagers;
let a: OneOfSeveral;
let b: OneOfSeveral;
beforeEach(async () => {
  managers = await startManagers(2);
  [a, b] = managers.all as [OneOfSeveral, OneOfSeveral];
  const dir = makeTempDir();
  const key = makeSigningKey();
  await publish(a, { folder: dir.path, version: '1.1.0', sequence: 1, key });
  dir.remove();
});
afterEach(() => managers.stop());

async function join(manager: OneOfSeveral, name: string): Promise<ObedientNode> {
  const node = await a.node('grp_default', name);
  const link = await connectNode(manager, node, {
    host: aHost(name),
    services: [aService({ version: '1.0.0' })],
  });
  return new ObedientNode(link);
}

const upgrade = async (manager: OneOfSeveral): Promise<string> => {
  const { status, body } = await manager.call('groups.upgrade', {
    params: { id: 'grp_default' },
    body: { version: '1.1.0', product: 'edge', strategy: 'immediate' },
  });
  expect(status, JSON.stringify(body)).toBe(202);
  return body.id;
};
const ended = (id: string) =>
  expect
    .poll(async () => (await a.call('rollouts.show', { params: { id } })).body.status, {
      timeout: 40_000,
    })
    .toBe('complete');

describe('a rollout that one manager leads', () => {
  it('reaches nodes of another one at once, and is led on by what they say there', async () => {
    // Nobody sweeps: whatever comes, comes by the hint.
    for (const manager of managers.all) await manager.get(Sweeper).stop();
    const nodes = [await join(a, 'here'), await join(b, 'there'), await join(b, 'there-too')];
    const id = await upgrade(a);
    await Promise.all(nodes.map((node) => node.obey()));
    await ended(id);
    for (const node of nodes) await node.link.close();
  });

  it('reaches them by the sweep when what was told is lost', async () => {
    // It forgets its name: what is meant for it goes nowhere.
    b.get<Bus>(BUS).answerTo('mgr_somebody_else');
    const node = await join(b, 'there');
    const id = await upgrade(a);
    managers.all[0]?.clock.advance(11_000);
    await b.get(Sweeper).sweep();
    await node.obey();
    await ended(id);
    await node.link.close();
  });
});

describe('what is told about commands', () => {
  it('commands nobody by itself: what is not in SQL is nothing, and what has ended is not told', async () => {
    const node = await join(b, 'there');
    const id = await upgrade(a);
    const command = await node.stage();
    const ids = ['cmd_invented', command.command_id];
    for (let times = 0; times < 3; times += 1) a.get<Bus>(BUS).tell('commands', { ids }, b.id);
    await node.finish(command);
    await ended(id);
    expect(node.link.waiting('command')).toBe(0);
    await node.link.close();
  });
});
