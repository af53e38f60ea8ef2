import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { RouteName } from '../../src/protocol/api/index.js';
import { eventually, makeSigningKey, publish } from '../support/fleet.js';
import { makeTempDir } from '../support/databases.js';
import { aHost, startTestManager, type TestManager } from '../support/manager.js';
import { aService, connectNode } from '../support/node-link.js';
import { ObedientNode } from '../support/obedient-node.js';

/** As `npm run build` leaves it. */
export const CONSOLE_DIR = fileURLToPath(new URL('../../dist/console', import.meta.url));
export const PASSWORD = 'forty winks at noon';

export interface Stage extends TestManager {
  readonly groups: Readonly<Record<'europe' | 'frankfurt' | 'lisbon' | 'austin' | 'lab', string>>;
  readonly rollouts: Readonly<Record<'complete' | 'moving' | 'paused', string>>;
  /** Ids by name. */
  readonly nodes: ReadonlyMap<string, string>;
  readonly sink: string;
}

/** Versions that nodes turn back from, as a bad release would make them. */
const BAD = new Set(['1.3.0']);
const NODES = [
  ['frankfurt', 14],
  ['lisbon', 9],
  ['austin', 12],
  ['lab', 5],
] as const;

/**
 * A manager as an operator would find it on a working day: one rollout is done, one is under way, one
 * paused itself; a sink cannot be reached; people hold different roles. Takes some seconds.
 */
export async function startStage(env: Readonly<Record<string, string>> = {}): Promise<Stage> {
  const manager = await startTestManager(
    { BELLWETHER_PERMIT_LEASE_MS: '2000', ...env },
    { consoleDir: CONSOLE_DIR },
  );
  const ok: Ok = async (name, given) => {
    const { status, body } = await manager.call(name, given);
    if (status >= 300) throw new Error(`${name}: ${status} ${JSON.stringify(body)}`);
    return body;
  };
  const europe = await manager.group('Europe');
  const groups = {
    europe,
    frankfurt: await manager.group('Frankfurt', europe),
    lisbon: await manager.group('Lisbon', europe),
    austin: await manager.group('Austin'),
    lab: await manager.group('Lab'),
  };
  await people(manager, ok, groups);
  await releases(manager, ['1.0.0', '1.1.0', '1.2.0', '1.3.0']);
  const nodes = await fleet(manager, groups);
  const rollouts = await lead(ok, groups);
  const sink = await sinks(ok);
  await plans(ok, groups);
  return { ...manager, groups, rollouts, nodes, sink };
}

/** How rollouts go in Europe, and two schedules that start nothing here: one waits, one is paused. */
async function plans(ok: Ok, { europe, frankfurt, lab }: Stage['groups']): Promise<void> {
  const waves = [
    { name: 'first', count: 2, settle_seconds: 3_600 },
    { name: 'the rest', rest: true, approvals: 1 },
  ];
  const terms = { strategy: 'custom', waves };
  const note = 'two nodes first, a person lets the rest go';
  const body = { name: 'careful', group_id: europe, note, terms };
  const { id: plan_id }: { id: string } = await ok('plans.create', { body });
  const fast = { name: 'fast', terms: { strategy: 'immediate' } };
  const { id: fastId }: { id: string } = await ok('plans.create', { body: fast });
  const window = { days: ['mon', 'tue', 'wed', 'thu'], start: '22:00', duration_minutes: 240 };
  const nightly = { name: 'nightly', group_id: frankfurt, product: 'edge', plan_id, window };
  await ok('schedules.create', { body: nightly });
  const paused = { name: 'lab follows dev', group_id: lab, product: 'edge', channel: 'dev' };
  await ok('schedules.create', { body: { ...paused, plan_id: fastId, paused: true } });
}

type Ok = (name: RouteName, given: object) => Promise<never>;

async function people(manager: TestManager, ok: Ok, groups: Stage['groups']): Promise<void> {
  const invited = [
    ['ann', 'Ann Lee', { super_admin: true }],
    ['kim', 'Kim Sato', { group_id: groups.europe, role: 'operator' }],
    ['vera', 'Vera Lindqvist', { group_id: groups.europe, role: 'viewer' }],
    ['omar', 'Omar Haddad', { group_id: groups.austin, role: 'admin' }],
  ] as const;
  for (const [login, name, what] of invited) {
    const { secret } = await ok('invitations.create', { body: { note: name, ...what } });
    const body = { secret, login, name, password: PASSWORD, as: 'token' };
    const { status } = await manager.call('invitations.accept', { body: body as never }, null);
    if (status >= 300) throw new Error(`${login} could not come in: ${status}`);
  }
  await ok('invitations.create', {
    body: { note: 'Night shift', group_id: groups.lab, role: 'viewer' },
  });
}

async function releases(manager: TestManager, versions: readonly string[]): Promise<void> {
  const dir = makeTempDir();
  const key = makeSigningKey();
  for (const [index, version] of versions.entries()) {
    await publish(manager, { folder: dir.path, version, sequence: index + 1, key });
  }
  dir.remove();
}

async function fleet(
  manager: TestManager,
  groups: Stage['groups'],
): Promise<ReadonlyMap<string, string>> {
  const ids = new Map<string, string>();
  for (const [site, size] of NODES) {
    for (let i = 1; i <= size; i += 1) {
      const name = `${site.slice(0, 3)}-edge-${String(i).padStart(2, '0')}`;
      const node = await manager.node(groups[site], name);
      ids.set(name, node.id);
      // One in each place is away: it was enrolled, and never came.
      if (i === size) continue;
      const link = await connectNode(manager, node, {
        host: { ...aHost(name), labels: { site, rack: `r${(i % 3) + 1}` } },
        services: [aService({ version: '1.0.0' })],
        capabilities: ['upgrade', 'rollback'],
      });
      void obeyForever(new ObedientNode(link));
    }
  }
  return ids;
}

/** Does as it is told, at the pace of a small machine, and turns back from what is bad. */
async function obeyForever(node: ObedientNode): Promise<void> {
  for (;;) {
    try {
      const command = await node.stage();
      await sleep(200 + Math.random() * 400);
      const isBad = BAD.has(command.version);
      while ((await node.ask(command)) !== null) await sleep(500);
      await node.tell('upgrade_swapping', command);
      await node.tell('upgrade_probation', command);
      await sleep(300 + Math.random() * 600);
      await (isBad
        ? node.tell('upgrade_rolled_back', command, 'upgrade_unhealthy')
        : node.tell('upgrade_completed', command));
    } catch {
      // Nothing came for a while, or the stage is being taken down.
      if (node.link.waiting('welcome') < 0) return;
      await sleep(100);
    }
  }
}

async function lead(ok: Ok, groups: Stage['groups']): Promise<Stage['rollouts']> {
  const start = async (group: string, version: string, more: object): Promise<string> => {
    const body = { version, settle_seconds: 1, tolerate: { offline: null }, ...more };
    const { id } = await ok('groups.upgrade', { params: { id: group }, body });
    return id;
  };
  const inState = (id: string, wanted: string): Promise<unknown> =>
    eventually(async () => {
      const { status } = await ok('rollouts.show', { params: { id } });
      if (status !== wanted) throw new Error(`${id} is ${String(status)}`);
    }, 90_000);
  const quick = { strategy: 'immediate', expires_after_seconds: 60, product: 'edge' };
  const complete = await start(groups.lisbon, '1.1.0', quick);
  const paused = await start(groups.lab, '1.3.0', { strategy: 'canary', product: 'edge' });
  const moving = await start(groups.frankfurt, '1.2.0', {
    product: 'edge',
    strategy: 'custom',
    waves: [
      { name: 'first', percent: 20, settle_seconds: 2, tolerate: { offline: null } },
      { name: 'half', percent: 50, settle_seconds: 3600, tolerate: { offline: null } },
      { name: 'all', rest: true, approvals: 1, tolerate: { offline: null } },
    ],
  });
  await inState(paused, 'paused');
  await eventually(async () => {
    const { waves } = (await ok('rollouts.show', { params: { id: moving } })) as {
      waves: { status: string }[];
    };
    if (waves[1]?.status !== 'settling' && waves[1]?.status !== 'open') throw new Error('not yet');
  }, 90_000);
  return { complete, moving, paused };
}

async function sinks(ok: Ok): Promise<string> {
  const { id } = await ok('sinks.create', {
    body: {
      name: 'SIEM of the night shift',
      kind: 'webhook',
      config: { url: 'https://siem.example.org/hooks/bellwether' },
    },
  });
  return id;
}
