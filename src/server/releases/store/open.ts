import { join } from 'node:path';
import type { Config } from '../../platform/index.js';
import type { Blobs } from './blobs.port.js';
import { DiskBlobs } from './disk-blobs.js';

/** In the bucket when one is configured, else in the data directory. Does not wait for the bucket. */
export async function openBlobs({ s3, dataDir }: Pick<Config, 's3' | 'dataDir'>): Promise<Blobs> {
  if (s3 === null) return new DiskBlobs(join(dataDir, 'blobs'));
  // Loaded only here: a manager on disk need not pay for it at its start.
  const { S3Blobs } = await import('./s3-blobs.js');
  return new S3Blobs(s3);
}
