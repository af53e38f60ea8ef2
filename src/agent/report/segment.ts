import { crc32 } from 'node:zlib';
import type { NodeEvent } from '../../protocol/node/index.js';

/** An event as it lies in the spool; its sequence number stands beside it. */
export type SpoolEvent = Omit<NodeEvent, 'seq'>;

export interface SpoolRecord {
  readonly seq: number;
  /** Given by who made the event, the same at every try: the spool drops doubles by it. */
  readonly id: string;
  readonly event: SpoolEvent;
}

/** `crc json newline`: the checksum tells a torn or rotten line from a whole one. */
const CRC_DIGITS = 8;
export const checksum = (json: string): string =>
  crc32(json).toString(16).padStart(CRC_DIGITS, '0');

export function lineOf(record: SpoolRecord): string {
  const json = JSON.stringify(record);
  return `${checksum(json)} ${json}\n`;
}

function recordOf(line: string): SpoolRecord | null {
  const json = line.slice(CRC_DIGITS + 1);
  if (line[CRC_DIGITS] !== ' ' || line.slice(0, CRC_DIGITS) !== checksum(json)) return null;
  try {
    const record = JSON.parse(json) as SpoolRecord;
    return Number.isSafeInteger(record.seq) && typeof record.id === 'string' ? record : null;
  } catch {
    return null;
  }
}

export interface SegmentContent {
  readonly records: readonly SpoolRecord[];
  /** Bytes up to the end of the last whole line. */
  readonly goodBytes: number;
  /**
   * `torn`: the end is the beginning of a line, as a power cut leaves it. `damaged`: bad lines with
   * good ones behind them. `damaged_end`: bad lines at the end that no crash of ours leaves, so
   * that it is not known which numbers were given.
   */
  readonly condition: 'whole' | 'torn' | 'damaged' | 'damaged_end';
}

/** What a line looks like whose write was cut short. */
const TORN_LINE = /^[0-9a-f]{1,8}( (\{.*)?)?$/s;

/** Reads what can be read of a segment. Never throws; every good line is kept. */
export function parseSegment(bytes: Buffer): SegmentContent {
  const records: SpoolRecord[] = [];
  let goodBytes = 0;
  let badFrom = -1;
  let isDamaged = false;
  for (let at = 0; at < bytes.length;) {
    const newline = bytes.indexOf(0x0a, at);
    const end = newline < 0 ? bytes.length : newline;
    const record = recordOf(bytes.toString('utf8', at, end));
    if (record !== null && record.seq > (records.at(-1)?.seq ?? 0)) {
      if (badFrom >= 0) isDamaged = true;
      badFrom = -1;
      records.push(record);
      goodBytes = Math.min(end + 1, bytes.length);
      // Whole but for its newline, which the next line would need.
      if (newline < 0) isDamaged = true;
    } else if (badFrom < 0) {
      badFrom = at;
    }
    at = end + 1;
  }
  if (badFrom < 0) return { records, goodBytes, condition: isDamaged ? 'damaged' : 'whole' };
  const isTorn = TORN_LINE.test(bytes.toString('latin1', badFrom));
  if (!isTorn || bytes.indexOf(0x0a, badFrom) >= 0) {
    return { records, goodBytes, condition: 'damaged_end' };
  }
  return { records, goodBytes, condition: isDamaged ? 'damaged' : 'torn' };
}

const SEGMENT_NAME = /^(spl_[0-9a-z]{6,40})-(\d{16})\.log$/;

/** Sorts by age: the first sequence number is part of the name. */
export const segmentName = (spoolId: string, firstSeq: number): string =>
  `${spoolId}-${String(firstSeq).padStart(16, '0')}.log`;

export function parseSegmentName(name: string): { spoolId: string; firstSeq: number } | null {
  const match = SEGMENT_NAME.exec(name);
  if (match?.[1] === undefined || match[2] === undefined) return null;
  return { spoolId: match[1], firstSeq: Number(match[2]) };
}
