import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DropBook, Spool, toSpoolEvent } from '../../src/agent/report/index.js';
import { Link } from '../../src/agent/link/index.js';
import { makeTempDir } from '../support/databases.js';
import { anEvent } from '../support/link-bench.js';
import { aHost, startTestManager, type TestManager, type TestNode } from '../support/manager.js';

/** A node that was away for weeks, told by its numbers: what it kept comes whole, the rest is told. */
let manager: TestManager;
let node: TestNode;
let dir: ReturnType<typeof makeTempDir>;
let spool: Spool;
let drops: DropBook;
let link: Link | null;
beforeEach(async () => {
  manager = await startTestManager();
  node = await manager.node();
  dir = makeTempDir();
  link = null;
});
afterEach(async () => {
  await link?.stop('shutdown');
  await spool.close();
  await manager.stop();
  dir.remove();
});

async function open(bytesMax: number): Promise<void> {
  drops = new DropBook();
  spool = await Spool.open(join(dir.path, 'spool'), {
    bytesMax,
    segmentBytesMax: 4_000,
    onDropped: (dropped) => {
      drops.note(dropped);
    },
  });
}
/** As the agent does it: what happened, and what had to go for it. */
async function happens(id: string, severity: 'info' | 'warning'): Promise<void> {
  const { event } = anEvent(id);
  await spool.append([{ id, event: { ...event, severity } }]);
  const told = drops.take(performance.now(), false);
  if (told !== null) await tell(told);
}
async function tell(told: NonNullable<ReturnType<DropBook['take']>>): Promise<void> {
  const own = { id: `agent:${spool.nextSeq}`, at: '2026-11-20T08:00:00.000Z', command_id: null };
  const event = toSpoolEvent(null, { ...own, ...told });
  if (event !== null) await spool.append([{ id: own.id, event }]);
}
function comesBack(transport: 'socket' | 'poll'): void {
  link = new Link({
    manager: manager.url,
    transport,
    nodeId: node.id,
    key: node.key,
    spool,
    hello: () =>
      Promise.resolve({
        agent_version: '0.1.0',
        boot_id: 'boot-1',
        host: aHost(),
        services: [],
        capabilities: [],
        policy_digest: '',
      }),
    health: () => Promise.resolve({ services: [], disk_free_bytes: 1 }),
    onCommand: ({ command_id }) => Promise.resolve({ type: 'ack', command_id, result: 'accepted' }),
    onPermit: () => undefined,
    onPermitDenied: () => undefined,
    clock: { now: () => Date.now() + 1_000, monotonicMs: () => performance.now() },
    random: Math.random,
    log: () => undefined,
    timing: { reconnectBaseMs: 20 },
  });
  link.start();
}
const events = async () => {
  const { body } = await manager.call('events.list', { query: { limit: 1_000 } });
  return body.items.filter((event) => event.node_id === node.id);
};

describe.each(['socket', 'poll'] as const)('weeks offline, and back by %s', (transport) => {
  it('without loss as long as there is room', async () => {
    await open(1_000_000);
    for (let index = 0; index < 450; index += 1) await happens(`e${index}`, 'info');
    comesBack(transport);
    await expect.poll(() => spool.backlog, { timeout: 20_000 }).toBe(0);
    const came = await events();
    const own = came.filter(({ type }) => type === 'upgrade_started').map(({ message }) => message);
    expect(own).toEqual(Array.from({ length: 450 }, (_, index) => `e${index}`));
    expect(came.filter(({ type }) => type.startsWith('events_'))).toEqual([]);
  }, 40_000);

  it('with no room: the weightier events are kept, and what had to go is told, by both sides', async () => {
    await open(24_000);
    for (let index = 0; index < 250; index += 1) {
      await happens(`e${index}`, index % 25 === 0 ? 'warning' : 'info');
    }
    const last = drops.take(performance.now(), true);
    if (last !== null) await tell(last);
    comesBack(transport);
    await expect.poll(() => spool.backlog, { timeout: 20_000 }).toBe(0);
    await sleep(50);
    const came = await events();
    const own = came.filter(({ type }) => type === 'upgrade_started');
    const kept = new Set(own.map(({ message }) => message));
    expect(own).toHaveLength(kept.size);
    for (let index = 0; index < 250; index += 25) expect(kept).toContain(`e${index}`);
    const told = came.filter(({ type }) => type === 'events_dropped');
    expect(told.map(({ details }) => details['why'])).toEqual(told.map(() => 'spool_full'));
    const droppedCount = told.reduce((sum, { details }) => sum + Number(details['dropped']), 0);
    expect([droppedCount, droppedCount + kept.size]).toEqual([spool.dropped, 250]);
    // And the manager has seen the same gaps in the numbers.
    const gaps = came.filter(({ type }) => type === 'events_lost');
    const missing = gaps.reduce(
      (sum, { details }) => sum + Number(details['to_seq']) - Number(details['from_seq']) + 1,
      0,
    );
    expect(missing).toBe(droppedCount);
  }, 40_000);
});
