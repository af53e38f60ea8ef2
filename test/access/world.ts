import { WebSocket } from 'ws';
import { LINK_PATH, SUBPROTOCOL } from '../../src/protocol/node/index.js';
import type { TestNode } from '../support/manager.js';
import { Database, newId } from '../../src/server/platform/index.js';
import {
  startRolloutManager,
  type ObedientNode,
  type RolloutManager,
} from '../support/obedient-node.js';

/** Where something lies, seen from those whose role is held on `own`. */
export const PLACES = ['own', 'sub', 'other'] as const;
export type Place = (typeof PLACES)[number];

/** Everybody who could call, in the order of the columns. */
export const CALLERS = [
  'nobody',
  'viewer',
  'operator',
  'admin',
  'release',
  'super_admin',
  'node',
  'siem',
] as const;
export type CallerName = (typeof CALLERS)[number];

/** One group with one of everything in it. */
export interface Spot {
  readonly place: Place;
  readonly group: string;
  readonly node: ObedientNode;
  /** Enrolled, and nobody misses it. */
  readonly spare: TestNode;
  /** A rollout to the group; it may be in any state. */
  readonly rollout: string;
  readonly freeze: string;
  /** One that is raised. */
  readonly alert: string;
}

export interface World {
  readonly manager: RolloutManager;
  readonly spots: Readonly<Record<Place, Spot>>;
  /** A credential for one request; null for nobody. */
  credential(caller: CallerName): string | null;
  /** A name or number that was not given before. */
  fresh(): number;
  stop(): Promise<void>;
}

/**
 * A manager with three groups: `own`, where every group role and the SIEM token are held, `sub` below it and
 * `other` beside it.
 */
export async function startWorld(): Promise<World> {
  const manager = await startRolloutManager({});
  const own = await manager.group('own');
  const groups = {
    own,
    sub: await manager.group('sub', own),
    other: await manager.group('other'),
  };
  const self = await manager.node(own, 'own-self');
  const spots = {} as Record<Place, Spot>;
  for (const place of PLACES) {
    const group = groups[place];
    const node = await manager.join(group, `${place}-node`);
    const spare = await manager.node(group, `${place}-spare`);
    const rollout = await manager.call('rollouts.create', {
      body: { product: 'edge', version: '1.1.0', scope: { group_id: group, subgroups: false } },
    });
    const freeze = await manager.call('groups.freeze', {
      params: { id: group },
      body: { name: 'past', from: '2020-01-01T00:00:00Z', to: '2020-01-02T00:00:00Z' },
    });
    if (rollout.status !== 202 || freeze.status !== 201) throw new Error('no world');
    const alert = await raiseAlert(manager, group);
    const [rolloutId, freezeId] = [rollout.body.id, freeze.body.id];
    spots[place] = { place, group, node, spare, rollout: rolloutId, freeze: freezeId, alert };
    // Taken here, so that the next command that comes is of the next rollout.
    await node.link.next('command');
    await manager.call('rollouts.cancel', { params: { id: rollout.body.id } });
  }
  const siem = await manager.call('tokens.create', {
    body: { name: 'siem', permissions: ['event.view'], group_id: own },
  });
  const secrets: Record<CallerName, () => string | null> = {
    nobody: () => null,
    viewer: await always(manager.token('viewer', own)),
    operator: await always(manager.token('operator', own)),
    admin: await always(manager.token('admin', own)),
    release: await always(manager.token('release')),
    super_admin: () => manager.admin,
    node: () => self.token(),
    siem: () => siem.body.secret,
  };
  let count = 0;
  return {
    manager,
    spots,
    credential: (caller) => secrets[caller](),
    fresh: () => (count += 1),
    stop: () => manager.stop(),
  };
}

async function raiseAlert({ manager }: RolloutManager, group: string): Promise<string> {
  const id = newId('alr');
  await manager.app.get(Database).transaction((tx) =>
    tx.run(
      `INSERT INTO alerts (id, rule, dedupe_key, state, severity, group_id, message, raised_at)
       VALUES (?, 'node_silent', ?, 'raised', 'warning', ?, 'silent', 1)`,
      [id, id, group],
    ),
  );
  return id;
}

async function always(secret: Promise<string>): Promise<() => string> {
  const known = await secret;
  return () => known;
}

/** The status that the upgrade to a link is answered with; 101 when it is let in. */
export async function linkStatus(url: string, credential: string | null): Promise<number> {
  const socket = new WebSocket(url.replace('http', 'ws') + LINK_PATH, SUBPROTOCOL, {
    headers: credential === null ? {} : { authorization: `Bearer ${credential}` },
  });
  return await new Promise<number>((resolve, reject) => {
    socket.once('open', () => {
      socket.terminate();
      resolve(101);
    });
    socket.once('unexpected-response', (request, response) => {
      request.destroy();
      resolve(response.statusCode ?? 0);
    });
    socket.once('error', reject);
  });
}
