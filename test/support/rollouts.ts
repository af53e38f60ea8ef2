import { createHash, randomInt } from 'node:crypto';
import { Readable } from 'node:stream';
import type { Logger } from 'pino';
import { SECOND_MS } from '../../src/core/kernel/index.js';
import type { Manifest } from '../../src/core/release/index.js';
import { STRICT, TARGET_STATES, type PresetSpec } from '../../src/core/rollout/index.js';
import type { NodeEvent, NodeEventType, ServiceReport } from '../../src/protocol/node/index.js';
import { AuditLog } from '../../src/server/audit/index.js';
import { EventLog, Ingest } from '../../src/server/events/index.js';
import { HealthBook, Nodes, type FleetNode } from '../../src/server/fleet/index.js';
import { InstalledVersions } from '../../src/server/fleet/installed-versions.js';
import {
  Links,
  type IngestResult,
  type NodeIdentity,
  type PermitAnswer,
} from '../../src/server/gateway/index.js';
import type { Database } from '../../src/server/platform/database/index.js';
import { loadConfig, type Caller } from '../../src/server/platform/index.js';
import { InProcessWakeups } from '../../src/server/platform/queue/index.js';
import { Groups } from '../../src/server/access/index.js';
import { DiskBlobs } from '../../src/server/releases/store/disk-blobs.js';
import { Releases, type StoredRelease } from '../../src/server/releases/index.js';
import { insertRelease } from '../../src/server/releases/releases.store.js';
import { Chronicle } from '../../src/server/rollouts/chronicle.js';
import { Dispatcher } from '../../src/server/rollouts/dispatcher.js';
import { NodeSide } from '../../src/server/rollouts/node-side.js';
import { Orchestrator } from '../../src/server/rollouts/rollouts.orchestrator.js';
import { RolloutUnits } from '../../src/server/rollouts/rollout-units.js';
import { CircumstancesBook } from '../../src/server/rollouts/circumstances.js';
import { Newcomers } from '../../src/server/rollouts/newcomers.js';
import { oneNode } from '../../src/server/rollouts/one-node.js';
import type { RolloutRequest } from '../../src/server/rollouts/planning.js';
import { Reverts } from '../../src/server/rollouts/reverts.js';
import { findRollout } from '../../src/server/rollouts/tables/rollouts.store.js';
import { Scopes } from '../../src/server/rollouts/scope.js';
import { choresOf, Sweeper } from '../../src/server/rollouts/sweeper.js';
import { findTarget, listTargets } from '../../src/server/rollouts/tables/targets.store.js';
import { makeTempDir, silentLog } from './databases.js';
import { aHost, makeClock, type TestClock, comes, isGone } from './manager.js';
import { aHello } from './node-link.js';

export const ann: Caller = {
  kind: 'token',
  id: 'tok_00000000',
  name: 'ann',
  grants: [{ role: 'super_admin' }],
  requestId: 'req_1',
  ip: '192.0.2.7',
};

/** The artifact of a release is as good as any bytes: nobody here unpacks it. */
export const bytesOf = (version: string): Buffer => Buffer.from(`edge ${version}`);
const digestOf = (version: string): string =>
  createHash('sha256').update(bytesOf(version)).digest('hex');

export function aRelease(
  version = '2.0.0',
  arch: 'x64' | 'arm64' = 'x64',
  product = 'edge',
): StoredRelease {
  const manifest: Manifest = {
    schema: 'bellwether.manifest.v1',
    product,
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
        size: bytesOf(version).length,
        sha256: digestOf(version),
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
  readonly product?: string;
  readonly preset?: PresetSpec;
  readonly wavePercents?: readonly number[];
  readonly settleMs?: number;
  readonly start?: Partial<RolloutRequest['start']>;
  readonly terms?: Partial<RolloutRequest['terms']>;
  readonly scope?: Partial<RolloutRequest['scope']>;
  readonly startVersion?: string;
  /** As an upgrade of the first node alone. */
  readonly asNode?: boolean;
}

interface Enrolled {
  readonly groupId?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly services?: readonly ServiceReport[];
}

/** What is asked for, as a request: two waves, each half of the nodes, unless said otherwise. */
export const rollsOut = (asked: Asked): RolloutRequest => ({
  kind: 'group',
  scope: {
    groupId: 'grp_default',
    subgroups: true,
    labels: {},
    nodeIds: null,
    exclude: [],
    ...asked.scope,
  },
  nodes: asked.nodes,
  release: aRelease(asked.version, 'x64', asked.product),
  preset: asked.preset ?? {
    strategy: 'staged',
    percents: asked.wavePercents ?? [50, 100],
    settleMs: asked.settleMs ?? SECOND_MS,
    tolerance: STRICT,
  },
  start: { applyAfter: null, approvals: 0, order: 'sequential', ...asked.start },
  terms: {
    nodeDeadlineMs: 60_000,
    maxUnavailable: null,
    expiresAt: null,
    spreadMs: 0,
    ...asked.terms,
  },
  cut: { domain: null, strata: [] },
  startVersion: asked.startVersion ?? null,
  reverts: null,
});

/** The rollouts of one manager on a database, without its HTTP and its sockets. */
export interface TestRollouts {
  readonly database: Database;
  readonly clock: TestClock;
  readonly orchestrator: Orchestrator;
  readonly sweeper: Sweeper;
  readonly book: CircumstancesBook;
  readonly nodeSide: NodeSide;
  readonly events: EventLog;
  readonly audit: AuditLog;
  readonly wakeups: InProcessWakeups;
  readonly scopes: Scopes;
  readonly health: HealthBook;
  readonly reverts: Reverts;
  /** Makes a group and gives its id. */
  group(name: string, parentId?: string): Promise<string>;
  /** Enrolls nodes that are there and run edge 1.0.0, in order of id. */
  enroll(count: number, over?: Enrolled): Promise<FleetNode[]>;
  /** Makes a release known, as if it had been published. */
  publish(version: string): Promise<void>;
  /** What a store that was damaged, or tidied by hand, does. */
  loseArtifact(version: string): Promise<void>;
  /** The link of a node comes, with its hello, or goes. */
  presence(nodeId: string, online: boolean, services?: readonly ServiceReport[]): Promise<void>;
  /** Asks for a permit for the command that the target has now. */
  ask(rolloutId: string, nodeId: string): Promise<PermitAnswer>;
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
export function rolloutsOn(
  database: Database,
  clock: TestClock = makeClock(),
  log: Logger = silentLog,
  settings: NodeJS.ProcessEnv = {},
): TestRollouts {
  const config = loadConfig({ BELLWETHER_DATA_DIR: '/nowhere', ...settings });
  const events = new EventLog();
  const audit = new AuditLog(clock);
  const nodes = new Nodes(database);
  const wakeups = new InProcessWakeups(() => clock.now(), silentLog);
  const dispatcher = new Dispatcher(nodes, new Links());
  const chronicle = new Chronicle(events, audit);
  const book = new CircumstancesBook();
  const units = new RolloutUnits(database, dispatcher, chronicle, book, wakeups);
  const orchestrator = new Orchestrator(database, units, chronicle, clock);
  const groups = new Groups(database, clock);
  const scopes = new Scopes(groups, nodes);
  const dir = makeTempDir();
  const blobs = new DiskBlobs(dir.path);
  const releases = new Releases(database, blobs, audit, events, clock);
  const newcomers = new Newcomers(database, units, orchestrator, scopes, releases);
  const reverts = new Reverts(database, orchestrator, nodes, releases, scopes);
  const chores = choresOf(newcomers, reverts);
  const sweeper = new Sweeper(database, orchestrator, dispatcher, chores, clock, log);
  const nodeSide = new NodeSide(database, units, config, clock);
  const ingest = new Ingest(database, events, clock, silentLog, {
    nodeEventsPerSecond: 1_000_000,
  });
  for (const observer of [new InstalledVersions(nodes), nodeSide]) ingest.addObserver(observer);

  const health = new HealthBook(database, nodes, clock, silentLog);
  health.addObserver((nodeId, services) => nodeSide.runs(nodeId, services));
  const groupOf = new Map<string, string>();

  const identity = (nodeId: string): NodeIdentity => ({
    nodeId,
    groupId: groupOf.get(nodeId) ?? 'grp_default',
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

  const ask: TestRollouts['ask'] = async (rolloutId, nodeId) => {
    const target = await findTarget(database.read, rolloutId, nodeId);
    return nodeSide.permit(identity(nodeId), {
      type: 'permit_request',
      ask: 1,
      command_id: target?.commandId ?? '',
      service: 'edge',
      version: '2.0.0',
    });
  };

  return {
    database,
    clock,
    orchestrator,
    sweeper,
    book,
    nodeSide,
    events,
    audit,
    wakeups,
    identity,
    tell,
    scopes,
    health,
    reverts,
    ask,
    group: async (name, parentId = 'grp_default') => {
      const parent = await groups.find(parentId);
      if (parent === null) throw new Error(`no group ${parentId}`);
      return (await database.transaction((tx) => groups.create(tx, name, parent))).id;
    },
    publish: async (version) => {
      const release = { ...aRelease(version), id: `rel_${version}` };
      await blobs.put(digestOf(version), Readable.from([bytesOf(version)]), 1_000);
      await database.transaction((tx) => insertRelease(tx, release));
    },
    loseArtifact: async (version) => {
      await blobs.remove(digestOf(version));
    },
    presence: async (nodeId, online, services) => {
      const node = await nodes.find(nodeId);
      if (node === null) throw new Error(`no node ${nodeId}`);
      const hello = aHello({ host: node.host, services: [...(services ?? node.services)] });
      await database.transaction(async (tx) => {
        if (online) await comes(tx, database, nodeId, { hello, now: clock.now() });
        else await isGone(tx, nodeId, clock.now());
      });
      if (online) await nodeSide.reported(identity(nodeId), hello);
    },
    enroll: async (count, { groupId = 'grp_default', labels = {}, services } = {}) => {
      const ids = Array.from({ length: count }, () => `nod_${randomInt(2 ** 40) + 2 ** 40}`).sort();
      const host = { ...aHost(), labels: { ...aHost().labels, ...labels } };
      const hello = aHello({
        host,
        ...(services === undefined ? {} : { services: [...services] }),
      });
      await database.transaction(async (tx) => {
        for (const id of ids) {
          const now = clock.now();
          const publicKey = 'k'.repeat(43);
          await nodes.create(tx, { id, name: `edge ${id}`, groupId, publicKey, host, now });
          await comes(tx, database, id, { hello, now });
          groupOf.set(id, groupId);
        }
      });
      const all = await nodes.listInGroups([groupId]);
      return all.filter((node) => ids.includes(node.id));
    },
    create: (asked) => {
      const [first] = asked.nodes;
      if (asked.asNode === true && first !== undefined) {
        return orchestrator.create(oneNode(first, aRelease(asked.version), asked.terms), ann);
      }
      return orchestrator.create(rollsOut(asked), ann);
    },
    succeed: async (rolloutId, nodeId) => {
      await tell(rolloutId, nodeId, 'upgrade_staged');
      const answer = await ask(rolloutId, nodeId);
      if (!answer.granted) throw new Error(`no permit: ${answer.reason}`);
      await tell(rolloutId, nodeId, 'upgrade_completed');
    },
    stop: async () => {
      await sweeper.stop();
      await orchestrator.stop();
      dir.remove();
    },
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
