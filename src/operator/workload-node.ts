import { join } from 'node:path';
import {
  archOf,
  helmCommand,
  keyOf,
  readImage,
  topologyOf,
  type Mode,
  type OptIn,
  type WorkloadName,
  type WorkloadView,
} from '../core/workload/index.js';
import type { OutboxEvent } from '../core/update/index.js';
import { isErrorCode } from '../protocol/index.js';
import { Command, type Host, type NodeMessage } from '../protocol/node/index.js';
import {
  AGENT_VERSION,
  Link,
  Spool,
  toSpoolEvent,
  type Clock,
  type IncomingCommand,
  type Log,
  type Reach,
} from '../agent/parts/index.js';
import type { Applier } from './apply.js';
import type { OperatorConfig } from './config.js';
import { Credentials, type NodeIdentity } from './credentials.js';
import { fetcherOf } from './fetcher.js';
import type { Cluster } from './kube/cluster.js';
import { markOf, nodeNameOf } from './names.js';
import { StateStore } from './state-store.js';
import { WorkloadUpdater } from './workload-updater.js';
import type { Policy } from './workload-updater-options.js';
import { decommission } from './decommission.js';

/** Bounded, and far more than one upgrade tells. */
const SPOOL_BYTES_MAX = 1024 * 1024;
const SERVICE = /^[a-z][a-z0-9-]{0,62}$/;

export interface Surroundings {
  readonly config: OperatorConfig;
  readonly cluster: Cluster;
  readonly policy: Policy;
  readonly reach: Reach;
  readonly token: () => Promise<string>;
  readonly applier: (mode: Mode) => Applier;
  readonly machines: () => ReadonlyMap<string, Readonly<Record<string, string>>>;
  readonly mayAct: () => boolean;
  readonly clock: Clock;
  readonly log: Log;
}

const credentialsOf = (
  { cluster, config, reach, token }: Surroundings,
  of: WorkloadName,
): Credentials => {
  const { namespace, clusterName, manager } = config;
  return new Credentials({ cluster, namespace, clusterName, manager, reach, token }, of);
};

/**
 * Takes the node of a workload out of the manager, and away what was kept of it here; whether there was one.
 * Idempotent. Nobody may look after it meanwhile. Throws `unavailable`, KubeError.
 */
export async function removeNode(around: Surroundings, of: WorkloadName): Promise<boolean> {
  const credentials = credentialsOf(around, of);
  const identity = await credentials.find();
  if (identity !== null) await decommission(around, identity);
  await credentials.forget();
  // Last: what is cut short before is found again by it.
  await new StateStore(around.cluster, around.config.namespace, of).forget();
  return identity !== null;
}

/** One workload as a node: an identity, a link, an updater. */
export class WorkloadNode {
  readonly #around: Surroundings;
  readonly #of: WorkloadName;
  readonly #credentials: Credentials;
  readonly #store: StateStore;
  #view: WorkloadView | null;
  #optIn: OptIn;
  #labels: Record<string, string> = {};
  #arch: 'x64' | 'arm64' | null = null;
  #updater: WorkloadUpdater | null = null;
  #link: Link | null = null;
  #spool: Spool | null = null;
  #isLinked = false;
  #onConflict: () => void = () => undefined;

  constructor(around: Surroundings, view: WorkloadView, optIn: OptIn) {
    const { cluster, config } = around;
    this.#around = around;
    this.#of = { kind: view.kind, namespace: view.namespace, name: view.name };
    this.#view = view;
    this.#optIn = optIn;
    this.#store = new StateStore(cluster, config.namespace, this.#of);
    this.#credentials = credentialsOf(around, this.#of);
  }

  /** Enrolls it if need be, takes up where an earlier operator left off, opens the link. */
  async start(onConflict: () => void): Promise<void> {
    this.#onConflict = onConflict;
    const { config, log, clock } = this.#around;
    await this.#lookAround();
    await this.#store.claim();
    const name = nodeNameOf(config.nodeName, config.clusterName, this.#of);
    const identity = await this.#credentials.enrolled(name, this.#host());
    const folder = join(config.dataDir, markOf(this.#of), 'spool');
    const spool = await Spool.open(folder, { bytesMax: SPOOL_BYTES_MAX, log });
    this.#spool = spool;
    const updater = await this.#openUpdater(identity, spool);
    this.#updater = updater;
    this.#link = new Link({
      manager: config.manager,
      reach: this.#around.reach,
      nodeId: identity.nodeId,
      key: identity.key,
      spool,
      clock,
      random: Math.random,
      log,
      hello: async () => {
        await this.#lookAround();
        return {
          agent_version: AGENT_VERSION,
          boot_id: this.#view?.uid ?? 'unknown',
          host: this.#host(),
          services: [updater.report()],
          capabilities: this.#capabilities(),
          policy_digest: await this.#around.policy.digest(),
          generation: updater.generation,
        };
      },
      health: async () => ({ services: [updater.report()], disk_free_bytes: 0 }),
      onCommand: (command) => this.#obey(updater, command),
      onPermit: ({ command_id, ask, lease_ms }) => {
        this.#tell(updater.hear({ type: 'permit_granted', command_id, ask, lease_ms }));
      },
      onPermitDenied: ({ command_id, ask, retry_after_ms: retry_ms }) => {
        this.#tell(updater.hear({ type: 'permit_denied', command_id, ask, retry_ms }));
      },
      onIndexNews: ({ product }) => {
        updater.indexNews(product);
      },
      onState: (state) => {
        this.#isLinked = state === 'connected';
        if (state === 'connected') this.#tell(updater.hear({ type: 'linked' }));
      },
    });
    this.#link.start();
  }

  /** The manager hears it now. */
  get isLinked(): boolean {
    return this.#isLinked;
  }

  /** The workload as it is seen now; null: it is gone, or takes no part any more. */
  seen(view: WorkloadView | null, optIn: OptIn | null): void {
    this.#view = view;
    if (optIn !== null) this.#optIn = optIn;
    this.#updater?.nudge();
  }

  /**
   * Tells an event that others saw of this workload. Null while it has no spool; else whether the manager
   * has all that was told. The same id again is left out.
   */
  async tellSeen(event: OutboxEvent): Promise<boolean | null> {
    const spool = this.#spool;
    const fitted = toSpoolEvent(this.#service, event);
    if (spool === null) return null;
    // Nothing can make it fit: it would wait for ever.
    if (fitted === null) return true;
    await spool.append([{ id: event.id, event: fitted }]);
    this.#link?.pump();
    return spool.backlog === 0;
  }

  /** Idempotent. */
  async stop(): Promise<void> {
    const [link, updater, spool] = [this.#link, this.#updater, this.#spool];
    [this.#link, this.#updater, this.#spool] = [null, null, null];
    await link?.stop('restart');
    await updater?.stop();
    await spool?.close();
  }

  /** Takes it away for good: from the manager, and what was kept of it here. Idempotent. */
  async remove(): Promise<void> {
    await this.stop();
    await removeNode(this.#around, this.#of);
  }

  /** What can be known without is left out while the API server is away. */
  async #lookAround(): Promise<void> {
    const { cluster, config, machines, log } = this.#around;
    const view = this.#view;
    if (view === null) return;
    try {
      const pods = await cluster.pods(view);
      const install = { cluster: config.clusterName, install: config.installId };
      const around = { machines: machines(), rules: config.labelRules };
      this.#labels = topologyOf(install, view, pods, around);
      this.#arch = archOf(view, pods, machines());
    } catch (error) {
      log('pods cannot be listed', { workload: keyOf(view), error: String(error) });
    }
  }

  #host(): Host {
    return {
      os: 'linux',
      arch: this.#arch ?? (process.arch === 'arm64' ? 'arm64' : 'x64'),
      hostname: keyOf(this.#of).slice(0, 255),
      kernel: '',
      memory_bytes: 0,
      labels: this.#labels,
    };
  }

  #capabilities(): string[] {
    const arch = this.#arch === null ? ['kubernetes_any_arch'] : [];
    return ['upgrade', `kubernetes_${this.#optIn.mode}`, ...arch];
  }

  get #service(): string {
    const { name } = this.#of;
    return SERVICE.test(name) ? name : this.#optIn.product;
  }

  async #openUpdater(identity: NodeIdentity, spool: Spool): Promise<WorkloadUpdater> {
    const { config, cluster, policy, clock, log } = this.#around;
    return WorkloadUpdater.open({
      of: this.#of,
      service: this.#service,
      cluster,
      store: this.#store,
      policy,
      fetcher: fetcherOf(this.#around, identity),
      clock,
      log,
      workload: () => this.#view,
      fresh: () => cluster.workload(this.#of),
      optIn: () => this.#optIn,
      arch: () => this.#arch,
      applier: this.#around.applier,
      helm: (view, version, image) => {
        const digest = readImage(image)?.digest ?? '';
        const command = view === null ? '' : helmCommand(view, { version, digest });
        return { version, command };
      },
      emit: async (events) => {
        const fitting = events.flatMap((event) => {
          const fitted = toSpoolEvent(this.#service, event);
          return fitted === null ? [] : [{ id: event.id, event: fitted }];
        });
        await spool.append(fitting);
        this.#link?.pump();
      },
      isTold: () => spool.backlog === 0,
      askPermit: (wanted) => {
        this.#link?.askPermit(wanted);
      },
      mayAct: this.#around.mayAct,
      onConflict: () => {
        this.#onConflict();
      },
      limits: { syncDeadlineMs: config.syncDeadlineMs, troubleMs: config.imageGraceMs },
      lookMs: config.lookMs,
      idleMs: Math.max(config.lookMs, 1_000),
    });
  }

  async #obey(updater: WorkloadUpdater, envelope: IncomingCommand): Promise<NodeMessage> {
    const { command_id } = envelope;
    const parsed = Command.safeParse(envelope);
    if (!parsed.success) {
      const message = `this operator does not know ${envelope.action}, or not in this form`;
      return { type: 'reject', command_id, error_code: 'command_unknown_action', message };
    }
    const command = parsed.data;
    const isOurs = command.action === 'withdraw' || command.service === this.#service;
    if (
      !isOurs ||
      (command.action === 'upgrade_binary' && command.product !== this.#optIn.product)
    ) {
      const message = `no such service on ${keyOf(this.#of)}`;
      return { type: 'reject', command_id, error_code: 'command_unknown_service', message };
    }
    const answer = await updater.command(command);
    void this.#link?.tellHealth();
    if (answer.ok) {
      return { type: 'ack', command_id, result: answer.isDuplicate ? 'duplicate' : 'accepted' };
    }
    const error_code = isErrorCode(answer.code) ? answer.code : 'internal_error';
    return { type: 'reject', command_id, error_code, message: answer.message };
  }

  /** What cannot be used now is asked for, or said, again. */
  #tell(told: Promise<void>): void {
    told.catch((error: unknown) => {
      this.#around.log('what the link said could not be used', { error: String(error) });
    });
  }
}
