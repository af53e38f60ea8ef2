/** The few forms of ASN.1 (DER, X.690) that a certificate is made of. */

const INTEGER = 0x02;
const BIT_STRING = 0x03;
const OCTET_STRING = 0x04;
const OBJECT_IDENTIFIER = 0x06;
const UTF8_STRING = 0x0c;
const UTC_TIME = 0x17;
const GENERALIZED_TIME = 0x18;
const SEQUENCE = 0x30;
const SET = 0x31;

/** A value with its tag and length. */
export function tagged(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  const body = Buffer.concat(parts);
  const { length } = body;
  if (length < 0x80) return Buffer.concat([Buffer.from([tag, length]), body]);
  const digits = length.toString(16);
  const bytes = Buffer.from(digits.length % 2 === 0 ? digits : `0${digits}`, 'hex');
  return Buffer.concat([Buffer.from([tag, 0x80 | bytes.length]), bytes, body]);
}

export const sequence = (...parts: readonly Uint8Array[]): Buffer => tagged(SEQUENCE, ...parts);
export const setOf = (...parts: readonly Uint8Array[]): Buffer => tagged(SET, ...parts);
/** `bytes` begin with the sign; whoever calls sees to the shortest form. */
export const integer = (...bytes: readonly number[]): Buffer =>
  tagged(INTEGER, Uint8Array.from(bytes));
export const octets = (bytes: Uint8Array): Buffer => tagged(OCTET_STRING, bytes);
/** `unused` bits at the end of the last byte do not count. */
export const bits = (bytes: Uint8Array, unused = 0): Buffer =>
  tagged(BIT_STRING, Uint8Array.of(unused), bytes);
export const utf8 = (text: string): Buffer => tagged(UTF8_STRING, Buffer.from(text, 'utf8'));
export const TRUE = Buffer.from([0x01, 0x01, 0xff]);

/** `2.5.4.3` and the like. */
export function oid(text: string): Buffer {
  const [first = 0, second = 0, ...more] = text.split('.').map(Number);
  const bytes = [first * 40 + second, ...more].flatMap((part) => {
    const digits = [part & 0x7f];
    for (let rest = part >>> 7; rest > 0; rest >>>= 7) digits.unshift((rest & 0x7f) | 0x80);
    return digits;
  });
  return tagged(OBJECT_IDENTIFIER, Uint8Array.from(bytes));
}

/** To the second; two digits for the year until 2049 (RFC 5280, 4.1.2.5). */
export function time(atMs: number): Buffer {
  const text = `${new Date(atMs).toISOString().replace(/[-:T]|\..*$/g, '')}Z`;
  const isShort = new Date(atMs).getUTCFullYear() < 2050;
  return isShort
    ? tagged(UTC_TIME, Buffer.from(text.slice(2), 'ascii'))
    : tagged(GENERALIZED_TIME, Buffer.from(text, 'ascii'));
}
