import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  DeltaDecoder,
  encodeDelta,
  hasDeltaMagic,
  DELTA_MAGIC,
  matchContents,
  type Instruction,
  type Sizes,
} from './index.js';

const sizesOf = (old: Uint8Array, next: Uint8Array): Sizes => ({
  oldSize: old.length,
  newSize: next.length,
});
const joined = (parts: Iterable<Uint8Array>): Uint8Array =>
  Uint8Array.from(Buffer.concat([...parts]));
const deltaOf = (old: Uint8Array, next: Uint8Array, instructions?: Iterable<Instruction>) =>
  joined(encodeDelta(sizesOf(old, next), instructions ?? matchContents(old, next)));

/** What a delta makes, or why it is refused; read in chunks of so many bytes. */
function apply(old: Uint8Array, delta: Uint8Array, sizes: Sizes, chunkBytes = 7) {
  const decoder = new DeltaDecoder(sizes);
  const parts: Uint8Array[] = [];
  for (let at = 0; at < delta.length; at += chunkBytes) {
    const pushed = decoder.push(delta.subarray(at, at + chunkBytes));
    if (!pushed.ok) return pushed.error;
    for (const piece of pushed.value) {
      // The promise to whoever writes: no piece reads outside.
      const from = piece.kind === 'old' ? piece.from : 0;
      if (piece.kind === 'old' && (from < 0 || from + piece.bytes.length > old.length)) {
        throw new Error('a piece outside of the old content');
      }
      const base = piece.kind === 'old' ? old.subarray(from) : null;
      parts.push(piece.bytes.map((byte, i) => byte + (base?.[i] ?? 0)));
    }
    const made = parts.reduce((sum, { length }) => sum + length, 0);
    if (made > sizes.newSize) throw new Error('more than the new content');
  }
  const ended = decoder.end();
  return ended.ok ? joined(parts) : ended.error;
}

/** Two contents that have parts in common, as two versions of a program do. */
const pairs = fc
  .record({
    blocks: fc.array(fc.uint8Array({ minLength: 1, maxLength: 200 }), {
      minLength: 1,
      maxLength: 8,
    }),
    oldOrder: fc.array(fc.nat(7), { maxLength: 12 }),
    newOrder: fc.array(fc.nat(7), { maxLength: 12 }),
    edits: fc.array(fc.tuple(fc.nat(2_000), fc.nat(255)), { maxLength: 20 }),
  })
  .map(({ blocks, oldOrder, newOrder, edits }) => {
    const of = (order: readonly number[]): Uint8Array =>
      joined(order.map((i) => blocks[i % blocks.length] ?? new Uint8Array()));
    const [old, next] = [of(oldOrder), of(newOrder)];
    for (const [at, byte] of edits) if (at < next.length) next[at] = byte;
    return { old, next };
  });

describe('a delta', () => {
  it('makes the new content out of the old one, in chunks of any size', () => {
    fc.assert(
      fc.property(pairs, fc.integer({ min: 1, max: 300 }), ({ old, next }, chunkBytes) => {
        expect(apply(old, deltaOf(old, next), sizesOf(old, next), chunkBytes)).toEqual(next);
      }),
      { numRuns: 500 },
    );
  });

  it('does so when only some places of a large content are indexed', () => {
    fc.assert(
      fc.property(pairs, fc.integer({ min: 1, max: 60 }), ({ old, next }, placesMax) => {
        const delta = deltaOf(old, next, matchContents(old, next, placesMax));
        expect(apply(old, delta, sizesOf(old, next))).toEqual(next);
      }),
      { numRuns: 200 },
    );
  });

  it('is the same for the same contents', () => {
    fc.assert(
      fc.property(pairs, ({ old, next }) => {
        expect(deltaOf(old, next)).toEqual(deltaOf(old, next));
      }),
      { numRuns: 50 },
    );
  });

  it.each<[string, Uint8Array, Uint8Array]>([
    ['from nothing', new Uint8Array(), bytesOf(1_000, 3)],
    ['to nothing', bytesOf(1_000, 3), new Uint8Array()],
    ['of nothing to nothing', new Uint8Array(), new Uint8Array()],
    ['shorter than a key', bytesOf(3, 1), bytesOf(5, 1)],
    ['to the same', bytesOf(50_000, 5), bytesOf(50_000, 5)],
    ['between zeroes', new Uint8Array(300_000), new Uint8Array(299_999)],
    ['between two unlike ones', bytesOf(20_000, 6), bytesOf(20_000, 7)],
  ])('%s is exact', (_, old, next) => {
    expect(apply(old, deltaOf(old, next), sizesOf(old, next), 4_096)).toEqual(next);
  });

  it('finds what moved, and what changed a little everywhere', () => {
    const old = bytesOf(200_000, 9);
    const next = joined([old.subarray(120_000), bytesOf(500, 10), old.subarray(0, 120_000)]);
    // As addresses do: one byte in fifty is another.
    for (let i = 0; i < next.length; i += 50) next[i] = (next[i] as number) + 3;
    const literals = [...matchContents(old, next)].map(({ literal }) => literal.length);
    expect(literals.reduce((sum, length) => sum + length, 0)).toBeLessThan(700);
    expect(literals.length).toBeLessThan(10);
  });

  it('of long repetitions is made in bearable time', { timeout: 20_000 }, () => {
    const old = Uint8Array.from({ length: 400_000 }, (_, i) =>
      i % 3_000 === 0 ? i / 3_000 : i % 2,
    );
    const next = Uint8Array.from({ length: 400_000 }, (_, i) => (i % 2_900 === 0 ? 7 : i % 2));
    expect(apply(old, deltaOf(old, next), sizesOf(old, next), 4_096)).toEqual(next);
  });
});

describe('a hostile delta', () => {
  const refusal = { code: 'delta_invalid' };
  const isRefusal = (result: Uint8Array | { code: string }): boolean => 'code' in result;

  it('that is changed anywhere is refused, or makes something of the right size', () => {
    fc.assert(
      fc.property(
        pairs,
        fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 5 }),
        ({ old, next }, changes) => {
          const delta = deltaOf(old, next);
          for (const [at, byte] of changes) delta[at % delta.length] = byte;
          const made = apply(old, delta, sizesOf(old, next));
          expect(isRefusal(made) || (made as Uint8Array).length === next.length).toBe(true);
        },
      ),
      { numRuns: 2_000 },
    );
  });

  it('that is cut anywhere is refused', () => {
    fc.assert(
      fc.property(pairs, fc.nat(), ({ old, next }, cut) => {
        const delta = deltaOf(old, next);
        const part = delta.subarray(0, cut % delta.length);
        expect(apply(old, part, sizesOf(old, next))).toMatchObject(refusal);
      }),
      { numRuns: 500 },
    );
  });

  it('that goes on after its end is refused', () => {
    fc.assert(
      fc.property(pairs, fc.uint8Array({ minLength: 1, maxLength: 40 }), ({ old, next }, more) => {
        const delta = joined([deltaOf(old, next), more]);
        expect(apply(old, delta, sizesOf(old, next))).toMatchObject(refusal);
      }),
      { numRuns: 500 },
    );
  });

  it('of any bytes at all ends, within both sizes', () => {
    const sizes = fc.record({ oldSize: fc.nat(100), newSize: fc.nat(100) });
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), sizes, (bytes, { oldSize, newSize }) => {
        const delta = joined([Uint8Array.of(oldSize, newSize), bytes]);
        const made = apply(new Uint8Array(oldSize), delta, { oldSize, newSize });
        expect(isRefusal(made) || (made as Uint8Array).length === newSize).toBe(true);
      }),
      { numRuns: 3_000 },
    );
  });

  it.each<[string, readonly number[], string]>([
    ['leads from another size', [9, 10], 'leads from 9 bytes, not 10'],
    ['leads to another size', [10, 9], 'leads to 9 bytes, not 10'],
    ['has a number without end', [0x80, 0x80, 0x80, 0x80, 0x80], 'a number is too long'],
    ['spells a number in two ways', [0x8a, 0x00], 'a number has an empty end'],
    ['makes nothing again and again', [10, 10, 0, 0, 0], 'an instruction makes nothing'],
    ['makes too much', [10, 10, 5, 6, 0], 'makes more than 10 bytes'],
    ['makes very much', [10, 10, 0xff, 0xff, 0xff, 0xff, 0x7f, 0, 0], 'makes more than 10 bytes'],
    ['reads before the beginning', [10, 10, 5, 0, 1], 'reads outside'],
    ['reads behind the end', [10, 10, 5, 0, 12], 'reads outside'],
    ['goes far away to read nothing', [10, 10, 0, 5, 22], 'reads outside'],
  ])('that %s is refused', (_, bytes, message) => {
    const sizes = { oldSize: 10, newSize: 10 };
    const decoder = new DeltaDecoder(sizes);
    const said = {
      ok: false,
      error: { ...refusal, message: expect.stringContaining(message) as string },
    };
    expect(decoder.push(Uint8Array.from(bytes))).toMatchObject(said);
    // And it stays refused.
    expect(decoder.push(Uint8Array.of(0))).toMatchObject(said);
    expect(decoder.end()).toMatchObject(said);
  });

  it('is told by its first bytes', () => {
    expect(hasDeltaMagic(DELTA_MAGIC)).toBe(true);
    expect(hasDeltaMagic(DELTA_MAGIC.subarray(0, 7))).toBe(false);
    expect(hasDeltaMagic(new TextEncoder().encode('BWDELTA2'))).toBe(false);
  });
});

/** Bytes without a pattern, the same for the same seed. */
function bytesOf(length: number, seed: number): Uint8Array {
  let state = seed;
  return Uint8Array.from({ length }, () => {
    state = Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x9e3779b9;
    return state >>> 24;
  });
}
