import { FleetError } from '../../core/kernel/index.js';
import {
  hasExpired,
  judgeIndex,
  revocationOf,
  trustedIndexes,
  type Channel,
  type IndexMemory,
  type Indexes,
  type NodePolicy,
  type Revocation,
  type SignedDocument,
  type SigstoreTrust,
} from '../../core/release/index.js';
import type { IndexInput, UpdateState } from '../../core/update/index.js';
import type { Fetcher } from './fetcher.port.js';
import type { InstallRoot } from './install-root.js';
import type { UpdaterOptions } from './updater-options.js';

/** How often the indexes are looked for, give or take a quarter. */
const REFRESH_MS = 3_600_000;
/** After a link opened: nodes that came back together do not ask together. */
const FIRST_REFRESH_MS_MAX = 30_000;
/** After news of one: 6 to 30 seconds, as a part of the hour, so that a fleet does not ask at once. */
const NEWS_PART = 120;
/** For one index, retries of the fetcher over several sources included. */
const REFRESH_TIMEOUT_MS = 120_000;

const EXPIRED = 'upgrade_index_expired';

interface Parts extends Pick<UpdaterOptions, 'fetcher' | 'clock' | 'log' | 'trust'> {
  readonly service: { readonly name: string; readonly product: string };
  readonly root: Pick<InstallRoot, 'linked'>;
  readonly refreshMs: number | undefined;
  /** What is known now, durable or about to be. */
  readonly state: () => UpdateState;
  readonly policy: () => NodePolicy | null;
  readonly readPolicy: () => Promise<NodePolicy | null>;
  readonly take: (input: IndexInput) => Promise<void>;
}

/**
 * The signed indexes of the channels of one service: fetches them with each release and now and
 * then, keeps the newest in the state of the updater, and answers what they revoke. What is refused
 * is told once, and changes nothing; so does whatever cannot be fetched.
 */
export class Channels {
  readonly #parts: Parts;
  readonly #refusalsTold = new Map<Channel, string>();
  readonly #stopping = new AbortController();
  #timer: NodeJS.Timeout | null = null;
  #isLooking = false;
  #hasNews = false;
  #refreshing: Promise<void> = Promise.resolve();

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** Those that count under the policy of this moment. */
  get trusted(): Indexes {
    return trustedIndexes(this.#parts.policy(), this.#parts.state().indexes ?? {});
  }

  /** Why what `current` leads to must not run, or null. */
  async revocationOfCurrent(): Promise<Revocation | null> {
    const version = await this.#parts.root.linked('current');
    return version === null ? null : this.revocationOf(version);
  }

  revocationOf(version: string): Revocation | null {
    const { current, previous, job } = this.#parts.state();
    const installed = [current, previous, job?.from].find((one) => one?.version === version);
    const staged = job?.version === version ? job.artifact?.sha256 : undefined;
    // What was just staged under a version is what lies there, whatever was installed of it before.
    const sha256 = staged ?? installed?.sha256 ?? null;
    return revocationOf(this.trusted, { version, sha256 });
  }

  /** The link is open: looks soon, and from then on every hour. Idempotent. */
  linked(): void {
    if (this.#timer !== null) return;
    const { refreshMs = REFRESH_MS } = this.#parts;
    this.#wait(Math.min(FIRST_REFRESH_MS_MAX, refreshMs) * Math.random());
  }

  /**
   * There may be newer ones: looks in half a minute at the latest, and not sooner than some seconds
   * after it was said, so that however often somebody says it no more than that is asked.
   */
  news(): void {
    // Before the first link there is nothing to bring forward: the first look comes by itself.
    if (this.#timer === null || this.#hasNews) return;
    this.#hasNews = true;
    if (this.#isLooking) return;
    clearTimeout(this.#timer);
    this.#wait(this.#nextMs());
  }

  /** A person on the node asks: looks at once, if that is not being done. */
  now(): void {
    if (this.#isLooking) return;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#wait(0);
  }

  /** Resolves when nothing is being fetched any more. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    if (this.#timer !== null) clearTimeout(this.#timer);
    await this.#refreshing;
  }

  /** Looks for the index of one channel, by `fetcher` when it is given. Rejects only when what came cannot be made durable. */
  async refresh(
    channel: Channel,
    {
      policy,
      trust,
      sources,
      signal,
      fetcher = this.#parts.fetcher,
    }: {
      policy: NodePolicy;
      trust: SigstoreTrust | null;
      sources: readonly string[];
      signal: AbortSignal;
      fetcher?: Fetcher;
    },
  ): Promise<void> {
    const { service, state, take, clock } = this.#parts;
    const { product } = service;
    const name = { kind: 'channel', product, channel } as const;
    const newest: { known: IndexMemory | null; found: IndexMemory | null } = {
      known: trustedIndexes(policy, state().indexes ?? {})[channel] ?? null,
      found: null,
    };
    const accept = (signed: SignedDocument): void => {
      const judged = judgeIndex(signed, {
        policy,
        trust,
        product,
        channel,
        known: newest.found ?? newest.known,
      });
      if (!judged.ok) throw new FleetError(judged.error.code, judged.error.message);
      newest.found = judged.value;
      // It counts, but another source may have a newer one.
      if (hasExpired(newest.found, clock.now())) throw new FleetError(EXPIRED, 'it has expired');
    };
    try {
      await fetcher.fetchDocument({ name, sources, signal, accept });
      this.#refusalsTold.delete(channel);
    } catch (error) {
      if (!(error instanceof FleetError)) throw error;
      await this.#refused(channel, error);
    }
    const { found: index } = newest;
    if (index !== null) await take({ type: 'index_seen', channel, index });
    const counts = this.trusted[channel];
    if (counts !== undefined && hasExpired(counts, clock.now())) {
      await take({ type: 'index_expired', channel });
    }
  }

  async #refused(channel: Channel, { code, message }: FleetError): Promise<void> {
    const { log, service, take } = this.#parts;
    log('a channel index was not taken', { service: service.name, channel, error_code: code });
    const said = `${code} ${message}`;
    // That an index has expired is told by itself; that a source is away is no news.
    const isQuiet = code === 'upgrade_network_error' || code === EXPIRED;
    const isNews = !isQuiet && this.#refusalsTold.get(channel) !== said;
    if (!isNews) return;
    this.#refusalsTold.set(channel, said);
    await take({ type: 'index_refused', channel, code, message });
  }

  #wait(ms: number): void {
    if (this.#stopping.signal.aborted) return;
    this.#timer = setTimeout(() => {
      [this.#isLooking, this.#hasNews] = [true, false];
      this.#refreshing = this.#refreshAll().finally(() => {
        this.#isLooking = false;
        this.#wait(this.#nextMs());
      });
    }, ms);
  }

  #nextMs(): number {
    const { refreshMs = REFRESH_MS } = this.#parts;
    return this.#hasNews
      ? (refreshMs / NEWS_PART) * (0.2 + 0.8 * Math.random())
      : refreshMs * (0.75 + Math.random() / 2);
  }

  async #refreshAll(): Promise<void> {
    const { readPolicy, trust: readTrust, log, service } = this.#parts;
    try {
      const policy = await readPolicy();
      if (policy === null || !policy.enabled) return;
      const trust = await readTrust();
      for (const channel of policy.allowed_channels) {
        const signal = AbortSignal.any([
          this.#stopping.signal,
          AbortSignal.timeout(REFRESH_TIMEOUT_MS),
        ]);
        await this.refresh(channel, { policy, trust, sources: [], signal });
      }
    } catch (error) {
      log('channel indexes cannot be kept', { service: service.name, error: String(error) });
    }
  }
}
