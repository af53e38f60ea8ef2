import { Inject, Injectable } from '@nestjs/common';
import { DAY_MS, HOUR_MS, MINUTE_MS, toIso } from '../../core/kernel/index.js';
import type { Answer } from '../../protocol/api/index.js';
import { AuditLog } from '../audit/index.js';
import {
  CLOCK,
  CONFIG,
  Database,
  systemCaller,
  type Caller,
  type Clock,
  type Config,
} from '../platform/index.js';
import { meters } from '../platform/telemetry/index.js';
import { PARTIAL_KEEP_MS, type PartialUploads } from './delivery/partial-uploads.js';
import { Releases } from './releases.js';
import { neededOf } from './releases.store.js';
import type { Blobs, StoredBlob } from './store/blobs.port.js';

/** Blobs looked at in one go, so that a sweep holds nobody up. */
const BATCH = 100;
/** What one answer lists at most. */
const ANSWER_MAX = 1_000;
/** From the end of one round to the start of the next. */
const EVERY_MS = HOUR_MS;
/** A process that starts has other things to do. */
const FIRST_AFTER_MS = MINUTE_MS;

export const SHELF = Symbol('shelf');
/** Where artifacts are, whole and half. */
export interface Shelf {
  readonly blobs: Blobs;
  readonly partials: PartialUploads;
}

/**
 * Takes away artifacts that nothing needs: no draft, no published release, none that was yanked a short
 * while ago; and that were stored longer ago than the grace time, since an upload comes before
 * its manifest. Runs through the whole store bit by bit, an hour between rounds.
 */
@Injectable()
export class BlobCollector {
  /** For the sweep of the manager. */
  readonly chore = {
    what: 'artifacts that nothing needs',
    find: async (now: number) =>
      now < this.#nextAt ? [] : [{ what: 'a batch of artifacts', run: () => this.#step(now) }],
  };
  #nextAt: number;
  #after: string | null = null;
  /** What this round has seen so far. */
  #stored = { blobs: 0, bytes: 0 };

  constructor(
    private readonly database: Database,
    @Inject(SHELF) private readonly shelf: Shelf,
    private readonly releases: Releases,
    private readonly audit: AuditLog,
    @Inject(CONFIG) private readonly config: Pick<Config, 'blobGraceHours' | 'yankedKeepDays'>,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {
    this.#nextAt = this.clock.now() + FIRST_AFTER_MS;
  }

  /**
   * Looks through the whole store at once and removes what nothing needs, or only says what that is. At
   * most a thousand at a time. Writes one audit entry when it removed something.
   */
  async collect(dryRun: boolean, caller: Caller): Promise<Answer<'releases.collect'>> {
    const found: StoredBlob[] = [];
    let more = false;
    for (let after: string | null = null; !more;) {
      const page: readonly StoredBlob[] = await this.shelf.blobs.list(after, BATCH);
      found.push(...(await this.#unneeded(page)));
      more = found.length > ANSWER_MAX;
      after = page.at(-1)?.sha256 ?? null;
      if (page.length < BATCH) break;
    }
    const listed = found.slice(0, ANSWER_MAX);
    const gone = dryRun ? listed : await this.#remove(listed, caller);
    return {
      dry_run: dryRun,
      blobs: gone.map(({ sha256, size, storedAt }) => ({
        sha256,
        size,
        stored_at: toIso(storedAt),
      })),
      bytes: gone.reduce((sum, { size }) => sum + size, 0),
      more,
    };
  }

  async #step(now: number): Promise<void> {
    if (this.#after === null) {
      await this.shelf.partials.tidy(now - PARTIAL_KEEP_MS);
      await this.shelf.blobs.tidy(now - PARTIAL_KEEP_MS);
    }
    const page = await this.shelf.blobs.list(this.#after, BATCH);
    this.#tally(page);
    await this.#remove(await this.#unneeded(page), systemCaller('releases'));
    const last = page.length < BATCH ? undefined : page.at(-1);
    this.#after = last?.sha256 ?? null;
    if (this.#after !== null) return;
    this.#nextAt = now + EVERY_MS;
    meters.set('bellwether_blob_store_blobs', this.#stored.blobs);
    meters.set('bellwether_blob_store_bytes', this.#stored.bytes);
    this.#stored = { blobs: 0, bytes: 0 };
  }

  #tally(page: readonly StoredBlob[]): void {
    this.#stored.blobs += page.length;
    for (const { size } of page) this.#stored.bytes += size;
  }

  async #unneeded(page: readonly StoredBlob[]): Promise<StoredBlob[]> {
    const now = this.clock.now();
    const old = page.filter(
      ({ storedAt }) => storedAt < now - this.config.blobGraceHours * HOUR_MS,
    );
    const { yankedKeepDays: days } = this.config;
    // A yanked one counts while it was yanked after this; with no limit, always.
    const yankedAfter = days === null ? -1 : now - days * DAY_MS;
    const needed = await neededOf(
      this.database.read,
      old.map(({ sha256 }) => sha256),
      yankedAfter,
    );
    return old.filter(({ sha256 }) => !needed.has(sha256));
  }

  /** Each is asked about again while nobody publishes: an upload may have made it new. */
  async #remove(blobs: readonly StoredBlob[], caller: Caller): Promise<StoredBlob[]> {
    const gone: StoredBlob[] = [];
    for (const blob of blobs) {
      await this.releases.exclusively(async () => {
        const now = await this.shelf.blobs.find(blob.sha256);
        if (now === null || (await this.#unneeded([now])).length === 0) return;
        if (await this.shelf.blobs.remove(blob.sha256)) gone.push(blob);
      });
    }
    if (gone.length > 0) await this.#record(gone, caller);
    return gone;
  }

  async #record(gone: readonly StoredBlob[], caller: Caller): Promise<void> {
    const bytes = gone.reduce((sum, { size }) => sum + size, 0);
    await this.database.transaction((tx) =>
      this.audit.append(tx, {
        caller,
        action: 'release.collect',
        targetKind: 'store',
        targetId: 'artifacts',
        groupId: null,
        outcome: 'allowed',
        details: { count: gone.length, bytes, sha256: gone.slice(0, 100).map((one) => one.sha256) },
      }),
    );
  }
}
