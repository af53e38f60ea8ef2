import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import {
  describeOnBothDatabases,
  makeMigratedPostgres,
  silentLog,
} from '../../../test/support/databases.js';
import { aMasterKey, secretsUnder } from '../../../test/support/secrets.js';
import {
  compareHistories,
  ExportVerifier,
  headerOf,
  leafHash,
  leafOf,
  parseVerifier,
  trustedCheckpoint,
  verifyInclusion,
  type Checkpoint,
} from '../../core/audit/index.js';
import { openDatabase, type Database, type Tx } from '../platform/database/index.js';
import { systemCaller } from '../platform/http/index.js';
import {
  AuditKey,
  AuditLog,
  AuditTree,
  Checkpoints,
  Segments,
  type NewAuditEntry,
  type StoredCheckpoint,
} from './index.js';

/** Of every manager here: some of them share a data directory. */
const MASTER_KEY = aMasterKey();
const START = Date.UTC(2026, 10, 21, 8);
const dirs: string[] = [];
afterEach(() => {
  for (const dir of dirs.splice(0)) rmSync(dir, { recursive: true, force: true });
});
const tempDir = (): string => {
  const dir = mkdtempSync(join(tmpdir(), 'bellwether-audit-'));
  dirs.push(dir);
  return dir;
};

const anEntry = (targetId: string): NewAuditEntry => ({
  caller: systemCaller('spec'),
  action: 'group.create',
  targetKind: 'group',
  targetId,
  groupId: 'grp_east00',
  outcome: 'allowed',
  details: { name: targetId },
});

/** One manager's audit parts on a database. */
async function auditOn(database: Database, dataDir = tempDir()) {
  let nowMs = START;
  const clock = { now: () => nowMs };
  const log = new AuditLog(clock);
  const tree = new AuditTree();
  const key = await AuditKey.open(
    { dataDir, publicOrigin: 'https://manager.example:8480' },
    secretsUnder(MASTER_KEY),
  );
  const checkpoints = new Checkpoints(database, log, tree, key, clock, silentLog);
  const config = { dataDir, auditRetentionDays: null };
  const segments = new Segments(database, log, tree, config, clock, silentLog);
  return {
    log,
    tree,
    key,
    checkpoints,
    segments,
    dataDir,
    advance: (ms: number) => void (nowMs += ms),
    add: async (...targets: readonly string[]) => {
      for (const target of targets) {
        await database.transaction((tx) => log.append(tx, anEntry(target)));
      }
    },
    trusted: ({ note }: StoredCheckpoint): Checkpoint => {
      const verifier = parseVerifier(key.verifierKey);
      if (!verifier.ok) throw new Error(verifier.error.message);
      const read = trustedCheckpoint(note, verifier.value);
      if (!read.ok) throw new Error(read.error.message);
      return read.value;
    },
  };
}

function problemWith(texts: readonly string[], checkpoints: readonly Checkpoint[]): string | null {
  const verifier = new ExportVerifier(checkpoints);
  for (const text of texts) {
    const [first = '', ...lines] = text.trimEnd().split('\n');
    const header = headerOf(first);
    if (!header.ok) return header.error.message;
    for (const taken of [
      verifier.begin(header.value),
      ...lines.map((line) => verifier.entry(line)),
    ])
      if (!taken.ok) return taken.error.message;
  }
  const ended = verifier.end();
  return ended.ok ? null : ended.error.message;
}

const textOf = async (lines: AsyncGenerator<string>): Promise<string> => {
  let text = '';
  for await (const chunk of lines) text += chunk;
  return text;
};
const names = (count: number, from = 0): string[] =>
  Array.from({ length: count }, (_, at) => `grp_${from + at}`);

describeOnBothDatabases('the audit tree', (openTestDatabase, kind) => {
  it('is that of the entries, at every checkpoint, and proves it', async () => {
    const database = await openTestDatabase();
    const audit = await auditOn(database);
    const made: Checkpoint[] = [audit.trusted(await audit.checkpoints.make())];
    for (const count of [1, 2, 4, 6, 3]) {
      await audit.add(...names(count));
      made.push(audit.trusted(await audit.checkpoints.make()));
    }
    expect(made.map(({ size }) => size)).toEqual([0, 1, 3, 7, 13, 16]);
    const newest = made.at(-1) as Checkpoint;
    const text = await textOf(audit.segments.lines(0, 16, audit.key.origin));
    expect(problemWith([text], made)).toBeNull();

    for (const earlier of made) {
      const path = await audit.tree.consistency(database.read, earlier.size, 16);
      expect(compareHistories(earlier, newest, path).ok).toBe(true);
    }
    const entries = await audit.log.readOn(database.read, {
      after: 0,
      through: 16,
      limit: 16,
      groups: 'all',
    });
    for (const entry of entries) {
      const { leaf, path } = await audit.tree.inclusion(database.read, entry.id, 16);
      expect(leaf.equals(leafHash(leafOf(entry)))).toBe(true);
      const { root } = newest;
      const given = { index: entry.id - 1, size: 16, leaf, path, root };
      expect(verifyInclusion(given).ok).toBe(true);
    }
  });

  it('has one checkpoint for one state, however often it is asked for', async () => {
    const database = await openTestDatabase();
    const audit = await auditOn(database);
    const heard: number[] = [];
    audit.checkpoints.onMade((_, { size }) => heard.push(size));
    await audit.add('grp_a');
    const notes = await Promise.all(
      names(8).map(async () => (await audit.checkpoints.make()).note),
    );
    expect(new Set(notes).size).toBe(1);
    expect(heard).toEqual([1]);
    expect((await audit.checkpoints.newest(database.read))?.note).toBe(notes[0]);
  });

  it('takes in a log that is older and longer than one growth', async () => {
    const database = await openTestDatabase();
    const audit = await auditOn(database);
    await database.transaction(async (tx) => {
      for (const name of names(4_100)) await audit.log.append(tx, anEntry(name));
    });
    const checkpoint = audit.trusted(await audit.checkpoints.make());
    expect(checkpoint.size).toBe(4_100);
    const text = await textOf(audit.segments.lines(0, 4_100, audit.key.origin));
    expect(problemWith([text], [checkpoint])).toBeNull();
  });

  it('asks for no tree that there is not', async () => {
    const database = await openTestDatabase();
    const audit = await auditOn(database);
    await audit.add('grp_a', 'grp_b');
    await audit.checkpoints.make();
    const { tree } = audit;
    const code = 'invalid_request';
    await expect(tree.consistency(database.read, 0, 3)).rejects.toMatchObject({ code });
    await expect(tree.consistency(database.read, 2, 1)).rejects.toMatchObject({ code });
    await expect(tree.inclusion(database.read, 2, 1)).rejects.toMatchObject({ code });
    await expect(tree.inclusion(database.read, 3, 2)).rejects.toMatchObject({ code });
  });

  it('finds entries that were changed behind its back', async () => {
    const database = await openTestDatabase();
    const audit = await auditOn(database);
    await audit.add(...names(9));
    const checkpoint = audit.trusted(await audit.checkpoints.make());
    await database.transaction(async (tx) => {
      await unlocked(tx, kind, async () => {
        await tx.run(`UPDATE audit_entries SET actor_name = 'nobody' WHERE id = 5`);
      });
    });
    const text = await textOf(audit.segments.lines(0, 9, audit.key.origin));
    expect(problemWith([text], [checkpoint])).toContain('entries 1 to 9');
  });
});

/** As the owner of the database can: the locks are of the database, and so is he. */
async function unlocked(tx: Tx, kind: string, work: () => Promise<void>): Promise<void> {
  const trigger = 'audit_entries_no_update';
  await tx.run(
    kind === 'sqlite' ? `DROP TRIGGER ${trigger}` : `DROP TRIGGER ${trigger} ON audit_entries`,
  );
  await work();
}

describeOnBothDatabases('the tables of the audit log', (openTestDatabase, kind) => {
  const refused = [
    `UPDATE audit_entries SET actor_name = 'nobody'`,
    `UPDATE audit_entries SET details = '{}' WHERE id = 1`,
    `DELETE FROM audit_entries`,
    `DELETE FROM audit_entries WHERE id = 3`,
    `UPDATE audit_head SET value = value - 1`,
    `DELETE FROM audit_head`,
    `UPDATE audit_tree SET size = size - 1`,
    `UPDATE audit_tree SET sealed_through = size + 1`,
    `DELETE FROM audit_tree`,
    `UPDATE audit_nodes SET hash = 'x'`,
    `DELETE FROM audit_nodes`,
    `UPDATE audit_checkpoints SET note = 'x'`,
    `DELETE FROM audit_checkpoints`,
    ...(kind === 'postgres' ? ['TRUNCATE audit_entries', 'TRUNCATE audit_nodes'] : []),
  ];
  it.each(refused)('refuse %s', async (sql) => {
    const database = await openTestDatabase();
    const audit = await auditOn(database);
    await audit.add('grp_a', 'grp_b', 'grp_c');
    const checkpoint = audit.trusted(await audit.checkpoints.make());
    await expect(database.transaction((tx) => tx.run(sql))).rejects.toThrow('is append-only');
    const text = await textOf(audit.segments.lines(0, 3, audit.key.origin));
    expect(problemWith([text], [checkpoint])).toBeNull();
  });
});

describeOnBothDatabases('retention', (openTestDatabase) => {
  it('seals old entries into files that stay verifiable, and keeps every proof', async () => {
    const database = await openTestDatabase();
    const audit = await auditOn(database);
    const keep: Checkpoint[] = [];
    for (const round of [0, 1, 2]) {
      await audit.add(...names(6, round * 7), 'line\u2028separators\u2029and\u0085more');
      keep.push(audit.trusted(await audit.checkpoints.make()));
      audit.advance(1_000);
    }
    const first = await audit.segments.seal(START);
    expect(first).toMatchObject({ firstId: 1, lastId: 7 });
    const second = await audit.segments.seal(START + 1_000);
    expect(second).toMatchObject({ firstId: 8, lastId: 14 });
    expect(await audit.segments.seal(START + 1_000)).toBeNull();

    const left = await audit.log.readOn(database.read, {
      after: 0,
      through: 100,
      limit: 100,
      groups: 'all',
    });
    // Seven that are too young, and the two that tell of the sealing.
    expect(left.map(({ id }) => id)).toEqual([15, 16, 17, 18, 19, 20, 21, 22, 23]);
    expect(left.at(-1)).toMatchObject({ action: 'audit.seal', details: { first: 8, last: 14 } });

    const newest = audit.trusted(await audit.checkpoints.make());
    const files = [first, second].map((segment) => readFileSync(segment?.file ?? '', 'utf8'));
    const rest = await textOf(audit.segments.lines(14, 23, audit.key.origin));
    expect(problemWith([...files, rest], [...keep, newest])).toBeNull();
    expect(problemWith([rest], [newest])).toBeNull();
    expect(problemWith([files[0] ?? ''], [keep[0] as Checkpoint])).toBeNull();
    expect(problemWith([files[0] ?? '', rest], [newest])).toContain('the one before ends at 7');
    expect(statSync(first?.file ?? '').mode & 0o777).toBe(0o600);

    for (const earlier of keep) {
      const path = await audit.tree.consistency(database.read, earlier.size, newest.size);
      expect(compareHistories(earlier, newest, path).ok).toBe(true);
    }
    const { leaf, path } = await audit.tree.inclusion(database.read, 3, newest.size);
    const given = { index: 2, size: newest.size, leaf, path, root: newest.root };
    expect(verifyInclusion(given).ok).toBe(true);
  });

  it('does not delete what its file does not hold', async () => {
    const database = await openTestDatabase();
    const audit = await auditOn(database);
    await audit.add('grp_a', 'grp_b');
    await audit.checkpoints.make();
    // A file where the directory of segments should be: nothing can be written.
    writeFileSync(join(audit.dataDir, 'audit-segments'), '');
    await expect(audit.segments.seal(START)).rejects.toThrow();
    expect((await audit.tree.state(database.read)).sealedThrough).toBe(0);
    const left = await audit.log.read(database.read, { before: null, limit: 9, groups: 'all' });
    expect(left.map(({ id }) => id)).toEqual([2, 1]);
  });
});

describe('several writers', () => {
  it('of two managers on one PostgreSQL give one gapless log with one tree', async () => {
    const { url, drop } = await makeMigratedPostgres();
    const open = () => openDatabase({ url, dataDir: tempDir(), log: silentLog });
    const databases = [await open(), await open()];
    const dataDir = tempDir();
    const managers: Awaited<ReturnType<typeof auditOn>>[] = [];
    for (const database of databases) managers.push(await auditOn(database, dataDir));
    try {
      const [one, two] = managers;
      if (one === undefined || two === undefined) throw new Error('two managers');
      await Promise.all([
        ...names(40).map((name) => one.add(name)),
        ...names(40, 40).map((name) => two.add(name)),
        ...names(4).map(() => one.checkpoints.make()),
        ...names(4).map(() => two.checkpoints.make()),
      ]);
      const notes = await Promise.all(managers.map(({ checkpoints }) => checkpoints.make()));
      expect(notes[0]?.note).toBe(notes[1]?.note);
      const sql = databases[0]?.read;
      if (sql === undefined) throw new Error('no database');
      const stored = await one.checkpoints.list(sql, { below: null, limit: 100 });
      const text = await textOf(two.segments.lines(0, 80, two.key.origin));
      expect(text.trimEnd().split('\n')).toHaveLength(81);
      expect(problemWith([text], stored.map(one.trusted))).toBeNull();
    } finally {
      for (const database of databases) await database.close();
      await drop();
    }
  });
});
