/** A `coordination.k8s.io/v1` Lease, as far as it says who leads. */
export interface LeaseView {
  readonly resourceVersion: string;
  readonly holder: string;
  readonly renewedAt: string;
  readonly durationSeconds: number;
  readonly transitions: number;
}

/** The lease as it was seen to change last, by the clock of this process. */
export interface LeaseMemory {
  readonly resourceVersion: string;
  readonly changedAtMs: number;
}

export type LeaseStep =
  | { readonly do: 'create' }
  /** Ours: say that we are still there. */
  | { readonly do: 'renew' }
  /** Another's, and it did not move for its whole length. */
  | { readonly do: 'take' }
  | { readonly do: 'wait' };

/**
 * Who leads. The clocks of two machines are never compared: a lease has run out when it was *seen*
 * not to change for as long as it lasts. So whoever comes anew waits once for that long.
 */
export function leaseStep(
  lease: LeaseView | null,
  me: string,
  memory: LeaseMemory | null,
  nowMs: number,
): { readonly step: LeaseStep; readonly memory: LeaseMemory | null } {
  if (lease === null) return { step: { do: 'create' }, memory: null };
  const isNews = memory?.resourceVersion !== lease.resourceVersion;
  const now = isNews ? { resourceVersion: lease.resourceVersion, changedAtMs: nowMs } : memory;
  if (lease.holder === me) return { step: { do: 'renew' }, memory: now };
  if (lease.holder === '') return { step: { do: 'take' }, memory: now };
  const hasRunOut = nowMs - now.changedAtMs >= lease.durationSeconds * 1000;
  return { step: { do: hasRunOut ? 'take' : 'wait' }, memory: now };
}

/**
 * Whether this process may still act: it stops well before another may begin, since what it sent
 * before then can arrive late.
 */
export const mayLead = (
  renewedAtMs: number | null,
  nowMs: number,
  { durationMs, marginMs }: { readonly durationMs: number; readonly marginMs: number },
): boolean => renewedAtMs !== null && nowMs - renewedAtMs < durationMs - marginMs;
