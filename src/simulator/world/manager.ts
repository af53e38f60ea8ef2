import type { Agenda } from './agenda.js';
import {
  AuditLog,
  Chronicle,
  CircumstancesBook,
  Dispatcher,
  EventLog,
  Groups,
  HealthBook,
  Ingest,
  InstalledVersions,
  Links,
  loadConfig,
  newId,
  Newcomers,
  Nodes,
  NodeSide,
  Orchestrator,
  Presence,
  Releases,
  Reverts,
  RolloutUnits,
  Scopes,
  Session,
  choresOf,
  Sweeper,
  type Blobs,
  type Clock,
  type NodeEventObserver,
  type NodeIdentity,
} from './parts.js';
import type { MortalDatabase } from './mortal-database.js';
import { quietLog } from './quiet-log.js';
import type { SimulatedWakeups } from './wakeups.js';
import type { Wire } from './nodes/wire.js';

const config = loadConfig({ BELLWETHER_DATA_DIR: '/nowhere' });

/** How long the manager lets a node swap after it granted a permit. */
export const LEASE_MS = config.permitLeaseMs;

export interface ManagerOptions {
  readonly agenda: Agenda;
  readonly database: MortalDatabase;
  readonly wakeups: SimulatedWakeups;
  /** An empty folder: artifacts are not what is simulated. */
  readonly blobs: Blobs;
  /** What the manager logs as an error. */
  readonly onError: (error: unknown, message: string) => void;
  /** Changes parts before they are tied together: where a mutant gets in. */
  readonly mutate: (parts: MutableParts) => void;
}

/** What a mutant may lay its hands on. */
export interface MutableParts {
  readonly book: CircumstancesBook;
  readonly units: RolloutUnits;
  readonly ingest: Ingest;
  readonly nodeSide: NodeSide;
}

/**
 * One life of the manager: the real one without HTTP and sockets, tied together as its modules do. What
 * its timers would do (sweep, flush) the world does in their place.
 */
export class Manager {
  readonly book = new CircumstancesBook();
  readonly orchestrator: Orchestrator;
  readonly reverts: Reverts;
  readonly releases: Releases;
  readonly scopes: Scopes;
  readonly nodes: Nodes;
  readonly database: MortalDatabase;
  readonly #health: HealthBook;
  readonly #presence: Presence;
  readonly #sweeper: Sweeper;
  readonly #links = new Links();
  readonly #log: ReturnType<typeof quietLog>;
  readonly #clock: Clock;
  readonly #wires = new Set<Wire>();
  readonly #wakeups: SimulatedWakeups;

  constructor(options: ManagerOptions) {
    const { agenda, wakeups } = options;
    this.database = options.database;
    this.#wakeups = wakeups;
    const database = options.database.asDatabase;
    const clock = { now: () => agenda.now };
    const log = quietLog(options.onError);
    this.#clock = clock;
    this.#log = log;
    const events = new EventLog();
    const audit = new AuditLog(clock);
    const nodes = new Nodes(database);
    const dispatcher = new Dispatcher(nodes, this.#links);
    const chronicle = new Chronicle(events, audit);
    const units = new RolloutUnits(database, dispatcher, chronicle, this.book, wakeups);
    this.nodes = nodes;
    this.orchestrator = new Orchestrator(database, units, chronicle, clock);
    this.scopes = new Scopes(new Groups(database, clock), nodes);
    this.releases = new Releases(database, options.blobs, audit, events, clock);
    this.reverts = new Reverts(database, this.orchestrator, nodes, this.releases, this.scopes);
    const { orchestrator, scopes, releases, reverts } = this;
    const newcomers = new Newcomers(database, units, orchestrator, scopes, releases);
    const chores = choresOf(newcomers, reverts);
    this.#sweeper = new Sweeper(database, orchestrator, dispatcher, chores, clock, log);
    const nodeSide = new NodeSide(database, units, config, clock);
    const ingest = new Ingest(database, events, clock, log, { nodeEventsPerSecond: 1_000_000 });
    this.#health = new HealthBook(database, nodes, clock, log);
    this.#presence = new Presence(database, nodes, this.#links, this.#health, events, clock);
    options.mutate({ book: this.book, units, ingest, nodeSide });
    const observers: NodeEventObserver[] = [new InstalledVersions(nodes), nodeSide];
    for (const observer of observers) ingest.addObserver(observer);
    this.#health.addObserver((nodeId, services) => nodeSide.runs(nodeId, services));
    this.#links.useIdentities(this.#presence);
    this.#links.usePresence(this.#presence);
    this.#links.useEvents(ingest);
    this.#links.useCommands(nodeSide);
  }

  /** As at the start of the process: nobody is here, and the first sweep. */
  async start(): Promise<void> {
    await this.#presence.onApplicationBootstrap();
    this.#sweeper.start();
    await this.#sweeper.stop();
  }

  sweep(): Promise<void> {
    return this.#sweeper.sweep();
  }

  flushHealth(): Promise<void> {
    return this.#health.flush();
  }

  /** A node's socket was let in. */
  connect(node: NodeIdentity, wire: Wire): void {
    this.#wires.add(wire);
    const now = (): number => this.#clock.now();
    const house = {
      links: this.#links,
      heartbeatIntervalMs: config.heartbeatMs,
      log: this.#log,
      clock: { now, monotonicMs: now },
    };
    const session = new Session(newId('ses'), house, { node, socket: wire.socket });
    wire.useCheck(() => session.check(now()));
    wire.socket.on('close', () => this.#wires.delete(wire));
  }

  /** The process is gone: sockets are cut, alarms are forgotten. */
  bury(): void {
    this.#wakeups.stop();
    for (const wire of this.#wires) wire.abandon();
    this.#wires.clear();
  }
}
