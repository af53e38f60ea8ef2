import { createHash, randomBytes } from 'node:crypto';
import {
  manifestBytes,
  newSecretKey,
  signMinisign,
  type Artifact,
  type Manifest,
} from '../../core/release/index.js';
import { ApiProblem, NoAnswer, type Client } from './parts.js';

/** For which hosts a release is made. */
export type Platform = Pick<Artifact, 'os' | 'arch' | 'variant'>;

/**
 * Publishes a release that holds nothing, signed by a key that is thrown away: simulated nodes do not
 * download it, and no real one would trust it. One that is there already is taken.
 */
export async function publishNothing(
  client: Client,
  token: string,
  wanted: {
    readonly product: string;
    readonly version: string;
    readonly channel: Manifest['channel'];
    readonly platforms: readonly Platform[];
  },
): Promise<void> {
  const { product, version, channel, platforms } = wanted;
  const bytes = Buffer.from(`simulated ${product} ${version}\n`);
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  const manifest: Manifest = {
    schema: 'bellwether.manifest.v1',
    ...{ product, version, channel },
    released_at: new Date().toISOString(),
    sequence: Math.floor(Date.now() / 1_000),
    artifacts: platforms.map((platform) => ({
      ...platform,
      format: 'tar.gz',
      file: `${product}-${platform.os}-${platform.arch}-${platform.variant}.tar.gz`,
      size: bytes.length,
      sha256,
    })),
  };
  const key = newSecretKey({ seed: randomBytes(32), keyId: randomBytes(8) });
  const text = manifestBytes(manifest);
  const signature = signMinisign(key, text, 'simulated');
  if (!signature.ok) throw new Error(signature.error.message);
  const address = client.addressOf('releases.upload', { params: { digest: sha256 } });
  const uploaded = await fetch(address, {
    method: 'PUT',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/octet-stream' },
    body: bytes,
    redirect: 'error',
  }).catch((error: unknown) => {
    throw new NoAnswer('unreachable', `${address.origin} cannot be reached`, error);
  });
  if (!uploaded.ok) throw new Error(`the artifact was refused: ${await uploaded.text()}`);
  const body = { manifest: Buffer.from(text).toString('utf8'), signatures: [signature.value] };
  try {
    await client.call('releases.publish', { body });
  } catch (error) {
    if (!(error instanceof ApiProblem) || error.code !== 'release_exists') throw error;
  }
}
