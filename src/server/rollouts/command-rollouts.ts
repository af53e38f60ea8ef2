import type { Sql } from '../platform/index.js';
import { rolloutsOfCommands } from './tables/commands.store.js';

/** Some MB of ids: more than the commands that are open on one manager. */
const KEPT_MAX = 50_000;

/**
 * Which rollout a command is of. That never changes, so whatever was read once is kept: nodes that ask for
 * permits and tell how far they are name the same few commands again and again.
 */
export class CommandRollouts {
  readonly #known = new Map<string, string>();

  /** Without asking the database; null: not read yet. */
  known(id: string): string | null {
    return this.#known.get(id) ?? null;
  }

  /** By command; unknown ones are left out. */
  async of(sql: Sql, ids: readonly string[]): Promise<ReadonlyMap<string, string>> {
    const found = new Map<string, string>();
    const unread: string[] = [];
    for (const id of ids) {
      const rollout = this.#known.get(id);
      if (rollout === undefined) unread.push(id);
      else found.set(id, rollout);
    }
    if (unread.length === 0) return found;
    for (const [id, rollout] of await rolloutsOfCommands(sql, unread)) {
      found.set(id, rollout);
      this.#keep(id, rollout);
    }
    return found;
  }

  #keep(id: string, rollout: string): void {
    this.#known.set(id, rollout);
    if (this.#known.size <= KEPT_MAX) return;
    const [oldest] = this.#known.keys();
    if (oldest !== undefined) this.#known.delete(oldest);
  }
}
