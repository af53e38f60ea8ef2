import { Injectable } from '@nestjs/common';
import {
  consistencySteps,
  Frontier,
  inclusionSteps,
  leafHash,
  leafOf,
  nodesOf,
  proofOf,
  type Hash,
  type Node,
  type ProofStep,
} from '../../core/audit/index.js';
import { FleetError, invariant } from '../../core/kernel/index.js';
import { rowsOf, type Sql, type SqlValue, type Tx } from '../platform/database/index.js';
import { AUDIT_COLUMNS, toEntry, type AuditRow } from './audit-log.js';

/** Leaves that one transaction adds: some 50 ms, while writers on SQLite wait. */
export const LEAVES_PER_GROWTH_MAX = 2_000;
/** 3 columns; SQLite takes 32 766 parameters a statement. */
const NODES_PER_INSERT = 500;

const keyOf = ({ level, index }: Node): string => `${level}/${index}`;

/**
 * The Merkle tree over the entries, as rows: one for each complete subtree, about two for an entry.
 * It grows when a checkpoint is made, not when an entry is written, so no deed waits for it.
 */
@Injectable()
export class AuditTree {
  /** How many leaves it has, and the last entry that lies in a sealed segment. */
  async state(sql: Sql): Promise<{ readonly size: number; readonly sealedThrough: number }> {
    const row = await sql.get<{ size: number; sealed_through: number }>(
      'SELECT size, sealed_through FROM audit_tree WHERE id = 1',
    );
    return { size: row?.size ?? 0, sealedThrough: row?.sealed_through ?? 0 };
  }

  /**
   * Adds the leaves of entries up to `through`, at most `LEAVES_PER_GROWTH_MAX` of them, and gives
   * what the tree is then. Holds the row of the tree until the end of the transaction, so that of
   * several managers one grows it.
   */
  async grow(tx: Tx): Promise<{ readonly tree: Frontier; readonly isComplete: boolean }> {
    const held = await tx.get<{ size: number }>(
      'UPDATE audit_tree SET size = size WHERE id = 1 RETURNING size',
    );
    const head = await tx.get<{ value: number }>('SELECT value FROM audit_head WHERE id = 1');
    const tree = await this.frontier(tx, held?.size ?? 0);
    const through = Math.min(head?.value ?? 0, tree.size + LEAVES_PER_GROWTH_MAX);
    if (tree.size < through) await this.#add(tx, tree, through);
    return { tree, isComplete: tree.size === (head?.value ?? 0) };
  }

  /** What the first `size` entries hash to; `size` is at most that of the tree. */
  async frontier(sql: Sql, size: number): Promise<Frontier> {
    const nodes = nodesOf(0, size);
    const at = await this.#read(sql, [nodes]);
    return new Frontier(size, nodes.map(at));
  }

  /** Throws `invalid_request` when there is no tree of that size yet, or the entry is not in it. */
  async inclusion(
    sql: Sql,
    entry: number,
    size: number,
  ): Promise<{ readonly leaf: Hash; readonly path: readonly Hash[] }> {
    await this.#requireSize(sql, size);
    if (entry > size) throw invalid(`entry ${entry} is not among the first ${size}`);
    const steps = inclusionSteps(entry - 1, size);
    const leaf = { level: 0, index: entry - 1 };
    const at = await this.#read(sql, [[leaf], ...steps]);
    return { leaf: at(leaf), path: proofOf(steps, at) };
  }

  /** Throws `invalid_request` when `from` is above `to`, or there is no tree of that size yet. */
  async consistency(sql: Sql, from: number, to: number): Promise<readonly Hash[]> {
    await this.#requireSize(sql, to);
    if (from > to) throw invalid('`from` is above `to`');
    const steps = consistencySteps(from, to);
    return proofOf(steps, await this.#read(sql, steps));
  }

  async #requireSize(sql: Sql, size: number): Promise<void> {
    const { size: grown } = await this.state(sql);
    if (size > grown) {
      throw invalid(`the newest checkpoint has ${grown} entries; make one, or ask for fewer`);
    }
  }

  async #add(tx: Tx, tree: Frontier, through: number): Promise<void> {
    const rows = await tx.all<AuditRow>(
      `SELECT ${AUDIT_COLUMNS} FROM audit_entries WHERE id > ? AND id <= ? ORDER BY id`,
      [tree.size, through],
    );
    const made: SqlValue[][] = [];
    for (const row of rows) {
      invariant(row.id === tree.size + 1, `audit entry ${tree.size + 1} is missing`);
      tree.append(leafHash(leafOf(toEntry(row))), ({ level, index }, hash) => {
        made.push([level, index, hash.toString('base64')]);
      });
    }
    invariant(tree.size === through, `audit entry ${tree.size + 1} is missing`);
    for (let start = 0; start < made.length; start += NODES_PER_INSERT) {
      const chunk = made.slice(start, start + NODES_PER_INSERT);
      await tx.run(
        `INSERT INTO audit_nodes (level, position, hash) VALUES ${rowsOf(chunk.length, '(?, ?, ?)')}`,
        chunk.flat(),
      );
    }
    await tx.run('UPDATE audit_tree SET size = ? WHERE id = 1', [through]);
  }

  /** Some 60 rows for the longest proof, each by its key. */
  async #read(sql: Sql, steps: readonly ProofStep[]): Promise<(node: Node) => Hash> {
    const known = new Map<string, Hash>();
    for (const node of steps.flat()) {
      const row = await sql.get<{ hash: string }>(
        'SELECT hash FROM audit_nodes WHERE level = ? AND position = ?',
        [node.level, node.index],
      );
      invariant(row !== undefined, `the audit tree lacks node ${keyOf(node)}`);
      known.set(keyOf(node), Buffer.from(row.hash, 'base64'));
    }
    return (node) => {
      const hash = known.get(keyOf(node));
      invariant(hash !== undefined, 'a node that was not read');
      return hash;
    };
  }
}

const invalid = (message: string): FleetError => new FleetError('invalid_request', message);
