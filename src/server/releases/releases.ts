import { createHash } from 'node:crypto';
import { Inject, Injectable } from '@nestjs/common';
import { FleetError } from '../../core/kernel/index.js';
import { checkSignatureForm, parseManifest, type Manifest } from '../../core/release/index.js';
import { AuditLog } from '../audit/index.js';
import { EventLog } from '../events/index.js';
import { CLOCK, Database, newId, type Caller, type Clock } from '../platform/index.js';
import { BlobStore } from './blob-store.js';
import { findRelease, insertRelease, type StoredRelease } from './releases.store.js';

/** Group under which release events are filed: everybody's root. */
const ROOT_GROUP = 'grp_default';

/**
 * The catalog. The manager keeps manifests and signatures byte for byte and checks their form; it
 * does not decide trust, the nodes do.
 */
@Injectable()
export class Releases {
  constructor(
    private readonly database: Database,
    private readonly blobs: BlobStore,
    private readonly audit: AuditLog,
    private readonly events: EventLog,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /** A published release on exactly this channel, or null. */
  /** A published release of whatever channel: for the way back, which was once taken forward. */
  async published(product: string, version: string): Promise<StoredRelease | null> {
    const release = await findRelease(this.database.read, product, version);
    return release?.state === 'published' ? release : null;
  }

  async find(product: string, version: string, channel: string): Promise<StoredRelease | null> {
    const release = await findRelease(this.database.read, product, version);
    return release?.manifest.channel === channel && release.state === 'published' ? release : null;
  }

  /**
   * Publishes a signed manifest whose artifacts are all here. The same manifest and signatures again
   * give the same answer; anything else for a version that exists is `release_exists`: releases never
   * change. Throws `release_artifact_missing` with `context.missing`.
   */
  async publish(
    manifestText: string,
    signatures: readonly string[],
    caller: Caller,
  ): Promise<StoredRelease> {
    const bytes = Buffer.from(manifestText, 'utf8');
    const parsed = parseManifest(bytes);
    if (!parsed.ok) throw new FleetError(parsed.error.code, parsed.error.message);
    if (signatures.length === 0) {
      throw new FleetError('upgrade_signature_invalid', 'a release needs a signature');
    }
    for (const text of signatures) {
      const signature = checkSignatureForm(text);
      if (!signature.ok) throw new FleetError(signature.error.code, signature.error.message);
    }
    const manifest = parsed.value;
    await this.#requireArtifacts(manifest);
    const release: StoredRelease = {
      id: newId('rel'),
      state: 'published',
      manifest,
      manifestText,
      manifestSha256: createHash('sha256').update(bytes).digest('hex'),
      signatures,
      publishedAt: this.clock.now(),
    };
    const isNew = await this.database.transaction(async (tx) => {
      if (!(await insertRelease(tx, release))) return false;
      const { product, version, channel, sequence } = manifest;
      const details = { product, version, channel, sequence };
      await this.audit.append(tx, {
        caller,
        action: 'release.publish',
        targetKind: 'release',
        targetId: release.id,
        groupId: null,
        outcome: 'allowed',
        details: { ...details, manifest_sha256: release.manifestSha256 },
      });
      this.events.append(tx, [
        {
          category: 'release',
          type: 'release_published',
          severity: 'info',
          nodeId: null,
          groupId: ROOT_GROUP,
          message: `${product} ${version} published on ${channel}`,
          details,
          at: release.publishedAt,
        },
      ]);
      return true;
    });
    return isNew ? release : this.#same(release);
  }

  /** What is there already, if it is the same release with the same signatures. */
  async #same(release: StoredRelease): Promise<StoredRelease> {
    const { product, version } = release.manifest;
    const existing = await findRelease(this.database.read, product, version);
    const isSameManifest = existing?.manifestSha256 === release.manifestSha256;
    if (existing !== null && isSameManifest && isSameList(existing, release)) return existing;
    const but = isSameManifest ? 'with other signatures' : 'with another manifest';
    throw new FleetError('release_exists', `${product} ${version} was published before, ${but}`);
  }

  async #requireArtifacts(manifest: Manifest): Promise<void> {
    const missing: MissingArtifact[] = [];
    for (const { file, sha256, size } of manifest.artifacts) {
      const found = await this.blobs.sizeOf(sha256);
      if (found !== size) missing.push({ file, sha256, size, found });
    }
    if (missing.length === 0) return;
    const list = missing.map(({ file, size, found }) =>
      found === null ? `${file} was not uploaded` : `${file} has ${found} bytes, not ${size}`,
    );
    throw new FleetError('release_artifact_missing', list.join('; '), { context: { missing } });
  }
}

/** As it stands in the problem document: a publisher uploads these and asks again. */
interface MissingArtifact {
  readonly file: string;
  readonly sha256: string;
  readonly size: number;
  /** Bytes of what is here under that digest; null when nothing is. */
  readonly found: number | null;
}

/** The order of signatures says nothing. */
const isSameList = (a: StoredRelease, b: StoredRelease): boolean =>
  JSON.stringify([...a.signatures].sort()) === JSON.stringify([...b.signatures].sort());
