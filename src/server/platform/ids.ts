import { createHash, randomBytes } from 'node:crypto';

const ALPHABET = '0123456789abcdefghijklmnopqrstuvwxyz';
/** The largest multiple of 36 in a byte: bytes from here on would favour the first letters. */
const FAIR_BYTES = 252;

function randomText(length: number): string {
  let text = '';
  while (text.length < length) {
    for (const byte of randomBytes(length + 8)) {
      if (byte < FAIR_BYTES && text.length < length)
        text += ALPHABET.charAt(byte % ALPHABET.length);
    }
  }
  return text;
}

/** A new id such as `nod_…`: 20 characters, 103 random bits, so that none is met twice. */
export const newId = (prefix: string): string => `${prefix}_${randomText(20)}`;

/** A new credential such as `bwt_…`: 40 characters, 206 random bits. Letters and digits only, so
 * that a double click takes all of it and no shell needs quotes. */
export const newSecret = (prefix: string): string => `${prefix}_${randomText(40)}`;

/** How secrets are stored. One round is enough: they are random, not chosen by people. */
export const hashSecret = (secret: string): string =>
  createHash('sha256').update(secret).digest('hex');
