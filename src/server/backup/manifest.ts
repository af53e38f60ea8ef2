import { z } from 'zod';
import { FleetError } from '../../core/kernel/index.js';

/** Of the folder that a backup is; another number is refused. */
export const BACKUP_FORMAT = 1;
/** A row for each table and each artifact: some thousand at most. */
export const MANIFEST_BYTES_MAX = 64 * 1024 * 1024;
export const MANIFEST_FILE = 'manifest.json';

const Sha256 = z.string().regex(/^[0-9a-f]{64}$/);
const Name = z.string().regex(/^[a-z][a-z0-9_]{0,62}$/);
const Count = z.int().nonnegative();

/** What of a data directory is kept, and so the only paths that a restore ever writes. */
const KEPT =
  /^(master\.key|audit-key(\.sealed)?\.json|second-factor\.key|audit-segments\/[a-z0-9-]{1,80}\.ndjson(\.checkpoint)?|blobs\/sha256\/([0-9a-f]{2})\/\4[0-9a-f]{62})$/;

/** What a backup says of itself. Digests are SHA-256, hex. */
const Manifest = z.strictObject({
  format: z.literal(BACKUP_FORMAT),
  product: z.literal('bellwether'),
  version: z.string().max(100),
  /** RFC 3339: everything that was committed before is in it, and nothing after. */
  made_at: z.iso.datetime(),
  store: z.enum(['sqlite', 'postgres']),
  migrations: z.array(z.string().max(200)).min(1).max(10_000),
  tables: z
    .array(
      z.strictObject({
        name: Name,
        columns: z
          .array(z.strictObject({ name: Name, kind: z.enum(['text', 'integer', 'bytes']) }))
          .min(1),
        key: z.array(Name).min(1),
        rows: Count,
        /** Over the lines of the rows, in the order of the key. */
        sha256: Sha256,
      }),
    )
    .max(1_000),
  files: z
    .array(z.strictObject({ path: z.string().regex(KEPT), bytes: Count, sha256: Sha256 }))
    .max(1_000_000),
  /** Whether it can be used without anything else than itself. */
  left_out: z.array(z.enum(['master_key', 'artifacts', 'audit_key'])),
});
export type Manifest = z.output<typeof Manifest>;
export type KeptFile = Manifest['files'][number];

export const isKept = (path: string): boolean => KEPT.test(path);

/** Throws `backup_damaged` for what is no manifest, and for one of a format that we do not know. */
export function parseManifest(text: string): Manifest {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new FleetError('backup_damaged', `${MANIFEST_FILE} is no JSON`, { cause: error });
  }
  const { format } = (json ?? {}) as { format?: unknown };
  if (typeof format === 'number' && format !== BACKUP_FORMAT) {
    throw new FleetError(
      'backup_damaged',
      `this backup has the format ${format}; this version reads ${BACKUP_FORMAT}`,
    );
  }
  const parsed = Manifest.safeParse(json);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const where = issue?.path.join('.') ?? '';
  throw new FleetError('backup_damaged', `${MANIFEST_FILE}: ${where}: ${issue?.message ?? ''}`);
}
