import { createHash } from 'node:crypto';
import { FleetError } from '../../../core/kernel/index.js';
import { parseManifest, type Manifest } from '../../../core/release/index.js';
import { type Database, type Caller } from '../../platform/index.js';
import { type Releases } from '../releases.js';
import { findRelease } from '../releases.store.js';
import type { Blobs } from '../store/blobs.port.js';
import type { Candidate } from './reader.port.js';

/** What pulling needs of the manager. */
export interface Puller {
  readonly database: Database;
  readonly releases: Releases;
  readonly blobs: Blobs;
  readonly bytesMax: number;
}

/** What one look did. */
export interface Pulled {
  readonly published: string[];
  readonly refused: { release: string; code: string; message: string }[];
  /** Releases that were here already, or are of products that are not wanted. */
  unchanged: number;
}

/**
 * Publishes what of these is new, by the same way and with the same checks as an upload: form of the
 * manifest and signatures, digest and size of every artifact. What is refused holds no other up.
 * An outage of the store or the database ends it.
 */
export async function pull(
  puller: Puller,
  candidates: readonly Candidate[],
  { products, caller }: { readonly products: readonly string[] | null; readonly caller: Caller },
): Promise<Pulled> {
  const pulled: Pulled = { published: [], refused: [], unchanged: 0 };
  const refuse = (candidate: Candidate, error: unknown): void => {
    const isOfRelease = error instanceof FleetError && (error.kind === 'user' || isOfSource(error));
    if (!isOfRelease) throw error;
    const { code, message } = error;
    pulled.refused.push({ release: candidate.name, code, message: message.slice(0, 500) });
  };
  const read: Read[] = [];
  for (const candidate of candidates) {
    await readOne(candidate).then(
      (one) => read.push(one),
      (error: unknown) => refuse(candidate, error),
    );
  }
  // A promotion comes after what it promotes.
  for (const one of read.sort((a, b) => a.manifest.sequence - b.manifest.sequence)) {
    const { product, version, channel } = one.manifest;
    const isWanted = products === null || products.includes(product);
    try {
      if (isWanted && (await publishOne(puller, one, caller))) {
        pulled.published.push(`${product} ${version} (${channel})`);
      } else pulled.unchanged += 1;
    } catch (error) {
      refuse(one.candidate, error);
    }
  }
  return pulled;
}

const isOfSource = ({ code }: FleetError): boolean => code === 'release_source_failed';

interface Read {
  readonly candidate: Candidate;
  readonly bytes: Buffer;
  readonly manifest: Manifest;
}

async function readOne(candidate: Candidate): Promise<Read> {
  const bytes = await candidate.manifest();
  const parsed = parseManifest(bytes);
  if (!parsed.ok) throw new FleetError(parsed.error.code, parsed.error.message);
  return { candidate, bytes, manifest: parsed.value };
}

/** False when it is here already. */
async function publishOne(
  { database, releases, blobs, bytesMax }: Puller,
  { candidate, bytes, manifest }: Read,
  caller: Caller,
): Promise<boolean> {
  const known = await findRelease(database.read, manifest);
  // One that was yanked here stays so, whatever the source says.
  const isSame = known?.manifestSha256 === createHash('sha256').update(bytes).digest('hex');
  if (known !== null && known.state !== 'draft' && isSame) return false;
  const signatures = await candidate.signatures();
  for (const file of filesOf(manifest)) await fetchOne(blobs, candidate, file, bytesMax);
  await releases.publish(bytes.toString('utf8'), signatures, caller);
  return true;
}

const filesOf = ({ artifacts, deltas = [] }: Manifest) => [...artifacts, ...deltas];

async function fetchOne(
  blobs: Blobs,
  candidate: Candidate,
  { file, sha256, size }: Pick<Manifest['artifacts'][number], 'file' | 'sha256' | 'size'>,
  bytesMax: number,
): Promise<void> {
  if ((await blobs.find(sha256))?.size === size) return;
  if (size > bytesMax) {
    throw new FleetError('payload_too_large', `${file} has ${size} bytes; ${bytesMax} are taken`);
  }
  const stream = await candidate.artifact(file);
  try {
    await blobs.put(sha256, stream, size);
  } finally {
    stream.destroy();
  }
}
