import type { IncomingHttpHeaders } from 'node:http';
import type { ByteRange } from '../store/blobs.port.js';

/** What a request for a blob comes to. */
export interface Part {
  readonly status: 200 | 206 | 304 | 412 | 416;
  /** Null when no byte of it is sent. */
  readonly range: ByteRange | null;
}

/**
 * Which part of a blob a GET or HEAD asks for (RFC 9110, 13 and 14). The ETag of a blob is its digest,
 * so it is strong and never changes. One range is honoured; of several, or of what is no range,
 * the whole is sent, as the RFC allows.
 */
export function partOf(headers: IncomingHttpHeaders, etag: string, size: number): Part {
  const ifMatch = headers['if-match'];
  if (ifMatch !== undefined && !lists(ifMatch, etag)) return { status: 412, range: null };
  const ifNoneMatch = headers['if-none-match'];
  if (ifNoneMatch !== undefined && lists(ifNoneMatch.replaceAll('W/', ''), etag)) {
    return { status: 304, range: null };
  }
  const whole: Part = { status: 200, range: { start: 0, end: size - 1 } };
  const ifRange = headers['if-range'];
  if (headers.range === undefined || (ifRange !== undefined && ifRange !== etag)) return whole;
  const asked = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(headers.range.replace(/\s/g, ''));
  if (asked === null || asked[0] === 'bytes=-') return whole;
  const range = rangeOf(asked[1] ?? '', asked[2] ?? '', size);
  if (range === 'nonsense') return whole;
  return range === null ? { status: 416, range: null } : { status: 206, range };
}

const lists = (header: string, etag: string): boolean =>
  header.split(',').some((one) => one.trim() === etag || one.trim() === '*');

/** Null when no byte of it is there; `nonsense` when it ends before it begins. */
function rangeOf(first: string, last: string, size: number): ByteRange | null | 'nonsense' {
  if (first === '') {
    const count = Math.min(Number(last), size);
    return count === 0 ? null : { start: size - count, end: size - 1 };
  }
  const start = Number(first);
  const end = last === '' ? size - 1 : Math.min(Number(last), size - 1);
  if (last !== '' && Number(last) < start) return 'nonsense';
  return start >= size ? null : { start, end };
}
