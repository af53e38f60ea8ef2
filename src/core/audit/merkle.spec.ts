import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  consistencySteps,
  EMPTY_ROOT,
  Frontier,
  inclusionSteps,
  leafHash,
  proofOf,
  verifyConsistency,
  verifyInclusion,
  type Hash,
  type Node,
} from './index.js';

/** The leaves and results that implementations of RFC 6962 are held against. */
const LEAVES = [
  '',
  '00',
  '10',
  '2021',
  '3031',
  '40414243',
  '5051525354555657',
  '606162636465666768696a6b6c6d6e6f',
].map((hex) => Buffer.from(hex, 'hex'));
const ROOTS = [
  '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
  'fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125',
  'aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77',
  'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
  '4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4',
  '76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef',
  'ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c',
  '5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328',
];

const sha256 = (...parts: Uint8Array[]): Hash =>
  parts.reduce((hash, part) => hash.update(part), createHash('sha256')).digest();

/** The definitions of RFC 6962 section 2.1, word for word. */
const split = (n: number): number => {
  let k = 1;
  while (k * 2 < n) k *= 2;
  return k;
};
const MTH = (d: readonly Buffer[]): Hash => {
  if (d.length === 0) return sha256();
  if (d.length === 1) return sha256(Buffer.from([0]), d[0] as Buffer);
  const k = split(d.length);
  return sha256(Buffer.from([1]), MTH(d.slice(0, k)), MTH(d.slice(k)));
};
const PATH = (m: number, d: readonly Buffer[]): Hash[] => {
  if (d.length === 1) return [];
  const k = split(d.length);
  return m < k
    ? [...PATH(m, d.slice(0, k)), MTH(d.slice(k))]
    : [...PATH(m - k, d.slice(k)), MTH(d.slice(0, k))];
};
const SUBPROOF = (m: number, d: readonly Buffer[], b: boolean): Hash[] => {
  if (m === d.length) return b ? [] : [MTH(d)];
  const k = split(d.length);
  return m <= k
    ? [...SUBPROOF(m, d.slice(0, k), b), MTH(d.slice(k))]
    : [...SUBPROOF(m - k, d.slice(k), false), MTH(d.slice(0, k))];
};

/** A tree that keeps what it was told, as the manager's tables do. */
function treeOf(leaves: readonly Buffer[]) {
  const nodes = new Map<string, Hash>();
  const keyOf = ({ level, index }: Node): string => `${level}/${index}`;
  const tree = new Frontier();
  for (const leaf of leaves) {
    tree.append(leafHash(leaf), (node, hash) => nodes.set(keyOf(node), hash));
  }
  const at = (node: Node): Hash => {
    const found = nodes.get(keyOf(node));
    if (found === undefined) throw new Error(`no node ${keyOf(node)}`);
    return found;
  };
  return { tree, at };
}

const hexes = (hashes: readonly Uint8Array[]): string[] =>
  hashes.map((hash) => Buffer.from(hash).toString('hex'));

describe('the vectors of RFC 6962', () => {
  it('of nothing', () => {
    const empty = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';
    expect(EMPTY_ROOT.toString('hex')).toBe(empty);
    expect(new Frontier().root.toString('hex')).toBe(empty);
  });

  it.each(ROOTS.map((root, at) => [at + 1, root] as const))('root of %i leaves', (size, root) => {
    expect(treeOf(LEAVES.slice(0, size)).tree.root.toString('hex')).toBe(root);
  });

  it('inclusion of the first of eight, and consistency of one with eight', () => {
    const wanted = [
      '96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7',
      '5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e',
      '6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4',
    ];
    const { at } = treeOf(LEAVES);
    expect(hexes(proofOf(inclusionSteps(0, 8), at))).toEqual(wanted);
    expect(hexes(proofOf(consistencySteps(1, 8), at))).toEqual(wanted);
  });
});

const aTree = fc.array(fc.uint8Array({ maxLength: 6 }), { minLength: 1, maxLength: 70 });
const buffers = (leaves: readonly Uint8Array[]): Buffer[] =>
  leaves.map((leaf) => Buffer.from(leaf));

describe('against the definitions, for any tree', () => {
  it('roots are the same, at every size', () => {
    fc.assert(
      fc.property(aTree, (given) => {
        const leaves = buffers(given);
        const tree = new Frontier();
        leaves.forEach((leaf, at) => {
          tree.append(leafHash(leaf));
          expect(tree.root.equals(MTH(leaves.slice(0, at + 1)))).toBe(true);
        });
        const resumed = new Frontier(tree.size, tree.hashes);
        expect(resumed.root.equals(tree.root)).toBe(true);
      }),
      { numRuns: 40 },
    );
  });

  it('proofs are the same, hold, and hold for nothing else', () => {
    fc.assert(
      fc.property(aTree, fc.nat(), fc.nat(), fc.nat(), (given, a, b, c) => {
        const leaves = buffers(given);
        const { at, tree } = treeOf(leaves);
        const size = 1 + (a % leaves.length);
        const index = b % size;
        const root = MTH(leaves.slice(0, size));
        const path = proofOf(inclusionSteps(index, size), at);
        expect(hexes(path)).toEqual(hexes(PATH(index, leaves.slice(0, size))));
        const leaf = leafHash(leaves[index] as Buffer);
        expect(verifyInclusion({ index, size, leaf, path, root }).ok).toBe(true);
        const other = leafHash(Buffer.from('another'));
        expect(verifyInclusion({ index, size, leaf: other, path, root }).ok).toBe(false);
        for (const wrong of mutationsOf(path, c)) {
          expect(verifyInclusion({ index, size, leaf, path: wrong, root }).ok).toBe(false);
        }

        const proof = proofOf(consistencySteps(size, leaves.length), at);
        expect(hexes(proof)).toEqual(
          hexes(size === leaves.length ? [] : SUBPROOF(size, leaves, true)),
        );
        const from = { size, root };
        const to = { size: leaves.length, root: tree.root };
        expect(verifyConsistency(from, to, proof).ok).toBe(true);
        for (const wrong of mutationsOf(proof, c)) {
          expect(verifyConsistency(from, to, wrong).ok).toBe(false);
        }
        expect(verifyConsistency({ size, root: other }, to, proof).ok).toBe(false);
        expect(verifyConsistency(from, { ...to, root: other }, proof).ok).toBe(false);
        expect(verifyConsistency(to, from, proof).ok).toBe(to.size === size);
      }),
      { numRuns: 300 },
    );
  });
});

/** One hash changed, one more, one less. */
function mutationsOf(path: readonly Hash[], seed: number): Hash[][] {
  const changed = path.map((hash, at) => {
    if (at !== seed % path.length) return hash;
    const copy = Buffer.from(hash);
    copy[seed % 32] = (copy[seed % 32] ?? 0) ^ 1;
    return copy;
  });
  const longer = [...path, EMPTY_ROOT];
  return path.length === 0 ? [longer] : [changed, longer, path.slice(0, -1)];
}
