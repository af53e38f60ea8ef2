import { ok, refuse, type Refusal, type Result } from '../kernel/index.js';
import type { Checkpoint } from './checkpoint.js';
import { verifyConsistency } from './proofs.js';

type HistoryErrorCode = 'audit_history_forked' | 'audit_proof_missing';

/**
 * Whether two checkpoints tell one history. Those of one size must have one root; of two sizes the
 * larger must hold the smaller, which only a proof can show (null when nobody gave one). Both must
 * be of one log and their signatures must have been checked: then `audit_history_forked` is proof
 * that whoever has the key signed two histories.
 */
export function compareHistories(
  one: Checkpoint,
  other: Checkpoint,
  proof: readonly Uint8Array[] | null,
): Result<void, Refusal<HistoryErrorCode>> {
  const [earlier, later] = one.size <= other.size ? [one, other] : [other, one];
  if (earlier.origin !== later.origin) {
    return refuse('audit_history_forked', `they are of two logs: ${one.origin}, ${other.origin}`);
  }
  if (earlier.size === later.size) {
    return earlier.root.equals(later.root)
      ? ok(undefined)
      : refuse('audit_history_forked', `two roots for the first ${one.size} entries`);
  }
  if (proof === null && earlier.size > 0) {
    return refuse('audit_proof_missing', `no proof from ${earlier.size} to ${later.size}`);
  }
  const checked = verifyConsistency(earlier, later, proof ?? []);
  if (checked.ok) return checked;
  return refuse(
    'audit_history_forked',
    `the log of ${later.size} does not hold that of ${earlier.size}: ${checked.error}`,
  );
}
