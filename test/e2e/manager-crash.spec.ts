import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { seededRandom } from '../../src/core/kernel/index.js';
import type { Event } from '../../src/protocol/api/index.js';
import { buildPrograms } from '../support/built.js';
import { makeTempDir } from '../support/databases.js';
import {
  eventually,
  makeSigningKey,
  publish,
  startAgent,
  type SigningKey,
  type TestAgent,
} from '../support/fleet.js';
import { startManagerProcess, type ManagerProcess } from '../support/manager-process.js';

/** `BELLWETHER_TEST_KILLS=100` for a longer look. */
const KILLS = Number(process.env['BELLWETHER_TEST_KILLS'] ?? 10);
const NODES = 4;

describe('a manager that is killed again and again in the middle of rollouts', () => {
  let manager: ManagerProcess;
  let key: SigningKey;
  let programs: ReturnType<typeof buildPrograms>;
  const dir = makeTempDir();
  const agents: TestAgent[] = [];

  beforeAll(async () => {
    programs = buildPrograms();
    manager = await startManagerProcess(programs.path, { BELLWETHER_PERMIT_LEASE_MS: '1000' });
    key = makeSigningKey();
    for (let index = 0; index < NODES; index += 1) {
      const name = `edge-0${index + 1}`;
      const { publicKey } = key;
      const folder = dir.path;
      const agent = { manager, programs: programs.path, folder, name, publicKey };
      // Four services of Node that start at once on a busy machine take more than two seconds.
      agents.push(await startAgent({ ...agent, windowSecs: 6 }));
    }
    await eventually(async () => {
      const { body } = await manager.call('nodes.list');
      expect(body.items.every((node) => node.services.length === 1)).toBe(true);
      expect(body.items.length).toBe(NODES);
    });
  }, 120_000);

  afterAll(async () => {
    for (const agent of agents) await agent.stop();
    await manager.stop();
    programs.remove();
    dir.remove();
  }, 60_000);

  const allEvents = async (): Promise<Event[]> => {
    const events: Event[] = [];
    for (let after = 0; ;) {
      const { body } = await manager.call('events.list', { query: { after, limit: 1000 } });
      events.push(...body.items);
      if (body.next_after === after) return events;
      after = body.next_after;
    }
  };

  /** What nodes said was wrong, and what they did before, for whoever reads a failed run. */
  const failures = async (): Promise<string> => {
    const events = await allEvents();
    const bad = new Set(events.flatMap((event) => (event.error_code ? [event.command_id] : [])));
    const lines = events.filter(
      (event) => bad.has(event.command_id) || event.type.startsWith('target'),
    );
    return lines
      .map(({ at, occurred_at, type, node_id, error_code, message }) =>
        [at, occurred_at, type, node_id, error_code, message].join(' '),
      )
      .join('\n');
  };

  it(`ends every rollout right after ${KILLS} kills, with every event once`, async () => {
    const random = seededRandom(process.env['BELLWETHER_TEST_SEED'] ?? 'manager-crash');
    let kills = 0;
    let version = 0;
    while (kills < KILLS) {
      version += 1;
      const name = `1.${version}.0`;
      await publish(manager, { folder: dir.path, version: name, sequence: version, key });
      const { status, body } = await manager.call('groups.upgrade', {
        params: { id: 'grp_default' },
        body: { version: name, product: 'edge', settle_seconds: 1, wave_percents: [25, 50, 100] },
      });
      expect(status, JSON.stringify(body)).toBe(202);
      for (;;) {
        await sleep(100 + random.below(900));
        const { body: rollout } = await manager.call('rollouts.show', { params: { id: body.id } });
        if (rollout.status !== 'in_progress' || kills >= KILLS) break;
        await manager.kill();
        kills += 1;
        await manager.start();
      }
      await eventually(async () => {
        const shown = await manager.call('rollouts.show', { params: { id: body.id } });
        const { status, reason } = shown.body;
        const why = status === 'paused' ? await failures() : '';
        expect({ status, reason }, why).toEqual({ status: 'complete', reason: 'complete' });
      }, 120_000);
      for (const agent of agents) expect(await agent.version()).toBe(name);
    }
    const events = await allEvents();
    expect(events.map((event) => event.id)).toEqual(events.map((_, index) => index + 1));
    const told = events.filter((event) => event.node_id !== null && event.category === 'upgrade');
    const keys = told.map((event) => `${event.node_id} ${event.command_id} ${event.type}`);
    expect(new Set(keys).size, 'no event of a node is stored twice').toBe(keys.length);
    const completed = told.filter((event) => event.type === 'upgrade_completed');
    expect(completed.length).toBe(NODES * version);
  }, 400_000);
});
