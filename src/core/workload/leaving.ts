/** A deletion by hand, a chart that goes: so few at once are nothing out of the way. */
export const FEW = 3;

/** How long a workload has to be gone before its node goes. */
export interface LeavingTimes {
  readonly graceMs: number;
  /** Where most of a cluster seems to be gone at once. */
  readonly manyGraceMs: number;
}

/**
 * How much longer the node of a workload is kept that has been gone for `goneMs`; 0: it goes now. When more than half
 * of all seem to be gone (and more than a few), an API server that is restored, or wrong, is as likely as people
 * who deleted them: then it has to last.
 */
export function keptForMs(
  goneMs: number,
  { gone, known }: { readonly gone: number; readonly known: number },
  { graceMs, manyGraceMs }: LeavingTimes,
): number {
  const isMost = gone > FEW && gone * 2 > known;
  const needMs = isMost ? Math.max(graceMs, manyGraceMs) : graceMs;
  return Math.max(0, needMs - goneMs);
}
