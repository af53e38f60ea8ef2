import { canonicalJson, err, ok, type Refusal, type Result } from '../kernel/index.js';
import { isWider } from './channels.js';
import type { Manifest } from './manifest.js';

type Claims = Pick<Manifest, 'channel' | 'sequence' | 'artifacts'>;

const sameBytes = (a: Claims, b: Claims): boolean => bytesOf(a) === bytesOf(b);

/** Where an artifact lies says nothing about what it is. */
const bytesOf = ({ artifacts }: Claims): string =>
  artifacts
    .map(({ os, arch, variant, format, size, sha256 }) =>
      canonicalJson({ os, arch, variant, format, size, sha256 }),
    )
    .sort()
    .join('\n');

/**
 * Whether a manifest may stand beside the others of its product and version. A version is one set of
 * bytes, and it only ever reaches more nodes: its channel must be wider than all before, its sequence
 * higher, its artifacts the same.
 */
export function judgePromotion(
  known: readonly Claims[],
  next: Claims,
): Result<void, Refusal<'release_not_wider'>> {
  const refuse = (message: string): Result<void, Refusal<'release_not_wider'>> =>
    err({ code: 'release_not_wider', message });
  for (const one of known) {
    if (!isWider(next.channel, one.channel)) {
      return refuse(`it is on ${one.channel} already, and ${next.channel} is not wider`);
    }
    if (next.sequence <= one.sequence) {
      return refuse(`on ${one.channel} it has the sequence ${one.sequence}; take a higher one`);
    }
    if (!sameBytes(one, next)) return refuse(`on ${one.channel} it has other artifacts`);
  }
  return ok(undefined);
}
