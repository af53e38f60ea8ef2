import { Inject, Injectable } from '@nestjs/common';
import { FleetError, SECOND_MS } from '../../core/kernel/index.js';
import type { Answer } from '../../protocol/api/index.js';
import { RELEASE_PATH, type FindQuery } from '../../protocol/node/index.js';
import type { z } from 'zod';
import { Groups } from '../access/index.js';
import { TokenBucket } from '../gateway/index.js';
import { CLOCK, CONFIG, Database, type Clock, type Config } from '../platform/index.js';
import { Releases } from '../releases/index.js';
import { newestProven } from '../rollouts/index.js';

/** How old an answer may be, here and in a cache in front. */
export const FRESH_MS = 60 * SECOND_MS;
/** Answers that are kept: products by groups. The oldest goes. */
const ANSWERS_MAX = 1_000;
/** A hall of machines that is installed at once comes from one address. */
export const ASKS_BURST_MAX = 50;
const ASKS_PER_SECOND = 5;
/** From everybody together, of what is not kept: each costs three reads of the database. */
const LOOKS_BURST_MAX = 50;
const LOOKS_PER_SECOND = 20;
/** Addresses remembered; beyond it the oldest are forgotten, which only forgives them. */
const ADDRESSES_MAX = 10_000;

type Query = z.infer<typeof FindQuery>;
type Found = Answer<'releases.find'>;

interface Kept {
  /** Null: there is none. */
  readonly found: Found | null;
  readonly untilMs: number;
}

/**
 * Which version a new node of a group should install: that of the newest rollout to the group, or to
 * one above it, that is complete without a failure. Memory and work are bounded whoever asks.
 */
@Injectable()
export class Find {
  readonly #kept = new Map<string, Kept>();
  readonly #addresses = new Map<string, TokenBucket>();
  readonly #looks: TokenBucket;

  constructor(
    private readonly database: Database,
    private readonly groups: Groups,
    private readonly releases: Releases,
    @Inject(CONFIG) private readonly config: Config,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {
    this.#looks = new TokenBucket(LOOKS_BURST_MAX, LOOKS_PER_SECOND, clock.now());
  }

  /**
   * Throws `not_found` with the same words when it is switched off, when there is no such group or
   * product, and when nothing is proven; `rate_limited`.
   */
  async find(query: Query, address: string): Promise<Found> {
    if (!this.config.isFindOpen) throw nothing();
    const nowMs = this.clock.now();
    this.#limit(this.#bucketOf(address, nowMs), nowMs);
    const key = `${query.group} ${query.product}`;
    const kept = this.#kept.get(key);
    const found = kept !== undefined && kept.untilMs > nowMs ? kept.found : await this.#look(query);
    if (found === null) throw nothing();
    return found;
  }

  async #look(query: Query): Promise<Found | null> {
    const nowMs = this.clock.now();
    this.#limit(this.#looks, nowMs);
    const found = await this.#read(query);
    const key = `${query.group} ${query.product}`;
    this.#kept.delete(key);
    this.#kept.set(key, { found, untilMs: nowMs + FRESH_MS });
    trim(this.#kept, ANSWERS_MAX);
    return found;
  }

  async #read({ product, group }: Query): Promise<Found | null> {
    const record = await this.groups.find(group);
    if (record === null) return null;
    const rollout = await newestProven(this.database.read, { product, groups: record.path });
    if (rollout === null) return null;
    const { version, channel } = rollout;
    const release = await this.releases.find(product, version, channel);
    if (release === null) return null;
    const path = [product, version, channel].map(encodeURIComponent).join('/');
    return {
      product,
      version,
      channel: release.manifest.channel,
      artifacts: release.manifest.artifacts.map(({ os, arch, variant, format, size, sha256 }) => ({
        os,
        arch,
        variant,
        format,
        size,
        sha256,
      })),
      manifest_url: `${this.config.publicUrl}${RELEASE_PATH}/${path}/manifest.json`,
    };
  }

  #bucketOf(address: string, nowMs: number): TokenBucket {
    const bucket =
      this.#addresses.get(address) ?? new TokenBucket(ASKS_BURST_MAX, ASKS_PER_SECOND, nowMs);
    // Set anew, so that the Map stays in order of last use.
    this.#addresses.delete(address);
    this.#addresses.set(address, bucket);
    trim(this.#addresses, ADDRESSES_MAX);
    return bucket;
  }

  #limit(bucket: TokenBucket, nowMs: number): void {
    if (bucket.take(nowMs)) return;
    throw new FleetError('rate_limited', 'too many questions', {
      context: { retry_after_seconds: 1 },
    });
  }
}

const nothing = (): FleetError => new FleetError('not_found', 'nothing to install');

function trim(map: Map<string, unknown>, max: number): void {
  for (const key of map.keys()) {
    if (map.size <= max) return;
    map.delete(key);
  }
}
