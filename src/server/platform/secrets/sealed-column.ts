import type { Tx } from '../database/index.js';
import type { SealedPlaces, Secrets } from './secrets.js';

/**
 * Sealed texts in a column; null where there is none. Names are constants of the code. A row is swapped only
 * while it holds what was read.
 */
export function sealedColumn(
  secrets: Secrets,
  at: {
    readonly purpose: string;
    readonly table: string;
    readonly id: string;
    readonly column: string;
  },
): SealedPlaces {
  const { purpose, table, id, column } = at;
  const find = `SELECT ${id} AS id, ${column} AS sealed FROM ${table}
    WHERE ${column} LIKE 'sealed:%' AND ${column} NOT LIKE ? ORDER BY ${id} LIMIT ?`;
  const swap = `UPDATE ${table} SET ${column} = ? WHERE ${id} = ? AND ${column} = ?`;
  return {
    reseal: async (tx: Tx, limit: number): Promise<number> => {
      const rows = await tx.all<{ id: string; sealed: string }>(find, [
        `${secrets.beginning}%`,
        limit,
      ]);
      for (const row of rows) {
        await tx.run(swap, [secrets.reseal(purpose, row.id, row.sealed), row.id, row.sealed]);
      }
      return rows.length;
    },
  };
}
