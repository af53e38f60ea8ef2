import { createHash, randomBytes } from 'node:crypto';
import { canonicalJson, type JsonValue } from '../../src/core/kernel/index.js';
import {
  formatPublicKey,
  manifestBytes,
  newSecretKey,
  publicKeyOf,
  signMinisign,
  type Artifact,
  type Manifest,
} from '../../src/core/release/index.js';
import type { TestManager } from './manager.js';

export const sha256Of = (bytes: Uint8Array): string =>
  createHash('sha256').update(bytes).digest('hex');

const KEY = newSecretKey({ seed: randomBytes(32), keyId: randomBytes(8) });

/** Of those who sign here, for a policy. */
export const CATALOG_KEY = formatPublicKey(publicKeyOf(KEY)).trim().split('\n').at(-1) ?? '';

export const artifactOf = (bytes: Uint8Array, change: Partial<Artifact> = {}): Artifact => ({
  os: 'linux',
  arch: 'x64',
  variant: 'default',
  format: 'tar.gz',
  file: 'edge.tar.gz',
  size: bytes.length,
  sha256: sha256Of(bytes),
  ...change,
});

export const aManifest = (change: Partial<Manifest>, bytes: Uint8Array): Manifest => ({
  schema: 'bellwether.manifest.v1',
  product: 'edge',
  version: '1.0.0',
  channel: 'stable',
  released_at: '2026-11-20T08:00:00Z',
  sequence: 1,
  artifacts: [artifactOf(bytes)],
  ...change,
});

/** As it is sent: the text, and a signature over it. */
export function signedManifest(manifest: Manifest): { manifest: string; signatures: string[] } {
  const bytes = manifestBytes(manifest);
  const signature = signMinisign(KEY, bytes, 'x');
  if (!signature.ok) throw new Error(signature.error.message);
  return { manifest: Buffer.from(bytes).toString('utf8'), signatures: [signature.value] };
}

/** A channel index of `edge` on stable, signed by the same key. */
export function signedIndex(
  sequence: number,
  change: Readonly<Record<string, JsonValue>> = {},
): { document: string; signatures: string[] } {
  const document = canonicalJson({
    schema: 'bellwether.channel.v1',
    product: 'edge',
    channel: 'stable',
    sequence,
    issued_at: new Date(Date.now() - 3_600_000).toISOString(),
    expires_at: new Date(Date.now() + 30 * 24 * 3_600_000).toISOString(),
    current: { version: '9.9.9', manifest_sha256: 'a'.repeat(64), sequence: 99 },
    floor: 0,
    revoked: [],
    ...change,
  });
  const signature = signMinisign(KEY, Buffer.from(document, 'utf8'), 'x');
  if (!signature.ok) throw new Error(signature.error.message);
  return { document, signatures: [signature.value] };
}

export async function upload(manager: TestManager, bytes: Uint8Array): Promise<void> {
  const answer = await fetch(`${manager.url}/api/v1/blobs/sha256/${sha256Of(bytes)}`, {
    method: 'PUT',
    headers: { authorization: `Bearer ${manager.admin}` },
    body: bytes as unknown as ArrayBuffer,
  });
  if (!answer.ok) throw new Error(await answer.text());
}

/** Uploads and publishes; gives the id. */
export async function release(
  manager: TestManager,
  change: Partial<Manifest>,
  bytes: Uint8Array = Buffer.from(`edge ${change.version ?? ''}`),
): Promise<string> {
  await upload(manager, bytes);
  const body = signedManifest(aManifest(change, bytes));
  const { status, body: answer } = await manager.call('releases.publish', { body });
  if (status !== 201) throw new Error(JSON.stringify(answer));
  return answer.id;
}
