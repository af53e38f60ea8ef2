import { randomInt } from 'node:crypto';
import { SECOND_MS } from '../../src/core/kernel/index.js';
import type { Manifest } from '../../src/core/release/index.js';
import { TARGET_STATES, type Plan } from '../../src/core/rollout/index.js';
import type { NodeEvent, NodeEventType } from '../../src/protocol/node/index.js';
import { AuditLog } from '../../src/server/audit/index.js';
import { EventLog, Ingest } from '../../src/server/events/index.js';
import { Nodes, type FleetNode } from '../../src/server/fleet/index.js';
import { Links, type IngestResult, type NodeIdentity } from '../../src/server/gateway/index.js';
import type { Database } from '../../src/server/platform/database/index.js';
import { loadConfig, type Caller } from '../../src/server/platform/index.js';
import { InProcessWakeups } from '../../src/server/platform/queue/index.js';
import type { StoredRelease } from '../../src/server/releases/index.js';
import { Chronicle } from '../../src/server/rollouts/chronicle.js';
import { Dispatcher } from '../../src/server/rollouts/dispatcher.js';
import { NodeSide } from '../../src/server/rollouts/node-side.js';
import { Orchestrator } from '../../src/server/rollouts/rollouts.orchestrator.js';
import { RolloutUnits } from '../../src/server/rollouts/rollout-units.js';
import { findRollout, findTarget, listTargets } from '../../src/server/rollouts/rollouts.store.js';
import { silentLog } from './databases.js';
import { aHost, makeClock, type TestClock } from './manager.js';
import { aHello } from './node-link.js';

export const ann: Caller = {
  kind: 'token',
  id: 'tok_00000000',
  name: 'ann',
  grants: [{ role: 'super_admin' }],
  requestId: 'req_1',
  ip: '192.0.2.7',
};

export function aRelease(version = '2.0.0', arch: 'x64' | 'arm64' = 'x64'): StoredRelease {
  const manifest: Manifest = {
    schema: 'bellwether.manifest.v1',
    product: 'edge',
    version,
    channel: 'stable',
    released_at: '2026-11-20T08:00:00Z',
    sequence: 2,
    artifacts: [
      {
        os: 'linux',
        arch,
        variant: 'default',
        format: 'tar.gz',
        file: `edge-${version}.tar.gz`,
        size: 1,
        sha256: '0'.repeat(64),
      },
    ],
  };
  return {
    id: 'rel_000001',
    state: 'published',
    manifest,
    manifestText: JSON.stringify(manifest),
    manifestSha256: '0'.repeat(64),
    signatures: ['signature'],
    publishedAt: 0,
  };
}

export interface Asked {
  readonly nodes: readonly FleetNode[];
  readonly version?: string;
  readonly plan?: Partial<Plan>;
  readonly wavePercents?: readonly number[];
  readonly scope?: { readonly kind: 'node' | 'group'; readonly id: string };
}

/** The rollouts of one manager on a database, without its HTTP and its sockets. */
export interface TestRollouts {
  readonly database: Database;
  readonly clock: TestClock;
  readonly orchestrator: Orchestrator;
  readonly nodeSide: NodeSide;
  readonly events: EventLog;
  readonly audit: AuditLog;
  readonly wakeups: InProcessWakeups;
  /** Enrolls nodes that run edge 1.0.0. */
  enroll(count: number): Promise<FleetNode[]>;
  create(asked: Asked): Promise<string>;
  /** One event of a node about the command that its target has now, the way links deliver it. */
  tell(
    rolloutId: string,
    nodeId: string,
    type: NodeEventType,
    errorCode?: string,
  ): Promise<IngestResult>;
  /** Downloads, stages, asks for its permit, swaps, and is well. */
  succeed(rolloutId: string, nodeId: string): Promise<void>;
  identity(nodeId: string): NodeIdentity;
  stop(): Promise<void>;
}

/** Call it twice on one database for a manager that was restarted, or for two managers. */
export function rolloutsOn(database: Database, clock: TestClock = makeClock()): TestRollouts {
  const config = loadConfig({ BELLWETHER_DATA_DIR: '/nowhere' });
  const events = new EventLog();
  const audit = new AuditLog(clock);
  const nodes = new Nodes(database);
  const wakeups = new InProcessWakeups(() => clock.now(), silentLog);
  const dispatcher = new Dispatcher(nodes, new Links());
  const chronicle = new Chronicle(events, audit);
  const units = new RolloutUnits(database, dispatcher, chronicle, wakeups);
  const orchestrator = new Orchestrator(database, units, chronicle, dispatcher, clock, silentLog);
  const nodeSide = new NodeSide(database, units, config, clock);
  const ingest = new Ingest(database, events, clock, silentLog);
  ingest.addObserver(nodeSide);

  const identity = (nodeId: string): NodeIdentity => ({
    nodeId,
    groupId: 'grp_default',
    publicKey: 'k'.repeat(43),
    revoked: false,
  });

  const tell: TestRollouts['tell'] = async (rolloutId, nodeId, type, errorCode) => {
    const target = await findTarget(database.read, rolloutId, nodeId);
    const event: NodeEvent = {
      seq: 1,
      at: new Date(clock.now()).toISOString(),
      type,
      category: 'upgrade',
      severity: errorCode === undefined ? 'info' : 'critical',
      service: 'edge',
      command_id: target?.commandId ?? null,
      message: type,
      details: errorCode === undefined ? {} : { error_code: errorCode },
    };
    // A spool of its own for each: what is tested here is not the counting.
    const spool_id = `spl_${randomInt(2 ** 40)
      .toString(36)
      .padStart(10, '0')}`;
    return ingest.ingest(identity(nodeId), { type: 'events', spool_id, events: [event] });
  };

  return {
    database,
    clock,
    orchestrator,
    nodeSide,
    events,
    audit,
    wakeups,
    identity,
    tell,
    enroll: async (count) => {
      const ids = Array.from({ length: count }, () => `nod_${randomInt(2 ** 40) + 2 ** 40}`).sort();
      await database.transaction(async (tx) => {
        for (const id of ids) {
          await nodes.create(tx, {
            id,
            name: `edge ${id}`,
            groupId: 'grp_default',
            publicKey: 'k'.repeat(43),
            host: aHost(),
            now: clock.now(),
          });
          await nodes.recordHello(tx, id, aHello(), clock.now());
        }
      });
      const all = await nodes.listInGroups(['grp_default']);
      return all.filter((node) => ids.includes(node.id));
    },
    create: ({ nodes: chosen, version, plan, wavePercents = [50, 100], scope }) =>
      orchestrator.create(
        {
          scope: scope ?? { kind: 'group', id: 'grp_default' },
          groupId: 'grp_default',
          nodes: chosen,
          release: aRelease(version),
          plan: { strategy: 'staged', settleMs: SECOND_MS, nodeDeadlineMs: 60_000, ...plan },
          wavePercents,
        },
        ann,
      ),
    succeed: async (rolloutId, nodeId) => {
      await tell(rolloutId, nodeId, 'upgrade_staged');
      const target = await findTarget(database.read, rolloutId, nodeId);
      const answer = await nodeSide.permit(identity(nodeId), {
        type: 'permit_request',
        command_id: target?.commandId ?? '',
        service: 'edge',
        version: '2.0.0',
      });
      if (!answer.granted) throw new Error(`no permit: ${answer.reason}`);
      await tell(rolloutId, nodeId, 'upgrade_completed');
    },
    stop: () => orchestrator.stop(),
  };
}

/** Rollout, targets and what they hold of each other, as stored. */
export async function lookAt(database: Database, rolloutId: string) {
  const stored = await findRollout(database.read, rolloutId);
  if (stored === null) throw new Error(`no rollout ${rolloutId}`);
  const targets = await listTargets(database.read, rolloutId, null, 10_000);
  const counts = stored.state.waves.map((wave) =>
    Object.fromEntries(
      TARGET_STATES.map((state) => [
        state,
        targets.filter((target) => target.wave === wave.index && target.state === state).length,
      ]),
    ),
  );
  return { ...stored, targets, counts };
}

/** Rows of a table: for "nothing was left behind". */
export async function rowsOf(database: Database, ...tables: readonly string[]): Promise<number[]> {
  const counts: number[] = [];
  for (const table of tables) {
    const row = await database.read.get<{ n: number }>(`SELECT COUNT(*) AS n FROM ${table}`);
    counts.push(row?.n ?? -1);
  }
  return counts;
}
