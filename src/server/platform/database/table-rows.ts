import { MIGRATIONS } from '../../../../migrations/index.js';
import { FleetError } from '../../../core/kernel/index.js';
import type { Sql, SqlValue } from './sql.js';

/** What a column holds, the same on both databases. */
export type ColumnKind = 'text' | 'integer' | 'bytes';

export interface Column {
  readonly name: string;
  readonly kind: ColumnKind;
}

/** A table as both databases have it: its columns by name, and what its rows are ordered by. */
export interface Table {
  readonly name: string;
  readonly columns: readonly Column[];
  readonly key: readonly string[];
}

export type Row = readonly SqlValue[];

/** The state of a whole database at one moment: whatever is written meanwhile is not in it. */
export interface TableReader {
  readonly kind: 'sqlite' | 'postgres';
  /** Single statements over the same state. */
  readonly sql: Sql;
  /** Names of the migrations that it has, oldest first; empty when it has no tables. */
  migrations(): Promise<readonly string[]>;
  /** All of them but the one of the migrations, by name. */
  tables(): Promise<readonly Table[]>;
  count(table: Table): Promise<number>;
  /** In the order of the key, texts by their bytes; some rows at a time, never a table as a whole. */
  rows(table: Table): AsyncIterable<readonly Row[]>;
  close(): Promise<void>;
}

/** A new database that is filled: all of it is there after `commit`, and nothing before. */
export interface TableWriter extends TableReader {
  /** Rows in any order. What migrations put there gives way to a row with the same key. */
  insert(table: Table, rows: readonly Row[]): Promise<void>;
  /** Checks what one row says of another. To be called once, behind the last row. */
  finish(): Promise<void>;
  commit(): Promise<void>;
}

/** Of this version, oldest first. */
export const MIGRATION_NAMES: readonly string[] = MIGRATIONS.map((one) => new one().name);

/** Of a list of rows that goes to a database or a file at once. */
export const ROWS_MAX = 500;
export const ROWS_BYTES_MAX = 1024 * 1024;

export const quoted = (name: string): string => `"${name.replaceAll('"', '""')}"`;

export const columnList = ({ columns }: Table): string =>
  columns.map(({ name }) => quoted(name)).join(', ');

const bad = (table: Table, column: number, what: string): FleetError => {
  const name = `${table.name}.${table.columns[column]?.name ?? '?'}`;
  return new FleetError('value_not_storable', `${name}: ${what}`, { context: { column: name } });
};

const fits = (value: SqlValue, kind: ColumnKind): boolean => {
  if (kind === 'integer') return Number.isSafeInteger(value);
  return kind === 'text' ? typeof value === 'string' : value instanceof Uint8Array;
};

/** The row as it came, or `value_not_storable` for what its columns are not made for. */
export function checkedRow(table: Table, row: Row): Row {
  for (const [at, { kind }] of table.columns.entries()) {
    const value = row[at] ?? null;
    if (value !== null && !fits(value, kind)) {
      throw bad(table, at, `a value that is no ${kind}, in the row ${nameOfRow(table, row)}`);
    }
  }
  return row;
}

/** PostgreSQL has no place for a NUL in a text. Replacing it would break hashes, so it is refused. */
export function withoutNul(table: Table, row: Row): Row {
  const at = row.findIndex((value) => typeof value === 'string' && value.includes('\0'));
  if (at < 0) return row;
  const what = `PostgreSQL cannot keep the NUL character in the row ${nameOfRow(table, row)}`;
  throw bad(table, at, what);
}

function nameOfRow(table: Table, row: Row): string {
  const values = table.key.map((name) => row[table.columns.findIndex((one) => one.name === name)]);
  return JSON.stringify(values).slice(0, 200);
}

/** The one line of a row: what files hold and digests are made of. */
export const lineOfRow = (row: Row): string =>
  `${JSON.stringify(row.map((value) => (value instanceof Uint8Array ? Buffer.from(value).toString('base64') : value)))}\n`;

/** The row of a line. Throws `value_not_storable` when it does not fit the table. */
export function rowOfLine(table: Table, line: string): Row {
  let parsed: unknown;
  try {
    parsed = JSON.parse(line);
  } catch {
    parsed = null;
  }
  if (!Array.isArray(parsed) || parsed.length !== table.columns.length) {
    throw new FleetError('value_not_storable', `${table.name}: a line that is no row of it`);
  }
  const row = parsed.map((value: unknown, at): SqlValue => {
    const isBytes = table.columns[at]?.kind === 'bytes' && typeof value === 'string';
    return isBytes ? Buffer.from(value, 'base64') : (value as SqlValue);
  });
  return checkedRow(table, row);
}

/** About what a row takes in memory. */
export function bytesOf(row: Row): number {
  let bytes = 16;
  for (const value of row)
    bytes += typeof value === 'object' ? (value?.byteLength ?? 1) : String(value).length;
  return bytes;
}
