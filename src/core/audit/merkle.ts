import { createHash } from 'node:crypto';
import { invariant } from '../kernel/index.js';

/**
 * The hash tree of RFC 6962 section 2.1 (the same in RFC 9162): SHA-256, 0x00 before a leaf, 0x01
 * before two hashes, so that no leaf can pass for a node. Sizes are whole numbers below 2^53.
 */
export type Hash = Buffer;

export const HASH_BYTES = 32;
const LEAF = Buffer.from([0]);
const NODE = Buffer.from([1]);

/** The root of a tree without leaves. */
export const EMPTY_ROOT: Hash = createHash('sha256').digest();

export const leafHash = (leaf: string | Uint8Array): Hash =>
  createHash('sha256').update(LEAF).update(leaf).digest();

export const nodeHash = (left: Uint8Array, right: Uint8Array): Hash =>
  createHash('sha256').update(NODE).update(left).update(right).digest();

/** A complete subtree: the leaves from `index * 2^level` on, `2^level` of them. */
export interface Node {
  readonly level: number;
  readonly index: number;
}

const largestPowerUpTo = (count: number): number => {
  let power = 1;
  while (power * 2 <= count) power *= 2;
  return power;
};

const levelOf = (power: number): number => Math.round(Math.log2(power));

/**
 * The complete subtrees that make up the leaves from `low` up to, not including, `high`, from left
 * to right. `low` must be a multiple of the largest power of two that fits, as in every range that a
 * proof speaks of.
 */
export function nodesOf(low: number, high: number): Node[] {
  const nodes: Node[] = [];
  for (let at = low; at < high;) {
    const power = largestPowerUpTo(high - at);
    nodes.push({ level: levelOf(power), index: at / power });
    at += power;
  }
  return nodes;
}

/** One hash of what `nodesOf` listed. */
export function joined(hashes: readonly Uint8Array[]): Hash {
  const last = hashes.at(-1);
  if (last === undefined) return EMPTY_ROOT;
  return Buffer.from(hashes.slice(0, -1).reduceRight((right, left) => nodeHash(left, right), last));
}

/**
 * A tree that grows at its right end and remembers nothing but the roots of its complete subtrees:
 * at most 53 hashes, whatever its size.
 */
export class Frontier {
  readonly #hashes: Hash[];
  #size: number;

  /** Goes on from an earlier `hashes`; the caller has to know by a root that they are right. */
  constructor(size = 0, hashes: readonly Uint8Array[] = []) {
    invariant(nodesOf(0, size).length === hashes.length, 'a frontier has one hash a subtree');
    this.#size = size;
    this.#hashes = hashes.map((hash) => Buffer.from(hash));
  }

  get size(): number {
    return this.#size;
  }

  /** Roots of the complete subtrees, left to right, largest first. */
  get hashes(): readonly Hash[] {
    return [...this.#hashes];
  }

  get root(): Hash {
    return joined(this.#hashes);
  }

  /** Adds a leaf, by its hash. `onNode` hears of every subtree that it completes, itself first. */
  append(leaf: Hash, onNode?: (node: Node, hash: Hash) => void): void {
    let index = this.#size;
    let hash = leaf;
    onNode?.({ level: 0, index }, hash);
    for (let level = 1; index % 2 === 1; level += 1) {
      const left = this.#hashes.pop();
      invariant(left !== undefined, 'a subtree without its left half');
      hash = nodeHash(left, hash);
      index = (index - 1) / 2;
      onNode?.({ level, index }, hash);
    }
    this.#hashes.push(hash);
    this.#size += 1;
  }
}
