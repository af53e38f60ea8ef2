import { describe, expect, it } from 'vitest';
import { Id } from '../../protocol/node/index.js';
import { hashSecret, newId, newSecret } from './ids.js';

describe('ids and secrets', () => {
  it('gives ids that the protocol accepts, each another', () => {
    const ids = new Set(Array.from({ length: 2_000 }, () => newId('nod')));
    expect(ids.size).toBe(2_000);
    for (const id of ids) expect(Id.safeParse(id).success).toBe(true);
  });

  it('uses every letter and digit about equally', () => {
    const counts = new Map<string, number>();
    for (let i = 0; i < 3_000; i += 1) {
      for (const letter of newSecret('x').slice(2)) {
        counts.set(letter, (counts.get(letter) ?? 0) + 1);
      }
    }
    expect(counts.size).toBe(36);
    const mean = (3_000 * 40) / 36;
    for (const count of counts.values()) expect(Math.abs(count - mean)).toBeLessThan(mean * 0.15);
  });

  it('hashes a secret always the same way', () => {
    expect(hashSecret('abc')).toBe(
      'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad',
    );
  });
});
