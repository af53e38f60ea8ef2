import { toIso } from '../../core/kernel/index.js';
import { imageDigestsOf, type Channel, type Manifest } from '../../core/release/index.js';
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
  /** Of a draft: when it was stored. */
  readonly publishedAt: number;
  readonly yanked?: { readonly at: number; readonly reason: string } | null;
}

interface ReleaseRow {
  id: string;
  state: StoredRelease['state'];
  manifest: string;
  manifest_sha256: string;
  signatures: string;
  published_at: number;
  yanked_at: number | null;
  yank_reason: string | null;
}

const WRITTEN = 'id, state, manifest, manifest_sha256, signatures, published_at';
const COLUMNS = `${WRITTEN}, yanked_at, yank_reason`;

const toRelease = (row: ReleaseRow): StoredRelease => ({
  id: row.id,
  state: row.state,
  manifest: JSON.parse(row.manifest) as Manifest,
  manifestText: row.manifest,
  manifestSha256: row.manifest_sha256,
  signatures: JSON.parse(row.signatures) as string[],
  publishedAt: row.published_at,
  yanked: row.yanked_at === null ? null : { at: row.yanked_at, reason: row.yank_reason ?? '' },
});

/** Every digest that a release needs to be in the store. */
export const digestsOf = ({ artifacts, deltas = [] }: Manifest): readonly string[] => [
  ...new Set([...artifacts, ...deltas].map(({ sha256 }) => sha256)),
];

/**
 * False when this product and version exists already on this channel; then nothing was written. A
 * draft of it gives way.
 */
export async function insertRelease(tx: Tx, release: StoredRelease): Promise<boolean> {
  const { manifest } = release;
  const { product, version, channel } = manifest;
  await tx.run(
    `DELETE FROM releases WHERE product = ? AND version = ? AND channel = ? AND state = 'draft'`,
    [product, version, channel],
  );
  const inserted = await tx.run(
    `INSERT INTO releases (${WRITTEN}, product, version, channel, sequence)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (product, version, channel) DO NOTHING`,
    [
      release.id,
      release.state,
      release.manifestText,
      release.manifestSha256,
      JSON.stringify(release.signatures),
      release.publishedAt,
      product,
      version,
      channel,
      manifest.sequence,
    ],
  );
  if (inserted !== 1) return false;
  for (const sha256 of digestsOf(manifest)) {
    await tx.run('INSERT INTO release_blobs (sha256, release_id) VALUES (?, ?)', [
      sha256,
      release.id,
    ]);
  }
  return true;
}

/** On one channel: there is one at most. */
export async function findRelease(
  sql: Sql,
  { product, version, channel }: Pick<Manifest, 'product' | 'version'> & { channel: string },
): Promise<StoredRelease | null> {
  const row = await sql.get<ReleaseRow>(
    `SELECT ${COLUMNS} FROM releases WHERE product = ? AND version = ? AND channel = ?`,
    [product, version, channel],
  );
  return row === undefined ? null : toRelease(row);
}

export async function releaseById(sql: Sql, id: string): Promise<StoredRelease | null> {
  const row = await sql.get<ReleaseRow>(`SELECT ${COLUMNS} FROM releases WHERE id = ?`, [id]);
  return row === undefined ? null : toRelease(row);
}

/** What is known of a version, on whatever channel; drafts are not. */
export async function releasesOfVersion(
  sql: Sql,
  product: string,
  version: string,
): Promise<StoredRelease[]> {
  const rows = await sql.all<ReleaseRow>(
    `SELECT ${COLUMNS} FROM releases WHERE product = ? AND version = ? AND state <> 'draft'
     ORDER BY published_at, id`,
    [product, version],
  );
  return rows.map(toRelease);
}

/** Of one product, newest first. */
export async function publishedOf(
  sql: Sql,
  product: string,
  limit: number,
): Promise<StoredRelease[]> {
  const rows = await sql.all<ReleaseRow>(
    `SELECT ${COLUMNS} FROM releases WHERE product = ? AND state = 'published'
     ORDER BY published_at DESC, id DESC LIMIT ?`,
    [product, limit],
  );
  return rows.map(toRelease);
}

/** Those of one product that let workloads run this image (hex), newest first. */
export async function publishedOfImage(
  sql: Sql,
  product: string,
  sha256: string,
  limit: number,
): Promise<StoredRelease[]> {
  // Narrowed down by the text; what counts is where in the manifest the digest stands.
  const rows = await sql.all<ReleaseRow>(
    `SELECT ${COLUMNS} FROM releases WHERE product = ? AND state = 'published' AND manifest LIKE ?
     ORDER BY published_at DESC, id DESC LIMIT ?`,
    [product, `%"sha256:${sha256}"%`, limit],
  );
  return rows
    .map(toRelease)
    .filter(({ manifest }) => imageDigestsOf(manifest).includes(`sha256:${sha256}`));
}

/** Whether this version was taken back. */
export async function isYanked(sql: Sql, product: string, version: string): Promise<boolean> {
  const row = await sql.get(
    `SELECT 1 AS found FROM releases WHERE product = ? AND version = ? AND state = 'yanked' LIMIT 1`,
    [product, version],
  );
  return row !== undefined;
}

/** Every published release of a version becomes yanked; gives how many. Idempotent. */
export function yankVersion(
  tx: Tx,
  yank: {
    readonly product: string;
    readonly version: string;
    readonly reason: string;
    readonly at: number;
  },
): Promise<number> {
  return tx.run(
    `UPDATE releases SET state = 'yanked', yanked_at = ?, yank_reason = ?
     WHERE product = ? AND version = ? AND state = 'published'`,
    [yank.at, yank.reason, yank.product, yank.version],
  );
}

export interface ReleaseFilter {
  readonly product?: string | undefined;
  readonly version?: string | undefined;
  readonly channel?: Channel | undefined;
  readonly state?: StoredRelease['state'] | undefined;
  readonly before: Cursor | null;
  readonly limit: number;
}

/** Newest first. */
export async function listReleases(sql: Sql, filter: ReleaseFilter): Promise<StoredRelease[]> {
  const where: string[] = ['1 = 1'];
  const params: SqlValue[] = [];
  for (const column of ['product', 'version', 'channel', 'state'] as const) {
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

/**
 * Of these digests, those that something needs: a draft, a published release, or one that was yanked
 * after `yankedAfterMs`.
 */
export async function neededOf(
  sql: Sql,
  digests: readonly string[],
  yankedAfterMs: number,
): Promise<Set<string>> {
  if (digests.length === 0) return new Set();
  const rows = await sql.all<{ sha256: string }>(
    `SELECT DISTINCT b.sha256 FROM release_blobs b JOIN releases r ON r.id = b.release_id
     WHERE b.sha256 IN (${digests.map(() => '?').join(', ')})
       AND (r.state <> 'yanked' OR r.yanked_at > ?)`,
    [...digests, yankedAfterMs],
  );
  return new Set(rows.map(({ sha256 }) => sha256));
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
  yanked:
    release.yanked === null || release.yanked === undefined
      ? null
      : { at: toIso(release.yanked.at), reason: release.yanked.reason },
});
