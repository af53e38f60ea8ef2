import type { KnownSigner } from '../fleet/node-files.js';

/**
 * What a signature says of itself, for people. Nothing is verified here: whether it holds is decided by each
 * node, with its own policy; a page that the manager served could not prove anything anyway.
 */
export interface SignatureSays {
  readonly kind: 'minisign' | 'sigstore' | 'unknown';
  /** Who made it, as far as it says. */
  readonly by: string;
  readonly lines: readonly (readonly [what: string, says: string])[];
  /** The same for a policy to name. */
  readonly signer: KnownSigner;
}

const NOBODY: SignatureSays = {
  kind: 'unknown',
  by: 'unknown',
  lines: [],
  signer: { kind: 'unknown' },
};

export function readSignature(text: string): SignatureSays {
  return minisign(text) ?? bundle(text) ?? NOBODY;
}

const bytesOf = (base64: string): Uint8Array | null => {
  try {
    return Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  } catch {
    return null;
  }
};

/** Algorithm (2), key id (8), Ed25519 signature (64). */
const MINISIGN_BYTES = 74;

function minisign(text: string): SignatureSays | null {
  const [untrusted = '', body = '', trusted = ''] = text.split(/\r?\n/);
  const bytes = bytesOf(body);
  if (!untrusted.startsWith('untrusted comment: ') || bytes?.length !== MINISIGN_BYTES) return null;
  // As minisign prints it: a little-endian number.
  const keyId = Array.from(bytes.subarray(2, 10).toReversed(), (byte) =>
    byte.toString(16).padStart(2, '0'),
  )
    .join('')
    .toUpperCase();
  const isPrehashed = bytes[1] === 'D'.charCodeAt(0);
  return {
    kind: 'minisign',
    by: `key ${keyId}`,
    signer: { kind: 'minisign', keyId },
    lines: [
      ['Made with', `the key ${keyId}, in the format of minisign (Ed25519)`],
      [
        'Covers',
        isPrehashed
          ? 'the BLAKE2b-512 of the manifest, and its comment'
          : 'the manifest, and its comment',
      ],
      ['Comment, signed too', trusted.replace(/^trusted comment: /, '')],
    ],
  };
}

interface Bundle {
  readonly mediaType?: string;
  readonly verificationMaterial?: {
    readonly certificate?: { readonly rawBytes?: string };
    readonly x509CertificateChain?: { readonly certificates?: readonly { rawBytes?: string }[] };
    readonly publicKey?: { readonly hint?: string };
    readonly tlogEntries?: readonly {
      readonly logIndex?: string;
      readonly integratedTime?: string;
    }[];
  };
}

function bundle(text: string): SignatureSays | null {
  let json: Bundle;
  try {
    json = JSON.parse(text) as Bundle;
  } catch {
    return null;
  }
  const material = json.verificationMaterial;
  if (material === undefined) return null;
  const raw =
    material.certificate?.rawBytes ?? material.x509CertificateChain?.certificates?.[0]?.rawBytes;
  const der = raw === undefined ? null : bytesOf(raw);
  const identity = der === null ? null : identityIn(der);
  const issuer = der === null ? null : issuerIn(der);
  const entry = material.tlogEntries?.[0];
  const time = Number(entry?.integratedTime ?? 0) * 1_000;
  const by = identity ?? (der === null ? 'a key' : 'a certificate');
  return {
    kind: 'sigstore',
    by,
    signer:
      identity === null || issuer === null
        ? { kind: 'unknown' }
        : { kind: 'sigstore', issuer, identity },
    lines: [
      [
        'Made by',
        der === null ? 'a key of your own, with Sigstore' : `${by}, without a key of its own`,
      ],
      ...(issuer === null ? [] : [['Vouched for by', issuer] as const]),
      ...(entry === undefined
        ? []
        : [
            [
              'In the public log',
              `entry ${entry.logIndex ?? '?'}${time > 0 ? `, since ${new Date(time).toISOString()}` : ''}`,
            ] as const,
          ]),
      ['Covers', 'the SHA-256 of the manifest'],
    ],
  };
}

const SUBJECT_ALT_NAME = [0x06, 0x03, 0x55, 0x1d, 0x11];
/** 1.3.6.1.4.1.57264.1.8: who vouched for the identity, as Fulcio writes it. */
const ISSUER = [0x06, 0x0a, 0x2b, 0x06, 0x01, 0x04, 0x01, 0x83, 0xbf, 0x30, 0x01, 0x08];
const OCTET_STRING = 0x04;
const UTF8_STRING = 0x0c;
const SEQUENCE = 0x30;
const EMAIL = 0x81;
const URI = 0x86;

const identityIn = (der: Uint8Array): string | null => {
  const names = valueAfter(der, SUBJECT_ALT_NAME);
  const inside = names === null ? null : partOf(names, SEQUENCE);
  return inside === null ? null : (textOf(inside, URI) ?? textOf(inside, EMAIL));
};
const issuerIn = (der: Uint8Array): string | null => {
  const value = valueAfter(der, ISSUER);
  return value === null ? null : textOf(value, UTF8_STRING);
};

/** The value of the extension with this id. */
function valueAfter(der: Uint8Array, id: readonly number[]): Uint8Array | null {
  const at = der.findIndex((_, i) => id.every((byte, n) => der[i + n] === byte));
  if (at < 0) return null;
  let rest = der.subarray(at + id.length);
  // A flag may stand between: whether the extension is critical.
  if (rest[0] === 0x01) rest = rest.subarray(3);
  return partOf(rest, OCTET_STRING);
}

function partOf(der: Uint8Array, tag: number): Uint8Array | null {
  if (der[0] !== tag) return null;
  const first = der[1] ?? 0;
  const wide = first < 0x80 ? 0 : first & 0x7f;
  if (wide > 2) return null;
  let length = wide === 0 ? first : 0;
  for (let i = 0; i < wide; i += 1) length = length * 256 + (der[2 + i] ?? 0);
  return der.subarray(2 + wide, 2 + wide + length);
}

const textOf = (der: Uint8Array, tag: number): string | null => {
  const part = partOf(der, tag);
  return part === null ? null : new TextDecoder().decode(part);
};
