import {
  lineMax,
  lowered,
  nextSlot,
  PACE_START,
  paceAfter,
  perSecond,
  rankOf,
  SLOT_MS_MAX,
  SLOT_MS_MIN,
  WAIT_MS_MAX,
  type Pace,
  type Urgency,
} from './storm-rule.js';

/** Nodes whose slots are remembered, at some 150 bytes; beyond it the oldest lose their seniority, nothing else. */
const SLOTS_MAX = 100_000;
/** A node comes back within its slot, and its own jitter. Whoever is later begins anew. */
const FORGET_MS = 2 * SLOT_MS_MAX;

interface Slot {
  readonly firstSeenMs: number;
  readonly atMs: number;
}

/** Somebody in the line. `Guest` is what the shell holds for it. */
interface Waiting<Guest> {
  readonly nodeId: string;
  readonly guest: Guest;
  readonly firstSeenMs: number;
  readonly sinceMs: number;
  readonly rank: number;
}

export type Verdict<Guest> =
  | { readonly is: 'in' }
  /** `out` had to give way to it. */
  | { readonly is: 'waits'; readonly out: Refused<Guest> | null }
  | { readonly is: 'out'; readonly retryAfterMs: number };

export interface Refused<Guest> {
  readonly guest: Guest;
  readonly retryAfterMs: number;
}

export interface QueueState {
  readonly underWay: number;
  readonly limit: number;
  readonly waiting: number;
  readonly perSecond: number;
}

/**
 * Who is let in now, who waits, and when the rest is to come back. Deterministic: the clock is an argument. Ids are
 * what the caller claims and has not proven: they give a place in a line, and nothing else.
 *
 * Nobody starves: the place goes by when a node was first seen, which it keeps while it comes back at its slots; an
 * urgent one counts as earlier by a bounded time only. Bounded: one place in the line a node, `lineMax` in all.
 */
export class AcceptQueue<Guest> {
  #pace: Pace = PACE_START;
  #underWay = 0;
  /** Best first. */
  #line: Waiting<Guest>[] = [];
  readonly #slots = new Map<string, Slot>();
  #nextSlotAtMs = 0;

  state(): QueueState {
    const limit = Math.floor(this.#pace.limit);
    const rate = Math.round(perSecond(this.#pace));
    return { underWay: this.#underWay, limit, waiting: this.#line.length, perSecond: rate };
  }

  /** Whether whoever comes now is let in at once: then nobody needs to know who it is. */
  get hasRoom(): boolean {
    return this.#line.length === 0 && this.#underWay < Math.floor(this.#pace.limit);
  }

  /** Takes a place that `hasRoom` told of. */
  enter(): void {
    this.#underWay += 1;
  }

  /** Somebody came, and says that it is this node. */
  knock(nodeId: string, guest: Guest, urgency: Urgency, nowMs: number): Verdict<Guest> {
    if (this.hasRoom) {
      this.enter();
      this.#slots.delete(nodeId);
      return { is: 'in' };
    }
    const slot = this.#slotOf(nodeId, nowMs);
    const isEarly = slot !== null && slot.atMs - nowMs > SLOT_MS_MIN && urgency === null;
    const isHereAlready = this.#line.some((one) => one.nodeId === nodeId);
    if (isEarly || isHereAlready) {
      const retryAfterMs = Math.max(SLOT_MS_MIN, (slot?.atMs ?? 0) - nowMs);
      return { is: 'out', retryAfterMs };
    }
    const firstSeenMs = slot?.firstSeenMs ?? nowMs;
    const rank = rankOf(firstSeenMs, urgency);
    const one = { nodeId, guest, firstSeenMs, sinceMs: nowMs, rank };
    const last = this.#line.at(-1);
    if (this.#line.length < lineMax(this.#pace)) {
      this.#queue(one);
      return { is: 'waits', out: null };
    }
    if (last === undefined || rank >= last.rank) {
      return { is: 'out', retryAfterMs: this.#giveSlot(one, urgency, nowMs) };
    }
    this.#line.pop();
    this.#queue(one);
    const retryAfterMs = this.#giveSlot(last, null, nowMs);
    return { is: 'waits', out: { guest: last.guest, retryAfterMs } };
  }

  /** An arrival is over; null when it came to nothing, which says nothing about the pace. */
  left(took: { readonly workedMs: number; readonly heldMs: number } | null, nowMs: number): void {
    const wasFull = this.#underWay >= Math.floor(this.#pace.limit);
    this.#underWay -= 1;
    if (took !== null) this.#pace = paceAfter(this.#pace, { ...took, wasFull }, nowMs);
  }

  /** The event loop or the database is behind. */
  slower(nowMs: number): void {
    this.#pace = lowered(this.#pace, nowMs);
  }

  /** Whose turn it is now; they are under way from here on. */
  admit(): Guest[] {
    const room = Math.max(0, Math.floor(this.#pace.limit) - this.#underWay);
    const next = this.#line.splice(0, room);
    this.#underWay += next.length;
    for (const { nodeId } of next) this.#slots.delete(nodeId);
    return next.map(({ guest }) => guest);
  }

  /** Who has waited for too long, and is to come back. */
  expire(nowMs: number): Refused<Guest>[] {
    const late = this.#line.filter(({ sinceMs }) => nowMs - sinceMs >= WAIT_MS_MAX);
    if (late.length === 0) return [];
    this.#line = this.#line.filter(({ sinceMs }) => nowMs - sinceMs < WAIT_MS_MAX);
    return late.map((one) => ({
      guest: one.guest,
      retryAfterMs: this.#giveSlot(one, null, nowMs),
    }));
  }

  /** It has hung up. It may come back as if it had not been here. */
  gone(guest: Guest): void {
    this.#line = this.#line.filter((one) => one.guest !== guest);
  }

  #queue(one: Waiting<Guest>): void {
    const at = this.#line.findIndex(({ rank }) => rank > one.rank);
    this.#line.splice(at < 0 ? this.#line.length : at, 0, one);
  }

  #slotOf(nodeId: string, nowMs: number): Slot | null {
    const slot = this.#slots.get(nodeId);
    return slot === undefined || nowMs - slot.atMs > FORGET_MS ? null : slot;
  }

  #giveSlot(
    { nodeId, firstSeenMs }: Pick<Waiting<Guest>, 'nodeId' | 'firstSeenMs'>,
    urgency: Urgency,
    nowMs: number,
  ): number {
    // Urgent ones stand before the line, which moves within seconds.
    const { atMs, nextAtMs } =
      urgency === null
        ? nextSlot(this.#nextSlotAtMs, nowMs, this.#pace)
        : { atMs: nowMs + SLOT_MS_MIN, nextAtMs: this.#nextSlotAtMs };
    this.#nextSlotAtMs = nextAtMs;
    this.#slots.delete(nodeId);
    this.#slots.set(nodeId, { firstSeenMs, atMs });
    for (const [old, slot] of this.#slots) {
      if (this.#slots.size <= SLOTS_MAX && nowMs - slot.atMs <= FORGET_MS) break;
      this.#slots.delete(old);
    }
    return atMs - nowMs;
  }
}
