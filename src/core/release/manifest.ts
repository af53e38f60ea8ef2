import { z } from 'zod';
import { canonicalJson, err, ok, type Refusal, type Result } from '../kernel/index.js';
import { areOneEach, Image, PlatformImage } from './image.js';
import { Arch, Channel, Os, ProductName, Sha256, Variant, Version } from './names.js';

/** 1 MiB: a manifest with hundreds of artifacts stays far below it. */
export const MANIFEST_BYTES_MAX = 1024 * 1024;
/** 64 KiB: a minisign signature is below 1 KiB; later kinds (bundles) are about 10 KiB. */
export const SIGNATURE_BYTES_MAX = 64 * 1024;

const FileName = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._+-]{0,199}$/);
/** 4 GiB: more than any program has, and far from where numbers lose digits. */
const Bytes = z
  .int()
  .min(1)
  .max(4 * 1024 ** 3);
/** What the archive holds when it is decompressed, before it is unpacked: deltas end in it. */
const Content = z.strictObject({ size: Bytes, sha256: Sha256 });

export const Artifact = z.strictObject({
  os: Os,
  arch: Arch,
  variant: Variant,
  format: z.literal('tar.gz'),
  /** File name inside a release folder; the manager itself stores by digest. */
  file: FileName,
  /** Where it lies besides; a node fetches from there only if its own policy allows the host. */
  url: z
    .url({ protocol: /^https$/ })
    .max(2_048)
    .regex(/^[\x21-\x7e]+$/, 'an address holds no spaces and no control characters')
    .optional(),
  size: Bytes,
  sha256: Sha256,
  content: Content.optional(),
});
export type Artifact = z.infer<typeof Artifact>;

/** From one older artifact to one of this release. What it makes has the digest of `content`. */
export const Delta = z.strictObject({
  os: Os,
  arch: Arch,
  variant: Variant,
  format: z.literal('bellwether.delta.v1'),
  from_version: Version,
  /** Digest of the content of the older artifact. */
  from_sha256: Sha256,
  file: FileName,
  size: Bytes,
  sha256: Sha256,
});
export type Delta = z.infer<typeof Delta>;

/** What a release can come from, and whose state it can read. */
export const Compatibility = z.strictObject({
  /** Nothing older goes here directly. */
  min_from: Version.optional(),
  /** How many major versions one step may cross; 1 when nothing is said. */
  major_hops_max: z.int().min(0).max(100).optional(),
  /** The formats of state on the disk that this release can read; it writes the highest. */
  state_schema: z
    .strictObject({ min: z.int().min(0), max: z.int().min(0).max(1_000_000) })
    .refine(({ min, max }) => min <= max, 'min is above max')
    .optional(),
});

const hostOf = ({ os, arch, variant }: Pick<Artifact, 'os' | 'arch' | 'variant'>): string =>
  `${os}/${arch}/${variant}`;

export const Manifest = z
  .strictObject({
    schema: z.literal('bellwether.manifest.v1'),
    product: ProductName,
    version: Version,
    channel: Channel,
    /** RFC 3339, UTC. */
    released_at: z.iso.datetime(),
    /** Rises with every release of a product; nodes use it against replay. */
    sequence: z.int().min(1),
    /** From then on no node begins to install it. */
    expires_at: z.iso.datetime().optional(),
    notes: z.string().max(16_000).optional(),
    compatibility: Compatibility.optional(),
    /** Empty for a product that is an image and nothing else. */
    artifacts: z.array(Artifact).max(256),
    /** For every workload that none of `images` is for. */
    image: Image.optional(),
    images: z.array(PlatformImage).min(1).max(64).optional(),
    deltas: z.array(Delta).max(1_024).optional(),
  })
  .refine(
    ({ artifacts, image, images }) =>
      artifacts.length > 0 || image !== undefined || images !== undefined,
    { path: ['artifacts'], message: 'neither an artifact nor an image' },
  )
  .refine(({ images = [] }) => areOneEach(images), {
    path: ['images'],
    message: 'two images for the same variant and arch',
  })
  .refine(({ artifacts }) => new Set(artifacts.map(hostOf)).size === artifacts.length, {
    path: ['artifacts'],
    message: 'two artifacts for the same os, arch and variant',
  })
  .refine(
    ({ released_at, expires_at }) =>
      expires_at === undefined || Date.parse(expires_at) > Date.parse(released_at),
    { path: ['expires_at'], message: 'it expires before it is released' },
  )
  .refine(
    ({ artifacts, deltas = [] }) => {
      const withContent = artifacts.filter(({ content }) => content !== undefined).map(hostOf);
      return deltas.every((delta) => withContent.includes(hostOf(delta)));
    },
    { path: ['deltas'], message: 'a delta leads to no artifact whose content is described' },
  )
  .refine(
    ({ deltas = [] }) =>
      new Set(deltas.map((delta) => `${hostOf(delta)} ${delta.from_sha256}`)).size ===
      deltas.length,
    { path: ['deltas'], message: 'two deltas from the same artifact to the same host' },
  )
  .refine(
    ({ artifacts, deltas = [] }) => {
      const files = [...artifacts, ...deltas].map(({ file }) => file);
      return new Set(files).size === files.length;
    },
    { path: ['artifacts'], message: 'one file name stands there twice' },
  );
export type Manifest = z.infer<typeof Manifest>;

/** The exact bytes that are signed. */
export const manifestBytes = (manifest: Manifest): Uint8Array =>
  new TextEncoder().encode(canonicalJson(manifest));

/**
 * Bytes to manifest. Refuses what is too large, not JSON, not of the schema, or not in canonical
 * form (so that no two readers can see two meanings in one signed text). Says every problem.
 */
export function parseManifest(
  bytes: Uint8Array,
): Result<Manifest, Refusal<'upgrade_manifest_invalid'>> {
  const fail = (message: string): Result<Manifest, Refusal<'upgrade_manifest_invalid'>> =>
    err({ code: 'upgrade_manifest_invalid', message });
  if (bytes.byteLength > MANIFEST_BYTES_MAX) {
    return fail(`manifest has ${bytes.byteLength} bytes; at most ${MANIFEST_BYTES_MAX} are read`);
  }
  let text: string;
  let json: unknown;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    json = JSON.parse(text);
  } catch {
    return fail('manifest is not UTF-8 JSON');
  }
  const parsed = Manifest.safeParse(json);
  if (!parsed.success) {
    const problems = parsed.error.issues.map(
      (i) => `${i.path.join('.') || 'manifest'}: ${i.message}`,
    );
    return fail(problems.join('; '));
  }
  if (canonicalJson(parsed.data) !== text) {
    return fail('manifest is not in canonical form (keys sorted, no white space)');
  }
  return ok(parsed.data);
}

/** The artifact for one machine, or undefined. */
export const artifactFor = (
  manifest: Pick<Manifest, 'artifacts'>,
  host: { readonly os: string; readonly arch: string; readonly variant: string },
): Artifact | undefined =>
  manifest.artifacts.find(
    (a) => a.os === host.os && a.arch === host.arch && a.variant === host.variant,
  );

/** The deltas that lead to the artifact for one machine. */
export const deltasFor = (
  manifest: Manifest,
  host: { readonly os: string; readonly arch: string; readonly variant: string },
): readonly Delta[] =>
  (manifest.deltas ?? []).filter(
    (d) => d.os === host.os && d.arch === host.arch && d.variant === host.variant,
  );
