import type { Manifest } from '../../core/release/index.js';
import { insertRelease, type Database } from './parts.js';
import { GROUPS, PATHS, VERSIONS } from './scenario.js';

/** The groups and releases that every world has. */
export async function seedCatalog(database: Database, now: number): Promise<void> {
  await database.transaction(async (tx) => {
    for (const id of GROUPS) {
      const path = PATHS.get(id) ?? [];
      await tx.run(
        'INSERT INTO node_groups (id, name, parent_id, path, created_at) VALUES (?, ?, ?, ?, ?)',
        [id, id, path.at(-2) ?? null, `/${path.join('/')}/`, now],
      );
    }
    for (const version of VERSIONS) {
      const manifest = manifestOf(version);
      await insertRelease(tx, {
        id: `rel_00000${version.charAt(0)}`,
        state: 'published',
        manifest,
        manifestText: JSON.stringify(manifest),
        manifestSha256: '0'.repeat(64),
        signatures: ['signature'],
        publishedAt: now,
      });
    }
  });
}

const manifestOf = (version: string): Manifest => ({
  schema: 'bellwether.manifest.v1',
  product: 'edge',
  version,
  channel: 'stable',
  released_at: '2026-03-01T08:00:00Z',
  sequence: Number(version.charAt(0)),
  compatibility: { major_hops_max: 9 },
  artifacts: [
    {
      os: 'linux',
      arch: 'x64',
      variant: 'default',
      format: 'tar.gz',
      file: `edge-${version}.tar.gz`,
      size: 1,
      sha256: '0'.repeat(64),
    },
  ],
});
