import { createHash, randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { expect, it } from 'vitest';
import { describeOnBothDatabases, makeTempDir } from '../../../test/support/databases.js';
import {
  manifestBytes,
  newSecretKey,
  signMinisign,
  type Manifest,
} from '../../core/release/index.js';
import { AuditLog } from '../audit/index.js';
import { EventLog } from '../events/index.js';
import { systemCaller, type Database } from '../platform/index.js';
import { Releases } from './releases.js';
import { isYanked, listReleases, neededOf, publishedOf } from './releases.store.js';
import { saveSource, sourceStates } from './sources/sources.store.js';
import type { Blobs } from './store/blobs.port.js';
import { DiskBlobs } from './store/disk-blobs.js';

const KEY = newSecretKey({ seed: randomBytes(32), keyId: randomBytes(8) });
const CALLER = systemCaller('pipeline');
const BYTES = Buffer.from('an artifact');
const SHA256 = createHash('sha256').update(BYTES).digest('hex');

const aManifest = (change: Partial<Manifest> = {}): string =>
  Buffer.from(
    manifestBytes({
      schema: 'bellwether.manifest.v1',
      product: 'edge',
      version: '1.4.0',
      channel: 'stable',
      released_at: '2026-11-20T08:00:00Z',
      sequence: 14,
      artifacts: [
        {
          os: 'linux',
          arch: 'x64',
          variant: 'default',
          format: 'tar.gz',
          file: 'edge.tar.gz',
          size: BYTES.length,
          sha256: SHA256,
        },
      ],
      ...change,
    }),
  ).toString('utf8');

function signed(text: string, comment = 'x'): string {
  const signature = signMinisign(KEY, Buffer.from(text), comment);
  if (!signature.ok) throw new Error(signature.error.message);
  return signature.value;
}

interface Ground {
  readonly database: Database;
  readonly blobs: Blobs;
  readonly releases: Releases;
  readonly tick: () => void;
}

async function withGround(
  open: () => Promise<Database>,
  work: (ground: Ground) => Promise<void>,
): Promise<void> {
  const dir = makeTempDir();
  try {
    const database = await open();
    const blobs = new DiskBlobs(join(dir.path, 'blobs'));
    await blobs.put(SHA256, Readable.from([BYTES]), 1_000);
    let now = Date.parse('2026-11-20T09:00:00Z');
    const clock = { now: () => now };
    const audit = new AuditLog(clock);
    const releases = new Releases(database, blobs, audit, new EventLog(), clock);
    await work({ database, blobs, releases, tick: () => (now += 1_000) });
  } finally {
    dir.remove();
  }
}

describeOnBothDatabases('the catalog of releases', (open) => {
  const records = async (database: Database): Promise<{ audit: string[]; events: string[] }> => ({
    audit: (
      await database.read.all<{ action: string }>('SELECT action FROM audit_entries ORDER BY id')
    ).map(({ action }) => action),
    events: (await database.read.all<{ type: string }>('SELECT type FROM events ORDER BY id')).map(
      ({ type }) => type,
    ),
  });

  it('keeps manifest and signatures byte for byte, with one audit entry and one event', async () => {
    await withGround(open, async ({ database, releases }) => {
      const text = aManifest({ notes: 'ünïcode \u2028 and "quotes" ? $1' });
      const signatures = [signed(text), signed(text, 'again')];
      const release = await releases.publish(text, signatures, CALLER);
      const found = await releases.find('edge', '1.4.0', 'stable');
      expect(found).toEqual(release);
      expect(found).toMatchObject({ manifestText: text, signatures, state: 'published' });
      expect(await records(database)).toEqual({
        audit: ['release.publish'],
        events: ['release_published'],
      });
    });
  });

  it('keeps nothing of a publication that cannot be recorded', async () => {
    await withGround(open, async ({ database, releases }) => {
      const text = aManifest();
      const rename = (from: string, to: string): Promise<number> =>
        database.transaction((tx) => tx.run(`ALTER TABLE ${from} RENAME TO ${to}`));
      await rename('audit_entries', 'entries_away');
      await expect(releases.publish(text, [signed(text)], CALLER)).rejects.toThrow('audit_entries');
      await rename('entries_away', 'audit_entries');
      expect(await releases.find('edge', '1.4.0', 'stable')).toBeNull();
      expect(await records(database)).toEqual({ audit: [], events: [] });
      await releases.publish(text, [signed(text)], CALLER);
    });
  });

  it('finds a release on its own channel only', async () => {
    await withGround(open, async ({ releases }) => {
      const text = aManifest();
      await releases.publish(text, [signed(text)], CALLER);
      expect(await releases.find('edge', '1.4.0', 'beta')).toBeNull();
      expect(await releases.find('edge', '1.4.1', 'stable')).toBeNull();
      expect(await releases.find('gateway', '1.4.0', 'stable')).toBeNull();
    });
  });

  it('takes a release only when its deltas are here too', async () => {
    await withGround(open, async ({ releases, blobs }) => {
      const delta = Buffer.from('a delta');
      const sha256 = createHash('sha256').update(delta).digest('hex');
      const { artifacts } = JSON.parse(aManifest()) as Manifest;
      const host = { os: 'linux', arch: 'x64', variant: 'default' } as const;
      const text = aManifest({
        artifacts: artifacts.map((one) => ({ ...one, content: { size: 9, sha256: SHA256 } })),
        deltas: [
          {
            ...host,
            format: 'bellwether.delta.v1',
            from_version: '1.3.0',
            from_sha256: 'ab'.repeat(32),
            file: 'edge.delta',
            size: delta.length,
            sha256,
          },
        ],
      });
      await expect(releases.publish(text, [signed(text)], CALLER)).rejects.toMatchObject({
        code: 'release_artifact_missing',
        context: { missing: [{ file: 'edge.delta', sha256, size: delta.length, found: null }] },
      });
      await blobs.put(sha256, Readable.from([delta]), 1_000);
      await releases.publish(text, [signed(text)], CALLER);
    });
  });

  it('answers the same publication again with the same release, and records it once', async () => {
    await withGround(open, async ({ database, releases, tick }) => {
      const text = aManifest();
      const both = [signed(text), signed(text, 'again')];
      const first = await releases.publish(text, both, CALLER);
      tick();
      expect(await releases.publish(text, both.toReversed(), CALLER)).toEqual(first);
      expect((await records(database)).audit).toHaveLength(1);
    });
  });

  it('makes one release of the same publication sent many times at once', async () => {
    await withGround(open, async ({ database, releases }) => {
      const text = aManifest();
      const signatures = [signed(text)];
      const all = await Promise.all(
        Array.from({ length: 5 }, () => releases.publish(text, signatures, CALLER)),
      );
      expect(new Set(all.map(({ id }) => id)).size).toBe(1);
      expect(await records(database)).toMatchObject({ events: ['release_published'] });
    });
  });

  it.each<[string, string, readonly string[], string]>([
    [
      'another manifest',
      aManifest({ sequence: 15 }),
      [signed(aManifest({ sequence: 15 }))],
      'release_exists',
    ],
    ['other signatures', aManifest(), [signed(aManifest(), 'other')], 'release_exists'],
    [
      'a narrower channel',
      aManifest({ channel: 'beta', sequence: 15 }),
      [signed(aManifest({ channel: 'beta', sequence: 15 }))],
      'release_not_wider',
    ],
  ])('refuses a version that exists with %s', async (_what, text, signatures, code) => {
    await withGround(open, async ({ database, releases }) => {
      await releases.publish(aManifest(), [signed(aManifest())], CALLER);
      await expect(releases.publish(text, signatures, CALLER)).rejects.toMatchObject({ code });
      expect((await records(database)).events).toHaveLength(1);
    });
  });

  const artifact = (JSON.parse(aManifest()) as Manifest).artifacts[0]!;
  it.each<[string, string, readonly string[] | null, string]>([
    ['a manifest that is not canonical', ` ${aManifest()}`, null, 'upgrade_manifest_invalid'],
    ['a manifest that is none', '{}', null, 'upgrade_manifest_invalid'],
    ['a malformed signature', aManifest(), ['junk'], 'upgrade_signature_invalid'],
    [
      'one malformed signature of two',
      aManifest(),
      [signed(aManifest()), 'junk'],
      'upgrade_signature_invalid',
    ],
    ['no signature', aManifest(), [], 'upgrade_signature_invalid'],
    [
      'an artifact that is not there',
      aManifest({ artifacts: [{ ...artifact, sha256: 'f'.repeat(64) }] }),
      null,
      'release_artifact_missing',
    ],
    [
      'an artifact of another size',
      aManifest({ artifacts: [{ ...artifact, size: 12_345 }] }),
      null,
      'release_artifact_missing',
    ],
  ])('refuses %s and writes nothing', async (_what, text, signatures, code) => {
    await withGround(open, async ({ database, releases }) => {
      const given = signatures ?? [signed(text)];
      await expect(releases.publish(text, given, CALLER)).rejects.toMatchObject({ code });
      expect(await records(database)).toEqual({ audit: [], events: [] });
      expect(await releases.find('edge', '1.4.0', 'stable')).toBeNull();
    });
  });

  it('says which artifacts are missing, all at once', async () => {
    await withGround(open, async ({ releases }) => {
      const text = aManifest({
        artifacts: [
          artifact,
          { ...artifact, arch: 'arm64', file: 'b.tar.gz', sha256: 'b'.repeat(64) },
          { ...artifact, os: 'darwin', file: 'c.tar.gz', size: 5 },
        ],
      });
      await expect(releases.publish(text, [signed(text)], CALLER)).rejects.toMatchObject({
        context: {
          missing: [
            { file: 'b.tar.gz', sha256: 'b'.repeat(64), size: BYTES.length, found: null },
            { file: 'c.tar.gz', sha256: SHA256, size: 5, found: BYTES.length },
          ],
        },
      });
    });
  });

  it('knows a version on each channel, and takes it back on all of them', async () => {
    await withGround(open, async ({ database, releases, tick }) => {
      const dev = aManifest({ channel: 'dev', sequence: 13 });
      const draft = aManifest({ notes: 'not yet' });
      const first = await releases.publish(dev, [signed(dev)], CALLER);
      await releases.publish(draft, [], CALLER, { draft: true });
      await releases.publish(aManifest(), [signed(aManifest())], CALLER);
      const wide = await releases.published('edge', '1.4.0');
      expect(wide?.manifest).toMatchObject({ channel: 'stable', sequence: 14 });
      expect((await releases.published('edge', '1.4.0', 'dev'))?.id).toBe(first.id);
      expect(await publishedOf(database.read, 'edge', 10)).toHaveLength(2);
      expect(await isYanked(database.read, 'edge', '1.4.0')).toBe(false);
      expect(await neededOf(database.read, [SHA256, 'f'.repeat(64)], -1)).toEqual(
        new Set([SHA256]),
      );
      tick();
      await Promise.all([
        releases.yank(first, 'ill', CALLER),
        releases.yank(first, 'again', CALLER),
      ]);
      expect(await isYanked(database.read, 'edge', '1.4.0')).toBe(true);
      expect(await publishedOf(database.read, 'edge', 10)).toEqual([]);
      await expect(releases.wanted('edge', '1.4.0', 'stable')).rejects.toMatchObject({
        code: 'release_yanked',
      });
      const { audit, events } = await records(database);
      expect(audit).toEqual([
        'release.publish',
        'release.draft',
        'release.promote',
        'release.yank',
      ]);
      expect(events).toHaveLength(4);
      const yankedAt = Date.parse('2026-11-20T09:00:01Z');
      expect(await neededOf(database.read, [SHA256], yankedAt - 1)).toEqual(new Set([SHA256]));
      expect(await neededOf(database.read, [SHA256], yankedAt)).toEqual(new Set());
    });
  });

  it('remembers each source from one look to the next', async () => {
    await withGround(open, async ({ database }) => {
      const state = { etag: '"x"', nextAt: 1_795_219_200_123, failures: 0, lastResult: null };
      const save = (next: typeof state): Promise<void> =>
        database.transaction((tx) => saveSource(tx, 's', next));
      await save(state);
      expect((await sourceStates(database.read)).get('s')).toEqual(state);
      await save({ ...state, failures: 3 });
      expect((await sourceStates(database.read)).get('s')).toEqual({ ...state, failures: 3 });
    });
  });

  it('lists newest first, by product and channel, page by page', async () => {
    await withGround(open, async ({ database, releases, tick }) => {
      const versions = ['1.0.0', '1.1.0', '1.2.0', '1.3.0', '1.4.0'];
      for (const [index, version] of versions.entries()) {
        const channel = index === 1 ? 'beta' : 'stable';
        const text = aManifest({ version, channel, product: index === 2 ? 'gateway' : 'edge' });
        await releases.publish(text, [signed(text)], CALLER);
        // Two of the same millisecond must not be lost between pages.
        if (index !== 3) tick();
      }
      const page = (filter: object, limit = 10): ReturnType<typeof listReleases> =>
        listReleases(database.read, { before: null, limit, ...filter });
      const shown = async (rows: ReturnType<typeof listReleases>): Promise<string[]> =>
        (await rows).map(({ manifest }) => manifest.version);
      expect((await shown(page({}))).slice(2)).toEqual(['1.2.0', '1.1.0', '1.0.0']);
      expect(await shown(page({ channel: 'beta' }))).toEqual(['1.1.0']);
      expect(await shown(page({ product: 'gateway' }))).toEqual(['1.2.0']);
      const walked: string[] = [];
      for (let before = null as { at: number; id: string } | null; ;) {
        const [row] = await page({ before }, 1);
        if (row === undefined) break;
        walked.push(row.manifest.version);
        before = { at: row.publishedAt, id: row.id };
      }
      expect(walked.toSorted()).toEqual(versions);
    });
  });
});
