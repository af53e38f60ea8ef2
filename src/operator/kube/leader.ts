import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { leaseStep, mayLead, type LeaseMemory, type LeaseView } from '../../core/workload/index.js';
import type { Log } from '../../agent/parts/index.js';
import { isStatus } from './client.js';
import type { Cluster } from './cluster.js';

/** As client-go has them: 15 s long, renewed every 2 s, given up when 10 s passed without. */
export interface LeaseTimes {
  readonly durationMs: number;
  readonly marginMs: number;
  readonly retryMs: number;
}
export const LEASE_TIMES: LeaseTimes = { durationMs: 15_000, marginMs: 5_000, retryMs: 2_000 };

/** It is asked every few seconds; a slow answer or two are no absence. */
const REACHED_MS = 30_000;

const Lease = z.object({
  metadata: z.object({ resourceVersion: z.string() }),
  spec: z
    .object({
      holderIdentity: z.string().nullish(),
      renewTime: z.string().nullish(),
      leaseDurationSeconds: z.number().nullish(),
      leaseTransitions: z.int().nullish(),
    })
    .default({}),
});

export interface LeaderOptions {
  readonly cluster: Cluster;
  readonly namespace: string;
  readonly name: string;
  readonly identity: string;
  readonly onLead: () => void;
  readonly onLost: () => void;
  readonly clock: { now(): number; monotonicMs(): number };
  readonly log: Log;
  readonly times?: LeaseTimes | undefined;
  /** Told at each turn of its loop. */
  readonly onTurn?: () => void;
}

/** Leader of the operators of one name, by a Lease. Writes are compared by version: one of two wins. */
export class Leader {
  readonly #options: LeaderOptions;
  readonly #times: LeaseTimes;
  readonly #stopping = new AbortController();
  #memory: LeaseMemory | null = null;
  #renewedAtMs: number | null = null;
  #reachedAtMs: number | null = null;
  #isLeading = false;
  #loop: Promise<void> = Promise.resolve();

  constructor(options: LeaderOptions) {
    this.#options = options;
    this.#times = options.times ?? LEASE_TIMES;
  }

  /** The API server answered not long ago. */
  get isReached(): boolean {
    const at = this.#reachedAtMs;
    return at !== null && this.#options.clock.monotonicMs() - at < REACHED_MS;
  }

  /** Looked at before every change of the cluster. */
  get mayAct(): boolean {
    return mayLead(this.#renewedAtMs, this.#options.clock.monotonicMs(), this.#times);
  }

  start(): void {
    this.#loop = this.#run();
  }

  /** Gives the lease back, so that another need not wait for its end. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#loop;
    const wasLeading = this.#isLeading;
    this.#settle(null);
    if (wasLeading) await this.#write(await this.#read(), '').catch(() => undefined);
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      this.#options.onTurn?.();
      try {
        await this.#once();
        this.#reachedAtMs = this.#options.clock.monotonicMs();
      } catch (error) {
        this.#options.log('the lease cannot be kept', { error: String(error) });
      }
      this.#settle(this.#renewedAtMs);
      await sleep(this.#times.retryMs, null, { signal }).catch(() => undefined);
    }
  }

  async #once(): Promise<void> {
    const { identity, clock } = this.#options;
    const lease = await this.#read();
    const { step, memory } = leaseStep(lease, identity, this.#memory, clock.monotonicMs());
    this.#memory = memory;
    if (step.do === 'wait') {
      this.#renewedAtMs = null;
      return;
    }
    // Counted from before the question: it may take effect at any time after it.
    const askedAtMs = clock.monotonicMs();
    try {
      await this.#write(lease, identity);
      this.#renewedAtMs = askedAtMs;
    } catch (error) {
      if (isStatus(error, 409)) this.#renewedAtMs = null;
      else throw error;
    }
  }

  #settle(renewedAtMs: number | null): void {
    this.#renewedAtMs = renewedAtMs;
    const isLeading = this.mayAct;
    if (isLeading === this.#isLeading) return;
    this.#isLeading = isLeading;
    const { log, identity, onLead, onLost } = this.#options;
    log(isLeading ? 'leading' : 'not leading any more', { identity });
    if (isLeading) onLead();
    else onLost();
  }

  get #path(): string {
    return `/apis/coordination.k8s.io/v1/namespaces/${this.#options.namespace}/leases`;
  }

  async #read(): Promise<LeaseView | null> {
    const { cluster, name } = this.#options;
    try {
      const { metadata, spec } = await cluster.client.ask(`${this.#path}/${name}`, Lease);
      return {
        resourceVersion: metadata.resourceVersion,
        holder: spec.holderIdentity ?? '',
        renewedAt: spec.renewTime ?? '',
        durationSeconds: spec.leaseDurationSeconds ?? this.#times.durationMs / 1000,
        transitions: spec.leaseTransitions ?? 0,
      };
    } catch (error) {
      if (isStatus(error, 404)) return null;
      throw error;
    }
  }

  async #write(lease: LeaseView | null, holder: string): Promise<void> {
    const { cluster, name, namespace, clock } = this.#options;
    const isNew = lease?.holder !== holder;
    // A MicroTime.
    const renewTime = new Date(clock.now()).toISOString().replace('Z', '000Z');
    const body = {
      apiVersion: 'coordination.k8s.io/v1',
      kind: 'Lease',
      metadata: {
        name,
        namespace,
        ...(lease === null ? {} : { resourceVersion: lease.resourceVersion }),
      },
      spec: {
        holderIdentity: holder,
        leaseDurationSeconds: Math.max(1, Math.round(this.#times.durationMs / 1000)),
        renewTime,
        leaseTransitions: (lease?.transitions ?? 0) + (isNew ? 1 : 0),
      },
    };
    await cluster.client.ask(lease === null ? this.#path : `${this.#path}/${name}`, Lease, {
      method: lease === null ? 'POST' : 'PUT',
      body,
    });
  }
}
