import { AuditLog } from '../../src/server/audit/index.js';
import { Groups } from '../../src/server/access/index.js';
import { EventLog, type NewEvent } from '../../src/server/events/index.js';
import { AlertWatch } from '../../src/server/events/sinks/alert-watch.js';
import { EventSource } from '../../src/server/events/sinks/event-source.js';
import { Receivers } from '../../src/server/events/sinks/receivers.js';
import { SinkLoops } from '../../src/server/events/sinks/sink-loops.js';
import { Sinks } from '../../src/server/events/sinks/sinks.js';
import { findSink, type SinkRecord } from '../../src/server/events/sinks/sinks.store.js';
import type { Call, Sink } from '../../src/protocol/api/index.js';
import type { Database } from '../../src/server/platform/database/index.js';
import { loadConfig, type Caller } from '../../src/server/platform/index.js';
import { InProcessWakeups } from '../../src/server/platform/queue/index.js';
import { makeTempDir, silentLog } from './databases.js';
import { aMasterKey, secretsUnder } from './secrets.js';
import { makeClock, type TestClock } from './manager.js';

export const ann: Caller = {
  kind: 'token',
  id: 'tok_00000000',
  name: 'ann',
  grants: [{ role: 'super_admin' }],
  requestId: 'req_1',
  ip: '192.0.2.7',
};

/** The sinks of a manager on a database, without HTTP; twice on one database is two managers. */
export interface SinkBench {
  readonly log: EventLog;
  readonly sinks: Sinks;
  readonly loops: SinkLoops;
  readonly alerts: AlertWatch;
  readonly groups: Groups;
  readonly source: EventSource;
  readonly clock: TestClock;
  readonly dataDir: string;
  /** Appends in one transaction. */
  add(...events: readonly Partial<NewEvent>[]): Promise<void>;
  /** `count` events with these messages: `first`, `first + 1` and so on. */
  addMany(count: number, first?: number): Promise<void>;
  create(body: Partial<Call<'sinks.create'>['body']>): Promise<SinkRecord>;
  record(id: string): Promise<SinkRecord>;
  shown(id: string): Promise<Sink>;
  stop(): Promise<void>;
}

/** Of every bench that is given none: two on one database read the same. */
const KEY = aMasterKey();

export function startSinkBench(
  database: Database,
  options: {
    readonly dataDir?: string;
    readonly clock?: TestClock;
    readonly idle?: boolean;
  } = {},
): SinkBench {
  const dir = makeTempDir();
  const dataDir = options.dataDir ?? dir.path;
  const clock = options.clock ?? makeClock();
  const config = loadConfig({
    BELLWETHER_DATA_DIR: dataDir,
    BELLWETHER_SINK_ALLOWED_NETWORKS: '127.0.0.0/8',
  });
  const log = new EventLog();
  const audit = new AuditLog(clock);
  const groups = new Groups(database, clock);
  const source = new EventSource(database, log, groups);
  const receivers = new Receivers(config, secretsUnder(KEY), clock);
  const wakeups = new InProcessWakeups(() => clock.now(), silentLog);
  const loops = new SinkLoops(database, source, receivers, wakeups, clock, silentLog);
  const sinks = new Sinks(database, audit, source, loops, receivers, clock);
  const alerts = new AlertWatch(database, log, audit, clock, silentLog);
  if (options.idle !== true) loops.onApplicationBootstrap();
  const record = async (id: string): Promise<SinkRecord> => {
    const found = await findSink(database.read, id);
    if (found === null) throw new Error(`no sink ${id}`);
    return found;
  };
  const add: SinkBench['add'] = (...events) =>
    database.transaction(async (tx) =>
      log.append(
        tx,
        events.map((event) => ({
          category: 'service',
          type: 'service_healthy',
          severity: 'info',
          nodeId: 'nod_one000',
          groupId: 'grp_default',
          message: 'healthy',
          details: {},
          at: clock.now(),
          ...event,
        })),
      ),
    );
  return {
    log,
    sinks,
    loops,
    alerts,
    groups,
    source,
    clock,
    dataDir,
    add,
    addMany: (count, first = 1) =>
      add(...Array.from({ length: count }, (_, index) => ({ message: `${first + index}` }))),
    create: async (body) => {
      const made = await sinks.create(
        {
          name: 'a sink',
          kind: 'webhook',
          config: {},
          ...body,
        },
        ann,
      );
      return record(made.id);
    },
    record,
    shown: async (id) => sinks.view(await record(id)),
    stop: async () => {
      await loops.beforeApplicationShutdown();
      dir.remove();
    },
  };
}
