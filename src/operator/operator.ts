import {
  keyOf,
  nameIn,
  readOptIn,
  WORKLOAD_KINDS,
  type OptIn,
  type WorkloadKind,
  type WorkloadName,
  type WorkloadView,
} from '../core/workload/index.js';
import { serveHealth, type Health, type RunningHealth } from './health.js';
import { Leader, type LeaseTimes } from './kube/leader.js';
import { WorkloadWatch } from './kube/watch.js';
import { Leavers } from './leavers.js';
import { Pulse } from './pulse.js';
import { RefusalBox } from './refusal-box.js';
import { Refusals } from './refusals.js';
import { openSurroundings, type SurroundingsOptions } from './surroundings.js';
import { workloadsKept } from './state-store.js';
import { removeNode, WorkloadNode, type Surroundings } from './workload-node.js';

/** Whatever could not be started is tried again this often. */
const RETRY_MS = 10_000;
/** Labels of machines change seldom. */
const MACHINES_MS = 300_000;
/** Two requests, each with its time limit, and a pause. */
const LEASE_TURN_MS = 180_000;
/** Every link says goodbye, every node that is being taken out is waited for. */
const LEAD_TURN_MS = 600_000;
export const LEASE_NAME = 'bellwether-operator';
/** More workloads than this in one cluster need a second operator with a namespace of its own. */
export const WORKLOADS_MAX = 2_000;

export interface OperatorOptions extends SurroundingsOptions {
  /** For specs. */
  readonly times?: {
    readonly lease?: LeaseTimes;
    readonly retryMs?: number;
    readonly backoffMs?: number;
    readonly refusalsMs?: number;
  };
}

export interface RunningOperator {
  /** Links end with a goodbye; the lease is given back. Idempotent. */
  stop(): Promise<void>;
  /** Where probes are answered; null: nowhere. */
  readonly healthPort: number | null;
}

interface Kept {
  readonly node: WorkloadNode;
  /** What goes on with it: one thing after another. */
  turn: Promise<void>;
  retry: NodeJS.Timeout | null;
  /** It came back while it was being taken out: that is finished first, and then it is enrolled anew. */
  isComingBack: boolean;
}

/** Runs until it is stopped: waits for the lease, then looks after every workload that takes part. */
export async function runOperator(options: OperatorOptions): Promise<RunningOperator> {
  const operator = new Operator(options);
  await operator.start();
  let stopped: Promise<void> | null = null;
  return {
    stop: () => (stopped ??= operator.stop()),
    healthPort: operator.healthPort,
  };
}

class Operator {
  readonly #options: OperatorOptions;
  readonly #nodes = new Map<string, Kept>();
  readonly #notTold = new Set<string>();
  #around!: Surroundings;
  #leader!: Leader;
  #watches: WorkloadWatch[] = [];
  #refusals: Refusals | null = null;
  #machines: ReadonlyMap<string, Readonly<Record<string, string>>> = new Map();
  #machinesAt: NodeJS.Timeout | null = null;
  /** While it leads. */
  #leavers: Leavers | null = null;
  readonly #listed = new Set<WorkloadKind>();
  #health: RunningHealth | null = null;
  readonly #pulse = new Pulse(() => performance.now());
  /** Since it leads, one of its nodes was heard by the manager at least once. */
  #wasLinked = false;
  /** Taking up and laying down the lead, one after another. */
  #turn: Promise<void> = Promise.resolve();

  constructor(options: OperatorOptions) {
    this.#options = options;
  }

  async start(): Promise<void> {
    const { config, log, times } = this.#options;
    const around = await openSurroundings(this.#options, () => this.#leader.mayAct);
    this.#around = { ...around, machines: () => this.#machines };
    this.#leader = new Leader({
      cluster: around.cluster,
      namespace: config.namespace,
      name: LEASE_NAME,
      identity: config.podName,
      clock: around.clock,
      log,
      times: times?.lease,
      onTurn: () => {
        this.#pulse.beat('lease', LEASE_TURN_MS);
      },
      onLead: () => {
        this.#then(() => this.#lead());
      },
      onLost: () => {
        this.#then(() => this.#layDown());
      },
    });
    const { healthPort } = config;
    if (healthPort !== null) {
      this.#health = await serveHealth(healthPort, () => this.#standing());
    }
    this.#leader.start();
  }

  get healthPort(): number | null {
    return this.#health?.port ?? null;
  }

  /**
   * Ready is who waits for the lead and reaches the API server; and who leads, when it has seen all workloads and the manager has
   * heard one of them since. A manager that is away later is no reason to replace the operator.
   */
  #standing(): Health {
    const nodes = [...this.#nodes.values()];
    const linked = nodes.filter(({ node }) => node.isLinked).length;
    this.#wasLinked ||= linked > 0;
    const leads = this.#leavers !== null;
    const isSettled = this.#listed.size === WORKLOAD_KINDS.length;
    const canWork = isSettled && (nodes.length === 0 || this.#wasLinked);
    const { isReached } = this.#leader;
    return {
      late: this.#pulse.late,
      isReady: isReached && (!leads || canWork),
      leads,
      api_server: isReached ? 'reached' : 'away',
      workloads: nodes.length,
      linked,
    };
  }

  async stop(): Promise<void> {
    await this.#leader.stop();
    this.#then(() => this.#layDown());
    await this.#turn;
    await this.#health?.stop();
    this.#around.cluster.client.close();
  }

  #then(work: () => Promise<void>): void {
    this.#turn = this.#turn
      .then(() => {
        this.#pulse.beat('lead', LEAD_TURN_MS);
        return work();
      })
      .catch((error: unknown) => {
        this.#options.log('the lead could not be taken up or laid down', { error: String(error) });
      })
      .finally(() => {
        this.#pulse.end('lead');
      });
  }

  async #lead(): Promise<void> {
    const { config, log, times } = this.#options;
    await this.#lookAtMachines();
    this.#leavers = new Leavers({
      graceMs: config.orphanGraceMs,
      manyGraceMs: config.manyGoneMs,
      known: () => new Set([...this.#nodes.keys(), ...(this.#leavers?.keys ?? [])]).size,
      look: (of) => this.#takesPart(of),
      mayAct: this.#around.mayAct,
      clock: this.#around.clock,
      log,
    });
    this.#watches = WORKLOAD_KINDS.map(
      (kind) =>
        new WorkloadWatch({
          cluster: this.#around.cluster,
          kind,
          namespace: config.watchNamespace,
          onChange: (changed, all) => {
            this.#changed(changed, all);
          },
          log,
          onTurn: (withinMs) => {
            this.#pulse.beat(`watch of ${kind}s`, withinMs);
          },
          ...(times?.backoffMs === undefined ? {} : { backoffMs: times.backoffMs }),
        }),
    );
    for (const watch of this.#watches) watch.start();
    this.#refusals = new Refusals({
      box: new RefusalBox(this.#around.cluster, config.namespace),
      tell: async (key, event) => (await this.#nodes.get(key)?.node.tellSeen(event)) ?? null,
      log,
      clock: this.#around.clock,
      everyMs: times?.refusalsMs,
    });
    this.#refusals.start();
  }

  async #layDown(): Promise<void> {
    if (this.#machinesAt !== null) clearTimeout(this.#machinesAt);
    this.#machinesAt = null;
    await this.#refusals?.stop();
    this.#refusals = null;
    await Promise.all(this.#watches.splice(0).map((watch) => watch.stop()));
    for (const kind of WORKLOAD_KINDS) this.#pulse.end(`watch of ${kind}s`);
    await this.#leavers?.stop();
    this.#leavers = null;
    this.#listed.clear();
    this.#wasLinked = false;
    const kept = [...this.#nodes.values()];
    this.#nodes.clear();
    for (const { retry } of kept) clearTimeout(retry ?? undefined);
    await Promise.all(kept.map(({ node, turn }) => turn.then(() => node.stop())));
  }

  /** Without the right to list machines there are no labels of them, and all else works. */
  async #lookAtMachines(): Promise<void> {
    try {
      this.#machines = await this.#around.cluster.machines();
    } catch (error) {
      this.#options.log('machines cannot be listed', { error: String(error) });
    }
    this.#machinesAt = setTimeout(() => void this.#lookAtMachines(), MACHINES_MS);
    this.#machinesAt.unref();
  }

  #changed(kind: WorkloadKind, all: ReadonlyMap<string, WorkloadView>): void {
    const { mode } = this.#options.config;
    const taking = new Set<string>();
    for (const [key, view] of all) {
      const optIn = readOptIn(view, mode);
      if (optIn === null || view.isDeleting) continue;
      // What is not clear now may have been before: a slip in an annotation loses nobody.
      if (optIn.ok || this.#nodes.has(key)) taking.add(key);
      if (!optIn.ok) this.#tellOnce(key, optIn.error.message);
      else this.#take(key, view, optIn.value);
    }
    for (const [key, kept] of this.#nodes) {
      if (nameIn(key)?.kind === kind && !taking.has(key)) this.#leaves(key, kept);
    }
    if (this.#listed.size < WORKLOAD_KINDS.length) this.#firstOf(kind);
  }

  /** Once all kinds were listed: nodes of workloads that went while no operator looked on. */
  #firstOf(kind: WorkloadKind): void {
    this.#listed.add(kind);
    if (this.#listed.size < WORKLOAD_KINDS.length) return;
    this.#findLeftBehind().catch((error: unknown) => {
      this.#options.log('nodes that were left behind cannot be looked for', {
        error: String(error),
      });
    });
  }

  async #findLeftBehind(): Promise<void> {
    const { config, log } = this.#options;
    const leavers = this.#leavers;
    for (const of of await workloadsKept(this.#around.cluster, config.namespace)) {
      const key = keyOf(of);
      if (this.#nodes.has(key)) continue;
      // What it does not look at it cannot know to be gone.
      if (config.watchNamespace !== null && config.watchNamespace !== of.namespace) {
        this.#tellOnce(key, 'it has a node, and its namespace is not watched any more');
        continue;
      }
      const remove = async (): Promise<void> => {
        if (await removeNode(this.#around, of)) log('a node was left behind', { workload: key });
      };
      leavers?.add(key, { of, remove });
    }
  }

  /** By its name, whatever a list says; null when it is gone, or takes no part any more. */
  async #takesPart(of: WorkloadName): Promise<WorkloadView | null> {
    const view = await this.#around.cluster.workload(of);
    if (view === null || view.isDeleting) return null;
    return readOptIn(view, this.#options.config.mode) === null ? null : view;
  }

  #take(key: string, view: WorkloadView, optIn: OptIn): void {
    const back = this.#leavers?.back(key) ?? null;
    const isComingBack = back?.hasBegun ?? false;
    const known = this.#nodes.get(key);
    if (known !== undefined) {
      known.node.seen(view, optIn);
      if (isComingBack) {
        known.isComingBack = true;
        this.#start(key, known);
      }
      return;
    }
    if (this.#nodes.size >= WORKLOADS_MAX) {
      this.#tellOnce(key, `this operator looks after ${WORKLOADS_MAX} workloads at most`);
      return;
    }
    const node = new WorkloadNode(this.#around, view, optIn);
    const turn = back?.ended ?? Promise.resolve();
    const kept: Kept = { node, turn, retry: null, isComingBack };
    this.#nodes.set(key, kept);
    this.#start(key, kept);
  }

  #start(key: string, kept: Kept): void {
    const { log, times } = this.#options;
    kept.turn = kept.turn.then(async () => {
      if (this.#nodes.get(key) !== kept) return;
      try {
        if (kept.isComingBack) await kept.node.remove();
        kept.isComingBack = false;
        await kept.node.start(() => {
          this.#again(key, kept);
        });
      } catch (error) {
        log('a workload cannot be looked after; trying again', {
          workload: key,
          error: String(error),
        });
        await kept.node.stop().catch(() => undefined);
        const wait = (times?.retryMs ?? RETRY_MS) * (0.75 + Math.random() / 2);
        kept.retry = setTimeout(() => {
          this.#start(key, kept);
        }, wait);
      }
    });
  }

  /** Another operator wrote its state: what is in memory here is not true any more. */
  #again(key: string, kept: Kept): void {
    if (kept.retry !== null) return;
    kept.retry = setTimeout(() => {
      kept.retry = null;
      kept.turn = kept.turn.then(() => kept.node.stop());
      this.#start(key, kept);
    }, this.#options.times?.retryMs ?? RETRY_MS);
  }

  #leaves(key: string, kept: Kept): void {
    const of = nameIn(key);
    if (of === null) return;
    this.#leavers?.add(key, {
      of,
      onGone: () => {
        kept.node.seen(null, null);
      },
      onThere: (view) => {
        const optIn = readOptIn(view, this.#options.config.mode);
        if (optIn?.ok === true) kept.node.seen(view, optIn.value);
      },
      remove: () => this.#remove(key, kept),
    });
  }

  /** Throws what keeps it from being taken out. */
  #remove(key: string, kept: Kept): Promise<void> {
    clearTimeout(kept.retry ?? undefined);
    kept.retry = null;
    const done = kept.turn.then(() => kept.node.remove());
    kept.turn = done.then(
      () => {
        if (!kept.isComingBack && this.#nodes.get(key) === kept) this.#nodes.delete(key);
      },
      () => undefined,
    );
    return done;
  }

  #tellOnce(key: string, problem: string): void {
    const said = `${key} ${problem}`;
    if (this.#notTold.has(said)) return;
    if (this.#notTold.size > WORKLOADS_MAX) this.#notTold.clear();
    this.#notTold.add(said);
    this.#options.log('a workload cannot take part', { workload: key, error: problem });
  }
}
