import { createHash } from 'node:crypto';
import { Inject, Injectable } from '@nestjs/common';
import { FleetError } from '../../core/kernel/index.js';
import {
  checkSignatureForm,
  judgePromotion,
  parseManifest,
  seenOn,
  type Artifact,
  type Channel,
  type Manifest,
} from '../../core/release/index.js';
import { AuditLog } from '../audit/index.js';
import { EventLog } from '../events/index.js';
import { CLOCK, Database, newId, type Caller, type Clock, type Tx } from '../platform/index.js';
import {
  findRelease,
  insertRelease,
  releasesOfVersion,
  yankVersion,
  type StoredRelease,
} from './releases.store.js';
import { BLOBS, type Blobs } from './store/blobs.port.js';

/** Group under which release events are filed: everybody's root. */
const ROOT_GROUP = 'grp_default';

/**
 * The catalog. The manager keeps manifests and signatures byte for byte and checks their form; it
 * does not decide trust, the nodes do.
 */
@Injectable()
export class Releases {
  readonly #listeners = new Set<(product: string) => void>();
  #told: (product: string) => void = () => undefined;
  #line: Promise<unknown> = Promise.resolve();

  constructor(
    private readonly database: Database,
    @Inject(BLOBS) private readonly blobs: Blobs,
    private readonly audit: AuditLog,
    private readonly events: EventLog,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /** Hears of each product in which something was published or yanked, after the commit. */
  onChange(listener: (product: string) => void): void {
    this.#listeners.add(listener);
  }

  /** Registered once: hears of what was done here, for the other managers. */
  onPublished(told: (product: string) => void): void {
    this.#told = told;
  }

  /** The same was done by another manager. */
  changedElsewhere(product: string): void {
    for (const listener of this.#listeners) listener(product);
  }

  /** Runs one work at a time, over all managers: publishing counts on blobs that collecting would take away. */
  exclusively<T>(work: () => Promise<T>): Promise<T> {
    // In this line first, so that one connection at most waits for other managers.
    const run = this.#line.then(() => this.database.alone('releases', work));
    this.#line = run.catch(() => undefined);
    return run;
  }

  /**
   * A published release, for the way back, which was once taken forward: on the channel where it was
   * taken if it is there, else on the widest.
   */
  async published(
    product: string,
    version: string,
    channel?: Channel,
  ): Promise<StoredRelease | null> {
    const found = await releasesOfVersion(this.database.read, product, version);
    const published = found.filter(({ state }) => state === 'published');
    const on = (wanted: Channel): StoredRelease | undefined =>
      published.find(({ manifest }) => manifest.channel === wanted);
    const order = [...(channel === undefined ? [] : [channel]), ...seenOn('dev')];
    for (const wanted of order) {
      const release = on(wanted);
      if (release !== undefined) return release;
    }
    return null;
  }

  /** A published release on exactly this channel, or null. */
  async find(product: string, version: string, channel: string): Promise<StoredRelease | null> {
    const release = await findRelease(this.database.read, { product, version, channel });
    return release?.state === 'published' ? release : null;
  }

  /** The same for a new rollout. Throws `not_found`, or `release_yanked` with the reason of it. */
  async wanted(product: string, version: string, channel: string): Promise<StoredRelease> {
    const release = await findRelease(this.database.read, { product, version, channel });
    if (release?.state === 'published') return release;
    if (release?.state === 'yanked') throw yankedError(release);
    throw new FleetError('not_found', `no release ${product} ${version} on channel ${channel}`, {
      // Whoever may upgrade may see releases: this hides nothing.
      context: { missing: 'release' },
    });
  }

  /** Throws `binary_not_staged` with every one of these that the store does not hold (any more). */
  async requireStaged(artifacts: readonly Artifact[]): Promise<void> {
    const missing = await this.#missingOf(artifacts);
    if (missing.length > 0) {
      throw new FleetError('binary_not_staged', inWords(missing), { context: { missing } });
    }
  }

  /** Whether the store holds every one of these, for whoever passes over what it does not. */
  async areStaged(artifacts: readonly Artifact[]): Promise<boolean> {
    return (await this.#missingOf(artifacts)).length === 0;
  }

  /**
   * Publishes a signed manifest whose artifacts and deltas are all here. The same manifest and
   * signatures again give the same answer; anything else for a version that exists on that channel is
   * `release_exists`: releases never change. On a wider channel it is a promotion, and refused as
   * `release_not_wider` unless it is one. Throws `release_artifact_missing` with `context.missing`,
   * and `release_yanked` for a version that was taken back.
   *
   * A draft needs neither artifacts nor signatures; a later draft, or the release, takes its place.
   */
  async publish(
    manifestText: string,
    signatures: readonly string[],
    caller: Caller,
    options: { readonly draft?: boolean } = {},
  ): Promise<StoredRelease> {
    const isDraft = options.draft === true;
    const bytes = Buffer.from(manifestText, 'utf8');
    const parsed = parseManifest(bytes);
    if (!parsed.ok) throw new FleetError(parsed.error.code, parsed.error.message);
    if (signatures.length === 0 && !isDraft) {
      throw new FleetError('upgrade_signature_invalid', 'a release needs a signature');
    }
    for (const text of signatures) {
      const signature = checkSignatureForm(text);
      if (!signature.ok) throw new FleetError(signature.error.code, signature.error.message);
    }
    const release: StoredRelease = {
      id: newId('rel'),
      state: isDraft ? 'draft' : 'published',
      manifest: parsed.value,
      manifestText,
      manifestSha256: createHash('sha256').update(bytes).digest('hex'),
      signatures,
      publishedAt: this.clock.now(),
      yanked: null,
    };
    return this.exclusively(async () => {
      if (!isDraft) await this.#requireArtifacts(parsed.value);
      const isNew = await this.database.transaction((tx) => this.#insert(tx, release, caller));
      return isNew ? release : this.#same(release);
    });
  }

  /**
   * Takes a version back, on every channel: no new rollout takes it, running ones offer it to nobody
   * more, no node fetches it. For good: there is no way to undo it. A second time changes nothing.
   * Throws `conflict` for a draft, which nobody was offered.
   */
  async yank(release: StoredRelease, reason: string, caller: Caller): Promise<void> {
    const { product, version } = release.manifest;
    if (release.state === 'draft') {
      throw new FleetError('conflict', `${product} ${version} is a draft; nobody was offered it`);
    }
    const at = this.clock.now();
    await this.database.transaction(async (tx) => {
      if ((await yankVersion(tx, { product, version, reason, at })) === 0) return;
      const details = { product, version, reason };
      await this.#record(tx, caller, {
        action: 'release.yank',
        type: 'release_yanked',
        severity: 'warning',
        message: `${product} ${version} was yanked: ${reason}`,
        release,
        details,
        at,
      });
    });
  }

  async #insert(tx: Tx, release: StoredRelease, caller: Caller): Promise<boolean> {
    const { product, version, channel, sequence } = release.manifest;
    const known = await releasesOfVersion(tx, product, version);
    const yanked = known.find(({ state }) => state === 'yanked');
    if (yanked !== undefined) throw yankedError(yanked);
    const others = known.filter(({ manifest }) => manifest.channel !== channel);
    if (others.length === known.length) {
      const promotion = judgePromotion(
        others.map(({ manifest }) => manifest),
        release.manifest,
      );
      if (!promotion.ok) throw new FleetError(promotion.error.code, promotion.error.message);
    }
    if (!(await insertRelease(tx, release))) return false;
    const isDraft = release.state === 'draft';
    const isPromotion = others.length > 0 && !isDraft;
    const from = others.map(({ manifest }) => manifest.channel);
    const claims = { product, version, channel, sequence };
    const details = isPromotion ? { ...claims, promoted_from: from } : claims;
    const how = isPromotion ? 'promoted to' : isDraft ? 'drafted for' : 'published on';
    await this.#record(tx, caller, {
      action: isPromotion ? 'release.promote' : isDraft ? 'release.draft' : 'release.publish',
      type: isPromotion ? 'release_promoted' : isDraft ? 'release_drafted' : 'release_published',
      severity: 'info',
      message: `${product} ${version} ${how} ${channel}`,
      release,
      details,
      at: release.publishedAt,
    });
    return true;
  }

  /** One entry, one event, and whoever keeps something of the product hears of it after the commit. */
  async #record(tx: Tx, caller: Caller, happened: Happening): Promise<void> {
    const { release, details, action, type, severity, message, at } = happened;
    await this.audit.append(tx, {
      caller,
      action,
      targetKind: 'release',
      targetId: release.id,
      groupId: null,
      outcome: 'allowed',
      details: { ...details, manifest_sha256: release.manifestSha256 },
    });
    this.events.append(tx, [
      {
        category: 'release',
        type,
        severity,
        nodeId: null,
        groupId: ROOT_GROUP,
        message,
        details,
        at,
      },
    ]);
    tx.afterCommit(() => {
      for (const listener of this.#listeners) listener(release.manifest.product);
      this.#told(release.manifest.product);
    });
  }

  /** What is there already, if it is the same release with the same signatures. */
  async #same(release: StoredRelease): Promise<StoredRelease> {
    const { product, version, channel } = release.manifest;
    const existing = await findRelease(this.database.read, { product, version, channel });
    const isSameManifest = existing?.manifestSha256 === release.manifestSha256;
    if (existing !== null && isSameManifest && isSameList(existing, release)) return existing;
    const but = isSameManifest ? 'with other signatures' : 'with another manifest';
    throw new FleetError('release_exists', `${product} ${version} was published before, ${but}`);
  }

  async #requireArtifacts(manifest: Manifest): Promise<void> {
    const missing = await this.#missingOf([...manifest.artifacts, ...(manifest.deltas ?? [])]);
    if (missing.length > 0) {
      throw new FleetError('release_artifact_missing', inWords(missing), { context: { missing } });
    }
  }

  async #missingOf(
    artifacts: readonly Pick<Artifact, 'file' | 'sha256' | 'size'>[],
  ): Promise<MissingArtifact[]> {
    const missing: MissingArtifact[] = [];
    for (const { file, sha256, size } of artifacts) {
      const found = (await this.blobs.find(sha256))?.size ?? null;
      if (found !== size) missing.push({ file, sha256, size, found });
    }
    return missing;
  }
}

interface Happening {
  readonly action: 'release.publish' | 'release.promote' | 'release.draft' | 'release.yank';
  readonly type: 'release_published' | 'release_promoted' | 'release_drafted' | 'release_yanked';
  readonly severity: 'info' | 'warning';
  readonly message: string;
  readonly release: StoredRelease;
  readonly details: Parameters<AuditLog['append']>[1]['details'];
  readonly at: number;
}

/** As it stands in the problem document: a publisher uploads these and asks again. */
interface MissingArtifact {
  readonly file: string;
  readonly sha256: string;
  readonly size: number;
  /** Bytes of what is here under that digest; null when nothing is. */
  readonly found: number | null;
}

const inWords = (missing: readonly MissingArtifact[]): string =>
  missing
    .map(({ file, size, found }) =>
      found === null ? `${file} is not here` : `${file} has ${found} bytes, not ${size}`,
    )
    .join('; ');

const yankedError = ({ manifest, yanked }: StoredRelease): FleetError =>
  new FleetError(
    'release_yanked',
    `${manifest.product} ${manifest.version} was yanked: ${yanked?.reason ?? ''}`,
    { context: { reason: yanked?.reason ?? '' } },
  );

/** The order of signatures says nothing. */
const isSameList = (a: StoredRelease, b: StoredRelease): boolean =>
  JSON.stringify([...a.signatures].sort()) === JSON.stringify([...b.signatures].sort());
