import { canonicalJson, type JsonValue } from '../kernel/index.js';
import type { Image } from './image.js';
import type { Artifact, Manifest } from './manifest.js';

/** One claim in which two manifests differ; null where one of them does not make it. */
export interface Difference {
  readonly claim: string;
  readonly from: string | null;
  readonly to: string | null;
}

/**
 * A manifest claim by claim, in a fixed order, each as one text. Artifacts and deltas are called by
 * their hosts, so that those of two releases can be held against each other.
 */
export function claimsOf(manifest: Manifest): ReadonlyMap<string, string> {
  const { artifacts, deltas = [], notes, compatibility, ...rest } = manifest;
  const claims = new Map<string, string>();
  const add = (name: string, value: JsonValue | undefined): void => {
    if (value === undefined) return;
    claims.set(name, typeof value === 'string' ? value : canonicalJson(value));
  };
  const head = ['product', 'version', 'channel', 'sequence', 'released_at', 'expires_at'] as const;
  for (const name of head) add(name, rest[name]);
  add('compatibility.min_from', compatibility?.min_from);
  add('compatibility.major_hops_max', compatibility?.major_hops_max);
  add('compatibility.state_schema', compatibility?.state_schema);
  for (const [name, text] of imageClaims(manifest)) add(name, text);
  for (const artifact of artifacts) {
    const name = `artifact ${hostOf(artifact)}`;
    add(`${name} file`, artifact.file);
    add(`${name} size`, artifact.size);
    add(`${name} sha256`, artifact.sha256);
    add(`${name} url`, artifact.url);
    add(`${name} content`, artifact.content);
  }
  for (const delta of deltas) {
    const name = `delta ${hostOf(delta)} from ${delta.from_version}`;
    add(`${name} size`, delta.size);
    add(`${name} sha256`, delta.sha256);
  }
  add('notes', notes);
  return claims;
}

function imageClaims({ image, images = [] }: Manifest): readonly (readonly [string, string])[] {
  const own = images.map(
    (one) => [`image ${one.variant}/${one.arch ?? 'any'}`, pinned(one)] as const,
  );
  return image === undefined ? own : [['image', pinned(image)], ...own];
}

const pinned = ({ reference, digest }: Image): string => `${reference}@${digest}`;

const hostOf = ({ os, arch, variant }: Pick<Artifact, 'os' | 'arch' | 'variant'>): string =>
  `${os}/${arch}/${variant}`;

/** The claims in which they differ: those of the first one in its order, then what is new. */
export function differencesOf(from: Manifest, to: Manifest): readonly Difference[] {
  const [old, young] = [claimsOf(from), claimsOf(to)];
  return [...new Set([...old.keys(), ...young.keys()])]
    .map((claim) => ({ claim, from: old.get(claim) ?? null, to: young.get(claim) ?? null }))
    .filter((one) => one.from !== one.to);
}
