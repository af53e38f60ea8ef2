import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { FleetError } from '../../core/kernel/index.js';
import {
  MANIFEST_BYTES_MAX,
  parseManifest,
  SIGNATURE_BYTES_MAX,
  type Artifact,
  type Delta,
  type Manifest,
} from '../../core/release/index.js';

/**
 * A release on disk, as `pack` leaves it: `manifest.json`, the artifacts by the names in it, and one
 * `manifest.json.<signer>.minisig` or `manifest.json.<signer>.sigstore.json` for each signature.
 */
export const MANIFEST_FILE = 'manifest.json';
const SIGNATURE_FILE = /^manifest\.json\.[A-Za-z0-9._@-]{1,64}\.(minisig|sigstore\.json)$/;

/** Names that `sign` gives its files; the same letters that a policy allows, but spaces. */
export const SIGNER_NAME = /^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$/;

export interface ReleaseFolder {
  readonly folder: string;
  readonly manifest: Manifest;
  /** The exact bytes that are signed. */
  readonly manifestBytes: Buffer;
  readonly signatures: readonly { readonly file: string; readonly text: string }[];
}

/** Reads manifest and signatures; artifacts are not looked at. Throws `upgrade_manifest_invalid`. */
export async function readReleaseFolder(folder: string): Promise<ReleaseFolder> {
  const manifestBytes = await readSmall(join(folder, MANIFEST_FILE), MANIFEST_BYTES_MAX);
  const parsed = parseManifest(manifestBytes);
  if (!parsed.ok) {
    throw new FleetError(parsed.error.code, parsed.error.message, {
      context: { fix: 'Pack the release again.' },
    });
  }
  const files = (await readdir(folder)).filter((file) => SIGNATURE_FILE.test(file)).sort();
  const signatures = await Promise.all(
    files.map(async (file) => ({
      file,
      text: (await readSmall(join(folder, file), SIGNATURE_BYTES_MAX)).toString('utf8'),
    })),
  );
  return { folder, manifest: parsed.value, manifestBytes, signatures };
}

/** Throws `local_file_failed` when the file is larger than it may be. */
export async function readSmall(path: string, bytesMax: number): Promise<Buffer> {
  const { size } = await stat(path);
  if (size > bytesMax) {
    throw new FleetError('local_file_failed', `${path} has ${size} bytes; at most ${bytesMax} fit`);
  }
  return readFile(path);
}

/** A file that the manifest names with its size and digest. */
export type NamedFile = Artifact | Delta;

/** All of them: artifacts, then deltas. */
export const filesOf = ({ manifest }: Pick<ReleaseFolder, 'manifest'>): readonly NamedFile[] => [
  ...manifest.artifacts,
  ...(manifest.deltas ?? []),
];

/** Where a file of the manifest lies. */
export const artifactPath = ({ folder }: ReleaseFolder, artifact: NamedFile): string =>
  join(folder, artifact.file);

/** Throws unless a file of the manifest is there with the size and digest that stand there. */
export async function checkArtifact(
  release: ReleaseFolder,
  artifact: NamedFile,
  onRead?: (bytes: number) => void,
): Promise<void> {
  const path = artifactPath(release, artifact);
  const hash = createHash('sha256');
  let size = 0;
  for await (const chunk of createReadStream(path) as AsyncIterable<Buffer>) {
    hash.update(chunk);
    size += chunk.length;
    onRead?.(size);
  }
  const sha256 = hash.digest('hex');
  if (size === artifact.size && sha256 === artifact.sha256) return;
  throw new FleetError(
    'upgrade_checksum_mismatch',
    `${path} has ${size} bytes and digest ${sha256}; the manifest says ${artifact.size} and ${artifact.sha256}`,
  );
}
