import { FleetError } from '../../core/kernel/index.js';
import {
  hasExpired,
  judgeIndex,
  judgeOrigin,
  trustedIndexes,
  type Channel,
  type IndexMemory,
  type Indexes,
  type Manifest,
  type NodePolicy,
  type SignedDocument,
  type SigstoreTrust,
} from '../../core/release/index.js';
import type { WorkloadName } from '../../core/workload/index.js';
import type { Fetcher, Log } from '../../agent/parts/index.js';
import type { Callers } from './callers.js';
import {
  IMAGES_MAX,
  noStatements,
  type FetchedText,
  type ImageStatements,
  type Statements,
  type StatementStore,
} from './statements.js';

/** One look at the manager, whoever still waits for it. */
const REFRESH_MS = 20_000;
/** After a look that failed nobody looks again so soon: what is known is used meanwhile. */
const PAUSE_MS = 2_000;
/** That nobody knows an image is believed for less long: somebody may just be publishing it. */
const UNKNOWN_MS = 5_000;
/** More products than a cluster has. */
const PRODUCTS_MAX = 256;

export interface Trust {
  readonly policy: NodePolicy;
  readonly trust: SigstoreTrust | null;
}

export interface BookOptions {
  readonly callers: Callers;
  readonly store: StatementStore;
  readonly others: () => Iterable<WorkloadName>;
  readonly trust: () => Promise<Trust>;
  readonly freshMs: number;
  readonly staleMs: number;
  readonly clock: { now(): number };
  readonly log: Log;
}

/** What is known of an image under the policy of now. */
export interface Known {
  readonly releases: readonly { readonly manifest: Manifest; readonly bytes: Uint8Array }[];
  /** Why releases that name it do not count; the first of them. */
  readonly refusal: { readonly code: string; readonly message: string } | null;
  /** Verified, whether or not the policy still lists who signed. */
  readonly indexes: Indexes;
}

interface Product {
  statements: Statements;
  indexes: Indexes;
  savedAtMs: number;
}

/**
 * Which signed releases name an image, and what the channels of its product revoke. Asks the manager, which
 * can only take away: what it hands out counts when it is signed as the policy of the cluster wants.
 * What was learnt is used for `freshMs`, and for `staleMs` while the manager is away.
 */
export class ReleaseBook {
  readonly #options: BookOptions;
  readonly #products = new Map<string, Promise<Product>>();
  readonly #looking = new Map<string, Promise<void>>();
  readonly #failed = new Map<string, { readonly atMs: number; readonly why: string }>();
  readonly #stopping = new AbortController();

  constructor(options: BookOptions) {
    this.#options = options;
  }

  /** Throws `admission_undecided` when nothing is known that is fresh enough; KubeError. */
  async find(of: WorkloadName, product: string, sha256: string, waitMs: number): Promise<Known> {
    const book = await this.#product(product);
    if (!this.#isFresh(book, sha256)) {
      const looking = this.#look(of, book, sha256);
      await sooner(looking, this.#age(book, sha256) === null ? waitMs : Math.min(waitMs, 2_000));
    }
    const ageMs = this.#age(book, sha256);
    if (ageMs === null || ageMs > this.#options.staleMs) {
      const why =
        this.#failed.get(keyFor(product, sha256))?.why ?? 'the manager has not answered yet';
      throw new FleetError('admission_undecided', `sha256:${sha256} of ${product}: ${why}`);
    }
    return this.#judged(book, sha256);
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await Promise.all(this.#looking.values());
  }

  #isFresh(book: Product, sha256: string): boolean {
    const ageMs = this.#age(book, sha256);
    const isUnknown = book.statements.images[sha256]?.releases.length === 0;
    const { freshMs } = this.#options;
    return ageMs !== null && ageMs <= (isUnknown ? Math.min(UNKNOWN_MS, freshMs) : freshMs);
  }

  /** Of the older of both: what the manager said of the image, and the channel indexes. Null: unknown. */
  #age({ statements }: Product, sha256: string): number | null {
    const askedAtMs = statements.images[sha256]?.asked_at_ms;
    if (askedAtMs === undefined) return null;
    const nowMs = this.#options.clock.now();
    // A clock that was turned back makes nothing young.
    return Math.abs(nowMs - Math.min(askedAtMs, statements.indexes_at_ms));
  }

  async #judged({ statements, indexes }: Product, sha256: string): Promise<Known> {
    const { policy, trust } = await this.#options.trust();
    const releases: Known['releases'][number][] = [];
    let refusal: Known['refusal'] = null;
    for (const text of statements.images[sha256]?.releases ?? []) {
      const signed = signedOf(text);
      const { product } = statements;
      const { version, channel } = text;
      const judged = judgeOrigin(signed, { policy, trust, request: { product, version, channel } });
      if (judged.ok) releases.push({ manifest: judged.value, bytes: signed.manifest });
      else refusal ??= judged.error;
    }
    return { releases, refusal, indexes };
  }

  #product(product: string): Promise<Product> {
    const known = this.#products.get(product);
    if (known !== undefined) return known;
    if (this.#products.size >= PRODUCTS_MAX) this.#products.clear();
    const loading = this.#load(product);
    this.#products.set(product, loading);
    loading.catch(() => this.#products.delete(product));
    return loading;
  }

  async #load(product: string): Promise<Product> {
    const statements = await this.#options.store.read(product);
    const asked = await this.#options.trust();
    const indexes: Partial<Record<Channel, IndexMemory>> = {};
    for (const [channel, signed] of Object.entries(statements.indexes)) {
      const about = { ...asked, product, channel: channel as Channel, known: null };
      const judged = judgeIndex(signed, about);
      if (judged.ok) indexes[channel as Channel] = judged.value;
    }
    return { statements, indexes, savedAtMs: this.#options.clock.now() };
  }

  /** One look at a time for one image; resolves when it is over, however it went. */
  #look(of: WorkloadName, book: Product, sha256: string): Promise<void> {
    const key = keyFor(book.statements.product, sha256);
    const running = this.#looking.get(key);
    if (running !== undefined) return running;
    const failed = this.#failed.get(key);
    if (failed !== undefined && performance.now() - failed.atMs < PAUSE_MS) {
      return Promise.resolve();
    }
    const signal = AbortSignal.any([this.#stopping.signal, AbortSignal.timeout(REFRESH_MS)]);
    const looking = this.#refresh(of, book, sha256, signal)
      .then(() => {
        this.#failed.delete(key);
      })
      .catch((error: unknown) => {
        const why = error instanceof Error ? error.message : String(error);
        if (this.#failed.size > PRODUCTS_MAX) this.#failed.clear();
        this.#failed.set(key, { atMs: performance.now(), why });
        this.#options.log('an image cannot be looked up', { image: key, error: why });
      })
      .finally(() => this.#looking.delete(key));
    this.#looking.set(key, looking);
    return looking;
  }

  async #refresh(
    of: WorkloadName,
    book: Product,
    sha256: string,
    signal: AbortSignal,
  ): Promise<void> {
    const { callers, others, clock, freshMs } = this.#options;
    const trust = await this.#options.trust();
    const { product } = book.statements;
    const { identity, fetcher } = await callers.for(of, others());
    const askedAtMs = clock.now();
    const indexesBefore = book.indexes;
    if (Math.abs(askedAtMs - book.statements.indexes_at_ms) > freshMs / 2) {
      await this.#refreshIndexes(book, fetcher, trust, signal);
      book.statements.indexes_at_ms = askedAtMs;
    }
    const hints = await callers.hints(identity, { product, sha256 }, signal);
    const releases: FetchedText[] = [];
    let failure: unknown = null;
    for (const { version, channel } of hints) {
      try {
        const found = await fetcher.fetchRelease({
          product,
          version,
          channel,
          sources: [],
          signal,
        });
        const manifest = Buffer.from(found.manifest).toString('utf8');
        releases.push({ version, channel, manifest, signatures: [...found.signatures] });
      } catch (error) {
        failure ??= error;
      }
    }
    // One that was yanked between two questions is no failure; nothing at all is.
    if (releases.length === 0 && failure !== null) throw failure as Error;
    const isIndexNews = digestsOf(indexesBefore) !== digestsOf(book.indexes);
    await this.#keep(book, sha256, { asked_at_ms: askedAtMs, releases }, isIndexNews);
  }

  /** Throws whatever kept an index from being believed: then what is known ages. */
  async #refreshIndexes(
    book: Product,
    fetcher: Fetcher,
    { policy, trust }: Trust,
    signal: AbortSignal,
  ): Promise<void> {
    const { product } = book.statements;
    for (const channel of policy.allowed_channels) {
      const accept = (signed: SignedDocument): void => {
        // What only a key said that is listed no more does not hold up a newer one.
        const known = trustedIndexes(policy, book.indexes)[channel] ?? null;
        const judged = judgeIndex(signed, { policy, trust, product, channel, known });
        if (!judged.ok) throw new FleetError(judged.error.code, judged.error.message);
        book.indexes = { ...book.indexes, [channel]: judged.value };
        book.statements.indexes = { ...book.statements.indexes, [channel]: signed };
        // It counts; another source may have one that is not over.
        if (!hasExpired(judged.value, this.#options.clock.now())) return;
        throw new FleetError('upgrade_index_expired', `the index of ${channel} has expired`);
      };
      try {
        const name = { kind: 'channel', product, channel } as const;
        await fetcher.fetchDocument({ name, sources: [], signal, accept });
      } catch (error) {
        const isOver = error instanceof FleetError && error.code === 'upgrade_index_expired';
        if (!isOver) throw error;
      }
    }
  }

  async #keep(
    book: Product,
    sha256: string,
    now: ImageStatements,
    isIndexNews: boolean,
  ): Promise<void> {
    const { images } = book.statements;
    const before = images[sha256];
    images[sha256] = now;
    const newest = Object.entries(images).sort(([, a], [, b]) => b.asked_at_ms - a.asked_at_ms);
    book.statements.images = Object.fromEntries(newest.slice(0, IMAGES_MAX));
    const nowMs = this.#options.clock.now();
    // That it was said again is written now and then: what is known has to outlive a restart.
    const textOf = (image: ImageStatements | undefined) => JSON.stringify(image?.releases ?? []);
    const isNews = isIndexNews || textOf(before) !== textOf(now);
    if (!isNews && nowMs - book.savedAtMs < this.#options.staleMs / 8) return;
    book.savedAtMs = nowMs;
    const { product } = book.statements;
    try {
      await this.#options.store.write(product, (there) => merged(there, book));
    } catch (error) {
      this.#options.log('what was verified cannot be kept', { product, error: String(error) });
    }
  }
}

/** Of each channel the index with the higher sequence, of each image what was asked for last. */
function merged(there: Statements, { statements, indexes }: Product): Statements {
  const result = noStatements(statements.product);
  const sequenceOf = (signed: SignedDocument | undefined): number => {
    try {
      const { sequence } = JSON.parse(signed?.document ?? '{}') as { sequence?: unknown };
      return typeof sequence === 'number' ? sequence : 0;
    } catch {
      return 0;
    }
  };
  for (const channel of ['stable', 'beta', 'dev'] as const) {
    const own = statements.indexes[channel];
    const other = there.indexes[channel];
    const isOtherNewer = sequenceOf(other) > (indexes[channel]?.sequence ?? 0);
    const chosen = isOtherNewer ? other : own;
    if (chosen !== undefined) result.indexes[channel] = chosen;
  }
  result.indexes_at_ms = Math.max(there.indexes_at_ms, statements.indexes_at_ms);
  result.images = { ...there.images };
  for (const [sha256, image] of Object.entries(statements.images)) {
    const other = result.images[sha256];
    if (other === undefined || other.asked_at_ms < image.asked_at_ms) result.images[sha256] = image;
  }
  return result;
}

const digestsOf = (indexes: Indexes): string =>
  Object.values(indexes)
    .map(({ digest }) => digest)
    .sort()
    .join();

const keyFor = (product: string, sha256: string): string => `${product} ${sha256}`;

const signedOf = ({ manifest, signatures }: FetchedText) => ({
  manifest: new TextEncoder().encode(manifest),
  signatures,
});

/** Whichever is first: the end of the work, or of the time. */
async function sooner(work: Promise<void>, waitMs: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, Math.max(0, waitMs));
  });
  await Promise.race([work, late]);
  clearTimeout(timer);
}
