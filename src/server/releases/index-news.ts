import { Injectable, type OnApplicationBootstrap } from '@nestjs/common';
import { Links } from '../gateway/index.js';
import { Documents } from './documents.js';

/**
 * Tells the nodes of this process when a channel has a newer index. Looked for and not announced, so
 * that it does not matter which manager took the index in: each tells its own nodes, seconds later.
 * A node that is away finds the index when it comes back; nothing is repeated.
 */
@Injectable()
export class IndexNews implements OnApplicationBootstrap {
  /** For the sweep of the manager. */
  readonly chore = {
    what: 'newer indexes of channels',
    find: async () => {
      await this.#look();
      return [];
    },
  };
  /** Null before the first look: what was there then is nobody's news. */
  #known: ReadonlyMap<string, number> | null = null;

  constructor(
    private readonly documents: Documents,
    private readonly links: Links,
  ) {}

  onApplicationBootstrap(): Promise<void> {
    return this.#look();
  }

  async #look(): Promise<void> {
    const before = this.#known;
    const known = new Map<string, number>();
    for (const { product, channel, sequence } of await this.documents.newestIndexes()) {
      const key = `${product} ${channel}`;
      known.set(key, sequence);
      if (before === null || sequence <= (before.get(key) ?? -1)) continue;
      for (const session of this.links.sessions()) {
        session.push({ type: 'index_news', product, channel });
      }
    }
    this.#known = known;
  }
}
