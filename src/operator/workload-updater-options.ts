import type { OutboxEvent } from '../core/update/index.js';
import type { Mode, OptIn, WorkloadName, WorkloadView } from '../core/workload/index.js';
import type { PermitRequest } from '../protocol/node/index.js';
import type { Clock, Fetcher, Log, PolicyRead } from '../agent/parts/index.js';
import type { SigstoreTrust } from '../core/release/index.js';
import type { Applier } from './apply.js';
import type { Cluster } from './kube/cluster.js';
import type { StateStore } from './state-store.js';

/** The policy of the cluster: a mounted file that neither manager nor operator can write. */
export interface Policy {
  read(): Promise<PolicyRead>;
  trust(): Promise<SigstoreTrust | null>;
  digest(): Promise<string>;
}

export interface WorkloadUpdaterOptions {
  readonly of: WorkloadName;
  readonly service: string;
  readonly cluster: Cluster;
  readonly store: StateStore;
  readonly policy: Policy;
  readonly fetcher: Fetcher;
  readonly clock: Clock;
  readonly log: Log;
  /** As it was watched last; null when it is gone or takes no part. */
  readonly workload: () => WorkloadView | null;
  /** As it is now. */
  readonly fresh: () => Promise<WorkloadView | null>;
  /** What its annotations say; the last good word when they are not clear. */
  readonly optIn: () => OptIn;
  readonly arch: () => 'x64' | 'arm64' | null;
  readonly applier: (mode: Mode) => Applier;
  /** The line that a person runs. */
  readonly helm: (
    workload: WorkloadView | null,
    version: string,
    image: string,
  ) => { readonly version: string; readonly command: string };
  readonly emit: (events: readonly OutboxEvent[]) => Promise<void>;
  /** The manager has acknowledged all that was emitted. */
  readonly isTold: () => boolean;
  readonly askPermit: (wanted: Omit<PermitRequest, 'type'>) => void;
  /** This process leads, and will for a moment. */
  readonly mayAct: () => boolean;
  /** Another operator wrote the state: this one has to begin anew. */
  readonly onConflict: () => void;
  readonly limits: { readonly syncDeadlineMs: number; readonly troubleMs: number };
  readonly lookMs: number;
  readonly idleMs: number;
}
