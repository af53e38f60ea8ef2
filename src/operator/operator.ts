import { readFile } from 'node:fs/promises';
import { FleetError } from '../core/kernel/index.js';
import {
  readOptIn,
  WORKLOAD_KINDS,
  type OptIn,
  type WorkloadView,
} from '../core/workload/index.js';
import { openClock, reachFrom, type Log } from '../agent/parts/index.js';
import { PatchApplier } from './apply.js';
import type { OperatorConfig } from './config.js';
import { GitopsApplier } from './gitops.js';
import { KubeClient } from './kube/client.js';
import { Cluster } from './kube/cluster.js';
import { Leader, type LeaseTimes } from './kube/leader.js';
import { WorkloadWatch } from './kube/watch.js';
import { MountedPolicy } from './mounted-policy.js';
import { RefusalBox } from './refusal-box.js';
import { Refusals } from './refusals.js';
import { WorkloadNode, type Surroundings } from './workload-node.js';

/** Whatever could not be started is tried again this often. */
const RETRY_MS = 10_000;
/** Labels of machines change seldom. */
const MACHINES_MS = 300_000;
export const LEASE_NAME = 'bellwether-operator';
/** More workloads than this in one cluster need a second operator with a namespace of its own. */
export const WORKLOADS_MAX = 2_000;

export interface OperatorOptions {
  readonly config: OperatorConfig;
  readonly log: Log;
  readonly env?: Readonly<Record<string, string | undefined>>;
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
}

interface Kept {
  readonly node: WorkloadNode;
  /** What goes on with it: one thing after another. */
  turn: Promise<void>;
  isStarted: boolean;
  retry: NodeJS.Timeout | null;
  goneAt: NodeJS.Timeout | null;
}

/** What both the running operator and its commands stand on. Throws `config_invalid`. */
export async function openSurroundings(
  { config, log, env = {} }: OperatorOptions,
  mayAct: () => boolean,
): Promise<Surroundings> {
  const cluster = new Cluster(new KubeClient(config.kube));
  const file = config.managerCaFile;
  const settings = file === undefined ? {} : { manager_ca_file: file };
  const clock = openClock();
  const appliers = {
    operator: new PatchApplier(cluster),
    signal: new PatchApplier(cluster),
    gitops: new GitopsApplier({ ...config.gitops, clusterName: config.clusterName, clock }),
  };
  return {
    config,
    cluster,
    log,
    mayAct,
    policy: new MountedPolicy(config.policyDir),
    reach: await reachFrom('/', settings, env),
    token: async () => {
      const token = (await readFile(config.tokenFile, 'utf8')).trim();
      if (token.length >= 16) return token;
      throw new FleetError('config_invalid', `${config.tokenFile} holds no token`);
    },
    applier: (mode) => appliers[mode],
    machines: () => new Map(),
    clock,
  };
}

/** Runs until it is stopped: waits for the lease, then looks after every workload that takes part. */
export async function runOperator(options: OperatorOptions): Promise<RunningOperator> {
  const operator = new Operator(options);
  await operator.start();
  let stopped: Promise<void> | null = null;
  return {
    stop: () => (stopped ??= operator.stop()),
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
      onLead: () => {
        this.#then(() => this.#lead());
      },
      onLost: () => {
        this.#then(() => this.#layDown());
      },
    });
    this.#leader.start();
  }

  async stop(): Promise<void> {
    await this.#leader.stop();
    this.#then(() => this.#layDown());
    await this.#turn;
    this.#around.cluster.client.close();
  }

  #then(work: () => Promise<void>): void {
    this.#turn = this.#turn.then(work).catch((error: unknown) => {
      this.#options.log('the lead could not be taken up or laid down', { error: String(error) });
    });
  }

  async #lead(): Promise<void> {
    const { config, log, times } = this.#options;
    await this.#lookAtMachines();
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
    const kept = [...this.#nodes.values()];
    this.#nodes.clear();
    for (const { retry, goneAt } of kept) {
      clearTimeout(retry ?? undefined);
      clearTimeout(goneAt ?? undefined);
    }
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

  #changed(kind: WorkloadView['kind'], all: ReadonlyMap<string, WorkloadView>): void {
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
      if (!key.includes(`/${kind.toLowerCase()}/`) || taking.has(key)) continue;
      if (kept.goneAt !== null) continue;
      kept.node.seen(null, null);
      this.#removeLater(key, kept);
    }
  }

  #take(key: string, view: WorkloadView, optIn: OptIn): void {
    const known = this.#nodes.get(key);
    if (known !== undefined) {
      clearTimeout(known.goneAt ?? undefined);
      known.goneAt = null;
      known.node.seen(view, optIn);
      return;
    }
    if (this.#nodes.size >= WORKLOADS_MAX) {
      this.#tellOnce(key, `this operator looks after ${WORKLOADS_MAX} workloads at most`);
      return;
    }
    const node = new WorkloadNode(this.#around, view, optIn);
    const kept: Kept = {
      node,
      turn: Promise.resolve(),
      isStarted: false,
      retry: null,
      goneAt: null,
    };
    this.#nodes.set(key, kept);
    this.#start(key, kept);
  }

  #start(key: string, kept: Kept): void {
    const { log, times } = this.#options;
    kept.turn = kept.turn.then(async () => {
      if (this.#nodes.get(key) !== kept) return;
      try {
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

  /** Whoever deletes a workload to make it anew within the grace keeps its node. */
  #removeLater(key: string, kept: Kept): void {
    const { config, log } = this.#options;
    kept.goneAt = setTimeout(() => {
      clearTimeout(kept.retry ?? undefined);
      kept.turn = kept.turn.then(async () => {
        try {
          await kept.node.remove();
          this.#nodes.delete(key);
        } catch (error) {
          log('an orphan cannot be cleared away yet', { workload: key, error: String(error) });
          if (this.#nodes.get(key) === kept) this.#removeLater(key, kept);
        }
      });
    }, config.orphanGraceMs);
  }

  #tellOnce(key: string, problem: string): void {
    const said = `${key} ${problem}`;
    if (this.#notTold.has(said)) return;
    if (this.#notTold.size > WORKLOADS_MAX) this.#notTold.clear();
    this.#notTold.add(said);
    this.#options.log('a workload cannot take part', { workload: key, error: problem });
  }
}
