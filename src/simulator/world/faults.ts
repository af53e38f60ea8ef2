import type { Chance } from './chance.js';

/** Everything that can go wrong, and how likely it is each time that it could. */
const LIKELY = {
  message_lost: 0.03,
  message_doubled: 0.04,
  message_late: 0.05,
  messages_reordered: 0.05,
  link_cut: 0.01,
  link_half_open: 0.006,
  connect_refused: 0.1,
  node_crash: 0.012,
  node_hang: 0.01,
  node_away: 0.008,
  node_echo: 0.05,
  node_garbage: 0.02,
  node_clock_wrong: 0.01,
  disk_full: 0.01,
  spool_overflow: 0.3,
  download_failed: 0.1,
  stage_failed: 0.08,
  swap_failed: 0.1,
  rollback_failed: 0.3,
  health_flaps: 0.1,
  manager_dies_in_transaction: 0.006,
  manager_dies_after_commit: 0.006,
  manager_dies_idle: 0.002,
  transaction_fails: 0.008,
  wakeup_lost: 0.2,
  wakeup_doubled: 0.1,
  wakeup_late: 0.2,
  wakeup_early: 0.1,
} as const;
/** What the simulator can break. */
export type FaultKind = keyof typeof LIKELY;
export const FAULT_KINDS = Object.keys(LIKELY) as FaultKind[];

/**
 * Which faults a world has, and how many there were. Each world has some kinds only, at an intensity
 * of its own: a world with all of them at once never gets far enough to fail in an interesting way.
 */
export class Faults {
  readonly counts = new Map<FaultKind, number>();
  readonly #chance: Chance;
  readonly #factors = new Map<FaultKind, number>();
  #isOn = true;

  constructor(chance: Chance, share: number) {
    this.#chance = chance;
    for (const kind of FAULT_KINDS) {
      if (chance.hit(share)) this.#factors.set(kind, chance.spread(0.3, 3));
    }
  }

  get isOn(): boolean {
    return this.#isOn;
  }

  get kinds(): FaultKind[] {
    return [...this.#factors.keys()];
  }

  /** From here on all goes well. */
  stop(): void {
    this.#isOn = false;
  }

  /** Whether this goes wrong now; counted when it does. */
  hit(kind: FaultKind): boolean {
    if (!this.#isOn) return false;
    const factor = this.#factors.get(kind);
    if (factor === undefined || !this.#chance.hit(LIKELY[kind] * factor)) return false;
    this.counts.set(kind, (this.counts.get(kind) ?? 0) + 1);
    return true;
  }
}
