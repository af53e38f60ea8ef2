import { afterEach, beforeEach, expect, it } from 'vitest';
import { makeTempDir } from '../../../test/support/databases.js';
import { makeSigningKey, publish } from '../../../test/support/fleet.js';
import { aHost } from '../../../test/support/manager.js';
import { aService, connectNode, type NodeLink } from '../../../test/support/node-link.js';
import {
  startManagers,
  type OneOfSeveral,
  type SeveralManagers,
} from '../../../test/support/several/managers.js';
import { Sweeper } from '../rollouts/index.js';
import { ScheduleRunner } from './schedule-runner.js';

let managers: SeveralManagers;
let a: OneOfSeveral;
let b: OneOfSeveral;
let node: NodeLink;
beforeEach(async () => {
  managers = await startManagers(2);
  [a, b] = managers.all as [OneOfSeveral, OneOfSeveral];
  node = await connectNode(a, await a.node('grp_default', 'edge-1'), {
    host: aHost('edge-1'),
    services: [aService({ version: '1.0.0' })],
  });
});
afterEach(async () => {
  await node.close();
  await managers.stop();
});

async function nightly(): Promise<string> {
  const plan = { name: 'fast', terms: { strategy: 'immediate' } } as const;
  const plan_id = (await a.call('plans.create', { body: plan })).body.id;
  const body = { name: 'nightly', product: 'edge', plan_id };
  return (await a.call('schedules.create', { body })).body.id;
}
async function release(): Promise<void> {
  const dir = makeTempDir();
  await publish(b, { folder: dir.path, version: '1.1.0', sequence: 1, key: makeSigningKey() });
  dir.remove();
}
const rollouts = async () => (await b.call('rollouts.list', {})).body.items;
const starts = async () =>
  (await b.call('events.list', { query: { type: 'schedule_started' } })).body.items;

it(
  'of several managers that look at one moment, one starts the rollout',
  { timeout: 60_000 },
  async () => {
    for (const manager of managers.all) await manager.get(Sweeper).stop();
    const id = await nightly();
    await release();
    const looks = Array.from({ length: 8 }, (_, i) => (i % 2 === 0 ? a : b).get(ScheduleRunner));
    await Promise.all(looks.map((runner) => runner.wake(id)));
    expect(await rollouts()).toHaveLength(1);
    expect(await starts()).toHaveLength(1);
  },
);

it(
  'an alarm in Redis rings in one of them, and the sweep of any finds what has come',
  { timeout: 60_000 },
  async () => {
    const id = await nightly();
    await release();
    await expect.poll(rollouts, { timeout: 40_000 }).toMatchObject([{ schedule: { id } }]);
    expect(await starts()).toHaveLength(1);
    // Armed by one, rung by whoever takes it.
    for (const manager of managers.all) await manager.get(Sweeper).stop();
    const show = async () => (await b.call('schedules.show', { params: { id } })).body;
    await a.call('schedules.change', { params: { id }, body: { when_busy: 'supersede' } });
    await a.call('schedules.pause', { params: { id } });
    expect(await show()).toMatchObject({ state: 'paused', when_busy: 'supersede' });
    await a.call('schedules.resume', { params: { id } });
    await expect.poll(show, { timeout: 40_000 }).toMatchObject({ state: 'idle' });
    expect(await rollouts()).toHaveLength(1);
  },
);
