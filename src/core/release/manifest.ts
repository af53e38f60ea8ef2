import { z } from 'zod';
import { canonicalJson, err, ok, type Refusal, type Result } from '../kernel/index.js';
import { Arch, Channel, Os, ProductName, Sha256, Variant, Version } from './names.js';

/** 1 MiB: a manifest with hundreds of artifacts stays far below it. */
export const MANIFEST_BYTES_MAX = 1024 * 1024;
/** 64 KiB: a minisign signature is below 1 KiB; later kinds (bundles) are about 10 KiB. */
export const SIGNATURE_BYTES_MAX = 64 * 1024;

export const Artifact = z.strictObject({
  os: Os,
  arch: Arch,
  variant: Variant,
  format: z.literal('tar.gz'),
  /** File name inside a release folder; the manager itself stores by digest. */
  file: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._+-]{0,199}$/),
  size: z
    .int()
    .min(1)
    .max(4 * 1024 ** 3),
  sha256: Sha256,
});
export type Artifact = z.infer<typeof Artifact>;

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
    notes: z.string().max(16_000).optional(),
    artifacts: z.array(Artifact).min(1).max(256),
  })
  .refine(
    ({ artifacts }) =>
      new Set(artifacts.map((a) => `${a.os}/${a.arch}/${a.variant}`)).size === artifacts.length,
    'two artifacts for the same os, arch and variant',
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
  manifest: Manifest,
  host: { readonly os: string; readonly arch: string; readonly variant: string },
): Artifact | undefined =>
  manifest.artifacts.find(
    (a) => a.os === host.os && a.arch === host.arch && a.variant === host.variant,
  );
