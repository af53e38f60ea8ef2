import {
  createHash,
  createPrivateKey,
  generateKeyPairSync,
  randomBytes,
  sign,
  X509Certificate as Certificate,
  type KeyObject,
} from 'node:crypto';
import { DAY_MS } from '../../core/kernel/index.js';
import { bits, integer, octets, oid, sequence, setOf, tagged, time, TRUE, utf8 } from './der.js';

/** Long enough that its change is seldom, short enough that it is no heirloom. */
export const AUTHORITY_MS = 730 * DAY_MS;
export const CERTIFICATE_MS = 90 * DAY_MS;
/** Clocks of API servers may be behind by this much. */
const BACKDATED_MS = 2 * 3_600_000;
/** Of an ECDSA key on P-256: its point, uncompressed, is the end of what is exported. */
const POINT_BYTES = 65;

/** A certificate and its key, in PEM. */
export interface Pair {
  readonly cert: string;
  readonly key: string;
}

const ECDSA_SHA256 = sequence(oid('1.2.840.10045.4.3.2'));
const SERVER_AUTH = oid('1.3.6.1.5.5.7.3.1');
const ofContext = (number: number, ...parts: readonly Uint8Array[]): Buffer =>
  tagged(0xa0 | number, ...parts);
const nameOf = (text: string): Buffer => sequence(setOf(sequence(oid('2.5.4.3'), utf8(text))));
const critical = (id: string, value: Uint8Array): Buffer => sequence(oid(id), TRUE, octets(value));
const extension = (id: string, value: Uint8Array): Buffer => sequence(oid(id), octets(value));

/** RFC 7093, 2: the first 160 bits of the digest of the key. */
function keyIdOf(spki: Uint8Array): Buffer {
  const point = spki.subarray(-POINT_BYTES);
  return createHash('sha256').update(point).digest().subarray(0, 20);
}

interface Content {
  readonly issuer: string;
  readonly subject: string;
  readonly fromMs: number;
  readonly untilMs: number;
  readonly spki: Uint8Array;
  readonly extensions: readonly Uint8Array[];
}

/** X.509 version 3 (RFC 5280), signed. */
function certificateOf(content: Content, signer: KeyObject): string {
  const { issuer, subject, fromMs, untilMs, spki, extensions } = content;
  const [first = 0, ...serial] = randomBytes(16);
  const told = sequence(
    ofContext(0, integer(2)),
    // Positive, and never with a zero in front.
    integer((first & 0x7f) | 0x40, ...serial),
    ECDSA_SHA256,
    nameOf(issuer),
    sequence(time(fromMs), time(untilMs)),
    nameOf(subject),
    spki,
    ofContext(3, sequence(...extensions)),
  );
  const der = sequence(told, ECDSA_SHA256, bits(sign('sha256', told, signer)));
  const lines = der.toString('base64').match(/.{1,64}/g) ?? [];
  return ['-----BEGIN CERTIFICATE-----', ...lines, '-----END CERTIFICATE-----', ''].join('\n');
}

function newKey(): { readonly key: KeyObject; readonly pem: string; readonly spki: Buffer } {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
  const pem = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
  return { key: privateKey, pem, spki: publicKey.export({ type: 'spki', format: 'der' }) };
}

/** An authority for nothing but this webhook: it may sign no further authority. */
export function makeAuthority(nowMs: number): Pair {
  const { key, pem, spki } = newKey();
  // No two have one name: whoever verifies looks for the signer by it.
  const name = `bellwether-webhook-${randomBytes(8).toString('hex')}`;
  const content = {
    issuer: name,
    subject: name,
    fromMs: nowMs - BACKDATED_MS,
    untilMs: nowMs + AUTHORITY_MS,
    spki,
    extensions: [
      critical('2.5.29.19', sequence(TRUE, integer(0))),
      // keyCertSign and cRLSign.
      critical('2.5.29.15', bits(Uint8Array.of(0x06), 1)),
      extension('2.5.29.14', octets(keyIdOf(spki))),
    ],
  };
  return { cert: certificateOf(content, key), key: pem };
}

/** A serving certificate for these names. It never outlives its authority. */
export function issue(authority: Pair, names: readonly string[], nowMs: number): Pair {
  const { subject, publicKey, validTo } = new Certificate(authority.cert);
  const { pem, spki } = newKey();
  const issuerSpki = publicKey.export({ type: 'spki', format: 'der' });
  const content = {
    issuer: subject.replace(/^CN=/, ''),
    // API servers compare the alternative names alone.
    subject: (names[0] ?? 'webhook').slice(0, 64),
    fromMs: nowMs - BACKDATED_MS,
    untilMs: Math.min(nowMs + CERTIFICATE_MS, Date.parse(validTo)),
    spki,
    extensions: [
      critical('2.5.29.19', sequence()),
      // digitalSignature.
      critical('2.5.29.15', bits(Uint8Array.of(0x80), 7)),
      extension('2.5.29.37', sequence(SERVER_AUTH)),
      extension(
        '2.5.29.17',
        sequence(...names.map((name) => tagged(0x82, Buffer.from(name, 'ascii')))),
      ),
      extension('2.5.29.14', octets(keyIdOf(spki))),
      extension('2.5.29.35', sequence(tagged(0x80, keyIdOf(issuerSpki)))),
    ],
  };
  return { cert: certificateOf(content, createPrivateKey(authority.key)), key: pem };
}

/** When a certificate begins and ends, epoch ms. Throws what is none. */
export function timesOf({ cert }: Pair): { readonly fromMs: number; readonly untilMs: number } {
  const { validFrom, validTo } = new Certificate(cert);
  return { fromMs: Date.parse(validFrom), untilMs: Date.parse(validTo) };
}

/** Whether this authority signed it. */
export const isIssuedBy = (pair: Pair, authority: Pair): boolean => {
  const issuer = new Certificate(authority.cert);
  return new Certificate(pair.cert).verify(issuer.publicKey);
};

/** Whether it is for exactly these names. */
export const isFor = ({ cert }: Pair, names: readonly string[]): boolean =>
  (new Certificate(cert).subjectAltName ?? '')
    .split(', ')
    .map((one) => one.replace(/^DNS:/, ''))
    .sort()
    .join() === [...names].sort().join();
