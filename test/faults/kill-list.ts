import type { ChannelIndex } from '../../src/core/release/index.js';
import { CHANNEL_PATH } from '../../src/protocol/node/index.js';
import { signDocument, type ReleaseSource } from '../support/release-source.js';

const DAY_MS = 86_400_000;

/** The signed list of one product's versions that must not run any more, as its channel index holds it. */
export class KillList {
  readonly #product: string;
  readonly #versions: string[] = [];
  /** Of the artifact of each version: that is what a node goes by. */
  readonly digests = new Map<string, string>();

  constructor(product: string) {
    this.#product = product;
  }

  get versions(): readonly string[] {
    return this.#versions;
  }

  /** Of the index that holds it; 0 while there is none. */
  get sequence(): number {
    return this.#versions.length;
  }

  has(version: string): boolean {
    return this.#versions.includes(version);
  }

  /** Serves it with one more version from now on. */
  add(source: ReleaseSource, version: string): void {
    this.#versions.push(version);
    const index: ChannelIndex = {
      schema: 'bellwether.channel.v1',
      product: this.#product,
      channel: 'stable',
      sequence: this.sequence,
      issued_at: new Date(Date.now() - DAY_MS).toISOString(),
      expires_at: new Date(Date.now() + DAY_MS).toISOString(),
      // Older than all: it stands in the way of none of the releases.
      current: { version: '0.0.1', manifest_sha256: '0'.repeat(64), sequence: 1 },
      floor: 0,
      revoked: this.#versions.map((one) => ({
        version: one,
        sha256: this.digests.get(one) ?? '',
        reason: 'it leaks',
      })),
    };
    const path = `${CHANNEL_PATH}/${this.#product}/stable`;
    source.serve(path, JSON.stringify(signDocument(index, source.key)));
  }
}
