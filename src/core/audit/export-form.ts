import { RECORD_FIELDS, type AuditRecord } from './record.js';

/** What a spreadsheet takes for a formula (OWASP, CSV injection), also behind white space. */
const FORMULA = /^[\s\u0000]*[=+\-@\uff1d\uff0b\uff0d\uff20]|^[\t\r\n]/;

/** One cell of RFC 4180: always in quotes, and never a formula: such text gets a `'` before it. */
export function csvCell(value: string | number | null): string {
  const text = value === null ? '' : String(value);
  const safe = typeof value === 'string' && FORMULA.test(text) ? `'${text}` : text;
  return `"${safe.replaceAll('"', '""')}"`;
}

export const CSV_HEAD = `${RECORD_FIELDS.map((name) => csvCell(name)).join(',')}\r\n`;

/** One entry as a line; details are JSON in one cell. */
export function csvLine(record: AuditRecord): string {
  const cells = RECORD_FIELDS.map((name) => {
    const value = record[name];
    return csvCell(typeof value === 'object' && value !== null ? JSON.stringify(value) : value);
  });
  return `${cells.join(',')}\r\n`;
}
