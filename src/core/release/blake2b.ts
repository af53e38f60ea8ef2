/**
 * BLAKE2b with 32 bytes of output (RFC 7693), which node:crypto does not offer: its `blake2b512`
 * is another function, not a longer one. Only the checksum inside secret key files needs it, so it
 * is short rather than fast; it is not for large inputs.
 */
const MASK = (1n << 64n) - 1n;
const BLOCK_BYTES = 128;
const OUTPUT_BYTES = 32;

/** RFC 7693, section 2.6: the words that SHA-512 starts from. */
const IV: readonly bigint[] = [
  0x6a09e667f3bcc908n,
  0xbb67ae8584caa73bn,
  0x3c6ef372fe94f82bn,
  0xa54ff53a5f1d36f1n,
  0x510e527fade682d1n,
  0x9b05688c2b3e6c1fn,
  0x1f83d9abfb41bd6bn,
  0x5be0cd19137e2179n,
];

/** RFC 7693, section 2.7, one hexadecimal digit a word; the twelve rounds begin again after ten. */
const SIGMA: readonly string[] = [
  '0123456789abcdef',
  'ea489fd61c02b753',
  'b8c052fdae367194',
  '7931dcbe265a40f8',
  '905724afe1bc683d',
  '2c6a0b834d75fe19',
  'c51fed4a0763928b',
  'db7ec13950f4862a',
  '6fe9b308c2d714a5',
  'a2847615fb9e3cd0',
];
const ROUNDS = 12;

/** Columns and diagonals that one round mixes. */
const MIXED: readonly (readonly [number, number, number, number])[] = [
  [0, 4, 8, 12],
  [1, 5, 9, 13],
  [2, 6, 10, 14],
  [3, 7, 11, 15],
  [0, 5, 10, 15],
  [1, 6, 11, 12],
  [2, 7, 8, 13],
  [3, 4, 9, 14],
];

const rotated = (word: bigint, bits: bigint): bigint =>
  ((word >> bits) | (word << (64n - bits))) & MASK;

function compress(state: BigUint64Array, block: Buffer, read: number, isLast: boolean): void {
  const words = BigUint64Array.from([...state, ...IV]);
  const at = (index: number): bigint => words[index] as bigint;
  words[12] = at(12) ^ BigInt(read);
  if (isLast) words[14] = at(14) ^ MASK;
  for (let round = 0; round < ROUNDS; round += 1) {
    const order = SIGMA[round % SIGMA.length] as string;
    MIXED.forEach(([a, b, c, d], step) => {
      const word = (offset: number): bigint =>
        block.readBigUInt64LE(8 * Number.parseInt(order.charAt(2 * step + offset), 16));
      words[a] = at(a) + at(b) + word(0);
      words[d] = rotated(at(d) ^ at(a), 32n);
      words[c] = at(c) + at(d);
      words[b] = rotated(at(b) ^ at(c), 24n);
      words[a] = at(a) + at(b) + word(1);
      words[d] = rotated(at(d) ^ at(a), 16n);
      words[c] = at(c) + at(d);
      words[b] = rotated(at(b) ^ at(c), 63n);
    });
  }
  for (let i = 0; i < 8; i += 1) state[i] = (state[i] as bigint) ^ at(i) ^ at(i + 8);
}

/** The 32 byte digest of `bytes`, without a key. */
export function blake2b256(bytes: Uint8Array): Buffer {
  const state = BigUint64Array.from(IV);
  state[0] = (state[0] as bigint) ^ BigInt(0x01010000 ^ OUTPUT_BYTES);
  const blocks = Math.max(1, Math.ceil(bytes.length / BLOCK_BYTES));
  for (let index = 0; index < blocks; index += 1) {
    const block = Buffer.alloc(BLOCK_BYTES);
    block.set(bytes.subarray(index * BLOCK_BYTES, (index + 1) * BLOCK_BYTES));
    const isLast = index === blocks - 1;
    compress(state, block, isLast ? bytes.length : (index + 1) * BLOCK_BYTES, isLast);
  }
  const digest = Buffer.alloc(8 * state.length);
  state.forEach((word, index) => digest.writeBigUInt64LE(word, 8 * index));
  return digest.subarray(0, OUTPUT_BYTES);
}
