/** A node that is denied asks again at least this often: circumstances can change at any time. */
export const RETRY_MS_MAX = 60_000;
/** Each question of a rollout's nodes costs some ms of what all of them wait for; what is more than can be answered is sent back for nothing. */
const ASKS_PER_SECOND = 200;

/**
 * When nodes that were denied their permit ask again: one after the other, each rollout's for themselves. Thousands that are
 * all told half a minute come all together after half a minute, and until then nobody does.
 */
export class AskSlots {
  /** The slot that was given last, by rollout; epoch ms. */
  readonly #last = new Map<string, number>();

  /** In ms from `now`, `pauseMs` at least and a minute at the most. A clock that was set gives slots anew. */
  next(rolloutId: string, now: number, pauseMs: number): number {
    for (const [id, at] of this.#last) {
      if (at < now || at > now + RETRY_MS_MAX) this.#last.delete(id);
    }
    const free = (this.#last.get(rolloutId) ?? 0) + 1_000 / ASKS_PER_SECOND;
    const at = Math.ceil(Math.min(now + RETRY_MS_MAX, Math.max(now + pauseMs, free)));
    this.#last.set(rolloutId, at);
    return at - now;
  }
}
