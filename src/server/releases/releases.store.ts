import { toIso } from '../../core/kernel/index.js';
import type { Channel, Manifest } from '../../core/release/index.js';
import type { Answer } from '../../protocol/api/index.js';
import type { Cursor, Sql, SqlValue, Tx } from '../platform/index.js';

export interface StoredRelease {
  readonly id: string;
  readonly state: 'draft' | 'published' | 'yanked';
  readonly manifest: Manifest;
  /** The signed bytes, as they came. */
  readonly manifestText: string;
  readonly manifestSha256: string;
  readonly signatures: readonly string[];
  readonly publishedAt: number;
}

interface ReleaseRow {
  id: string;
  state: StoredRelease['state'];
  manifest: string;
  manifest_sha256: string;
  signatures: string;
  published_at: number;
}

const COLUMNS = 'id, state, manifest, manifest_sha256, signatures, published_at';

const toRelease = (row: ReleaseRow): StoredRelease => ({
  id: row.id,
  state: row.state,
  manifest: JSON.parse(row.manifest) as Manifest,
  manifestText: row.manifest,
  manifestSha256: row.manifest_sha256,
  signatures: JSON.parse(row.signatures) as string[],
  publishedAt: row.published_at,
});

/** False when this product and version exists already; then nothing was written. */
export async function insertRelease(tx: Tx, release: StoredRelease): Promise<boolean> {
  const { manifest } = release;
  const inserted = await tx.run(
    `INSERT INTO releases (${COLUMNS}, product, version, channel, sequence)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (product, version) DO NOTHING`,
    [
      release.id,
      release.state,
      release.manifestText,
      release.manifestSha256,
      JSON.stringify(release.signatures),
      release.publishedAt,
      manifest.product,
      manifest.version,
      manifest.channel,
      manifest.sequence,
    ],
  );
  return inserted === 1;
}

export async function findRelease(
  sql: Sql,
  product: string,
  version: string,
): Promise<StoredRelease | null> {
  const row = await sql.get<ReleaseRow>(
    `SELECT ${COLUMNS} FROM releases WHERE product = ? AND version = ?`,
    [product, version],
  );
  return row === undefined ? null : toRelease(row);
}

/** Newest first. */
export async function listReleases(
  sql: Sql,
  filter: {
    readonly product?: string | undefined;
    readonly channel?: Channel | undefined;
    readonly before: Cursor | null;
    readonly limit: number;
  },
): Promise<StoredRelease[]> {
  const where: string[] = ['1 = 1'];
  const params: SqlValue[] = [];
  for (const column of ['product', 'channel'] as const) {
    const wanted = filter[column];
    if (wanted === undefined) continue;
    where.push(`${column} = ?`);
    params.push(wanted);
  }
  if (filter.before !== null) {
    where.push('(published_at < ? OR (published_at = ? AND id < ?))');
    params.push(filter.before.at, filter.before.at, filter.before.id);
  }
  params.push(filter.limit);
  const rows = await sql.all<ReleaseRow>(
    `SELECT ${COLUMNS} FROM releases WHERE ${where.join(' AND ')}
     ORDER BY published_at DESC, id DESC LIMIT ?`,
    params,
  );
  return rows.map(toRelease);
}

export const releaseView = (release: StoredRelease): Answer<'releases.list'>['items'][number] => ({
  id: release.id,
  product: release.manifest.product,
  version: release.manifest.version,
  channel: release.manifest.channel,
  sequence: release.manifest.sequence,
  state: release.state,
  manifest_sha256: release.manifestSha256,
  artifacts: release.manifest.artifacts,
  published_at: toIso(release.publishedAt),
});
