import { Frontier, leafHash, leafOf, nodesOf, parseCheckpoint } from '../../core/audit/index.js';
import { FleetError } from '../../core/kernel/index.js';
import type { Sql } from '../platform/database/index.js';
import { AUDIT_COLUMNS, toEntry, type AuditRow } from './audit-log.js';

const PAGE = 500;

/** What was found right. */
export interface VerifiedLog {
  /** Entries in the table; those in sealed segments are files, with digests of their own. */
  readonly entries: number;
  /** Leaves of the tree, and what they hash to. */
  readonly size: number;
  readonly root: string;
  readonly checkpoints: number;
}

/**
 * Hashes every entry in the table anew and compares with the tree, and the tree with every checkpoint:
 * nothing is missing, doubled or changed. Some hundred rows in memory. Throws `backup_damaged` with the first
 * difference. Signatures are not its matter: those who keep the verifier's key check them.
 */
export async function verifyStoredLog(sql: Sql): Promise<VerifiedLog> {
  const tree = await sql.get<{ size: number; sealed_through: number }>(
    'SELECT size, sealed_through FROM audit_tree WHERE id = 1',
  );
  const head = await sql.get<{ value: number }>('SELECT value FROM audit_head WHERE id = 1');
  const { size = 0, sealed_through: sealedThrough = 0 } = tree ?? {};
  const checkpoints = await verifyCheckpoints(sql, size);
  const frontier = await frontierAt(sql, sealedThrough);
  let entries = 0;
  for (let after = sealedThrough; ;) {
    const rows = await sql.all<AuditRow>(
      `SELECT ${AUDIT_COLUMNS} FROM audit_entries WHERE id > ? ORDER BY id LIMIT ${PAGE}`,
      [after],
    );
    for (const row of rows) {
      if (row.id !== after + 1) throw damaged(`audit entry ${after + 1} is missing`);
      after = row.id;
      entries += 1;
      if (row.id <= size) frontier.append(leafHash(leafOf(toEntry(row))));
    }
    if (rows.length < PAGE) {
      if (after !== (head?.value ?? 0)) throw damaged(`audit entry ${after + 1} is missing`);
      break;
    }
  }
  const root = (await frontierAt(sql, size)).root;
  if (frontier.size !== size || !frontier.root.equals(root)) {
    throw damaged('an audit entry was changed: the entries do not hash to the tree');
  }
  return { entries, size, root: root.toString('base64'), checkpoints };
}

async function frontierAt(sql: Sql, size: number): Promise<Frontier> {
  const hashes: Buffer[] = [];
  for (const { level, index } of nodesOf(0, size)) {
    const row = await sql.get<{ hash: string }>(
      'SELECT hash FROM audit_nodes WHERE level = ? AND position = ?',
      [level, index],
    );
    if (row === undefined) throw damaged(`the audit tree lacks node ${level}/${index}`);
    hashes.push(Buffer.from(row.hash, 'base64'));
  }
  return new Frontier(size, hashes);
}

async function verifyCheckpoints(sql: Sql, size: number): Promise<number> {
  let count = 0;
  for (let [after, origin] = [-1, '']; ;) {
    const rows = await sql.all<{ size: number; origin: string; note: string }>(
      `SELECT size, origin, note FROM audit_checkpoints
       WHERE size > ? OR (size = ? AND origin > ?) ORDER BY size, origin LIMIT ${PAGE}`,
      [after, after, origin],
    );
    for (const row of rows) {
      const told = parseCheckpoint(row.note);
      const isRight =
        told.ok &&
        row.size <= size &&
        told.value.size === row.size &&
        (await frontierAt(sql, row.size)).root.equals(told.value.root);
      if (!isRight) throw damaged(`the audit tree is not what was signed at ${row.size} entries`);
      [after, origin] = [row.size, row.origin];
      count += 1;
    }
    if (rows.length < PAGE) return count;
  }
}

const damaged = (what: string): FleetError => new FleetError('backup_damaged', what);
