import { valid } from 'semver';
import { readImage } from './image-ref.js';

/** Where a version was read, the most trustworthy first. */
export type VersionSource = 'digest' | 'tag' | 'label';

const APP_VERSION = 'app.kubernetes.io/version';
const VERSION_MAX = 64;

const semverOf = (text: string | null | undefined): string | null => {
  const bare = text?.replace(/^v(?=\d)/, '') ?? null;
  return bare !== null && bare.length <= VERSION_MAX && valid(bare) === bare ? bare : null;
};

/**
 * Which version a workload runs. A digest that stood in a signed manifest says it for certain; else
 * the tag, else the usual label of the pod template say so. Null: nobody says.
 */
export function versionOf(
  image: string,
  labels: Readonly<Record<string, string>>,
  /** Hex of digests that were in signed manifests, with the version of each. */
  known: ReadonlyMap<string, string>,
): { readonly version: string; readonly source: VersionSource } | null {
  const ref = readImage(image);
  const byDigest = known.get(ref?.digest?.slice('sha256:'.length) ?? '');
  if (byDigest !== undefined) return { version: byDigest, source: 'digest' };
  const byTag = semverOf(ref?.tag);
  if (byTag !== null) return { version: byTag, source: 'tag' };
  const byLabel = semverOf(labels[APP_VERSION]);
  return byLabel === null ? null : { version: byLabel, source: 'label' };
}
