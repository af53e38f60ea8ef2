import type { Refusal, Result } from '../../core/kernel/index.js';
import type { NodePolicy, SigstoreTrust } from '../../core/release/index.js';
import type { OutboxEvent, SetMember, SetWord } from '../../core/update/index.js';
import type { PermitRequest } from '../../protocol/node/index.js';
import type { ErrorCode } from '../../protocol/index.js';
import type { ServiceConfig, ServiceDriver } from '../supervisor/index.js';
import type { Faults } from './faults.js';
import type { Fetcher } from './fetcher.port.js';

/** What one updater stands on. */
export interface UpdaterOptions {
  readonly service: ServiceConfig;
  /** Downgrade permits may be for some nodes only. */
  readonly nodeId: string;
  readonly host: { readonly os: string; readonly arch: string };
  readonly policy: () => Promise<Result<NodePolicy, Refusal<ErrorCode>>>;
  /** The trusted root of Sigstore; null when the policy needs none. */
  readonly trust: () => Promise<SigstoreTrust | null>;
  readonly fetcher: Fetcher;
  readonly driver: ServiceDriver;
  /** Asked in place of the health check of the service, by those who are the service. */
  readonly isWell?: () => Promise<boolean>;
  /** `bootMs` goes on while the machine sleeps; leases are measured by it where it is given. */
  readonly clock: { now(): number; monotonicMs(): number; bootMs?(): number };
  /** Makes events durable in the spool; those with an id that it knows already are dropped. */
  readonly emit: (service: string, events: readonly OutboxEvent[]) => Promise<void>;
  readonly askPermit: (wanted: Omit<PermitRequest, 'type'>) => void;
  readonly faults: Faults;
  readonly log: (message: string, fields?: Record<string, unknown>) => void;
  /** The set that this service belongs to, if any. */
  readonly set?: {
    join(service: string, look: () => NonNullable<SetMember['now']>): void;
    wordTo(service: string): SetWord | undefined;
  };
  /** How often channel indexes are looked for; an hour when not given. */
  readonly indexRefreshMs?: number;
}

export type Answer =
  | { readonly ok: true; readonly isDuplicate: boolean }
  | { readonly ok: false; readonly code: ErrorCode; readonly message: string };
