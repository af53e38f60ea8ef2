import { err, invariant, ok, type Result } from '../kernel/index.js';
import { EMPTY_ROOT, joined, nodeHash, nodesOf, type Hash, type Node } from './merkle.js';

/** One hash of a proof, as the complete subtrees that it is made of. */
export type ProofStep = readonly Node[];

const split = (count: number): number => {
  let power = 1;
  while (power * 2 < count) power *= 2;
  return power;
};

/**
 * What proves that the leaf at `index` (from 0) is in the tree of `size` leaves: PATH of RFC 6962
 * section 2.1.1, from the leaf up.
 */
export function inclusionSteps(index: number, size: number): ProofStep[] {
  invariant(index >= 0 && index < size, 'a leaf outside of its tree');
  const steps: ProofStep[] = [];
  let [low, high] = [0, size];
  while (high - low > 1) {
    const middle = low + split(high - low);
    if (index < middle) {
      steps.push(nodesOf(middle, high));
      high = middle;
    } else {
      steps.push(nodesOf(low, middle));
      low = middle;
    }
  }
  return steps.reverse();
}

/**
 * What proves that the tree of `to` leaves begins with that of `from`: PROOF of RFC 6962 section
 * 2.1.2. Empty when either is empty or both are the same.
 */
export function consistencySteps(from: number, to: number): ProofStep[] {
  invariant(from >= 0 && from <= to, 'a tree that shrinks');
  if (from === 0 || from === to) return [];
  const steps: ProofStep[] = [];
  let [low, high] = [0, to];
  let isWhole = true;
  while (from !== high) {
    const middle = low + split(high - low);
    if (from <= middle) {
      steps.push(nodesOf(middle, high));
      high = middle;
    } else {
      steps.push(nodesOf(low, middle));
      low = middle;
      isWhole = false;
    }
  }
  if (!isWhole) steps.push(nodesOf(low, high));
  return steps.reverse();
}

/** The hashes of a proof, from those of its subtrees. */
export const proofOf = (steps: readonly ProofStep[], hashAt: (node: Node) => Hash): Hash[] =>
  steps.map((nodes) => joined(nodes.map(hashAt)));

type Checked = Result<void, string>;
const fine: Checked = ok(undefined);
const half = (value: number): number => Math.floor(value / 2);
const isOdd = (value: number): boolean => value % 2 === 1;

/** Where a proof stands on its way up: the node that it follows, and the last one of that level. */
interface Place {
  readonly position: number;
  readonly last: number;
}
const above = ({ position, last }: Place): Place => ({
  position: half(position),
  last: half(last),
});

/** Whether the next hash of the proof lies to the left of the node. */
const isRight = ({ position, last }: Place): boolean => isOdd(position) || position === last;

/** One level up, past the levels at which the node is alone at the right end. */
function climbed(place: Place): Place {
  let at = place;
  if (isRight(at)) while (!isOdd(at.position) && at.position !== 0) at = above(at);
  return above(at);
}

/** RFC 9162 section 2.1.3.2. */
export function verifyInclusion(given: {
  readonly index: number;
  readonly size: number;
  readonly leaf: Uint8Array;
  readonly path: readonly Uint8Array[];
  readonly root: Uint8Array;
}): Checked {
  const { index, size, leaf, path, root } = given;
  if (index >= size) return err('the entry lies behind the end of the tree');
  let place: Place = { position: index, last: size - 1 };
  let hash: Hash = Buffer.from(leaf);
  for (const sibling of path) {
    if (place.last === 0) return err('the proof is too long');
    hash = isRight(place) ? nodeHash(sibling, hash) : nodeHash(hash, sibling);
    place = climbed(place);
  }
  if (place.last !== 0) return err('the proof is too short');
  return hash.equals(root) ? fine : err('the proof does not lead to the root');
}

interface Tree {
  readonly size: number;
  readonly root: Uint8Array;
}

const isSame = (a: Uint8Array, b: Uint8Array): boolean => Buffer.from(a).equals(b);

/** RFC 9162 section 2.1.4.2: that `to` holds all of `from`, unchanged, at its beginning. */
export function verifyConsistency(from: Tree, to: Tree, path: readonly Uint8Array[]): Checked {
  if (from.size > to.size) return err('the later tree is smaller');
  if (from.size === to.size || from.size === 0) return verifyTrivial(from, to, path);
  const [first, ...rest] = isPowerOfTwo(from.size) ? [from.root, ...path] : path;
  if (first === undefined) return err('the proof is too short');
  let place: Place = { position: from.size - 1, last: to.size - 1 };
  while (isOdd(place.position)) place = above(place);
  const roots = rootsOf(place, Buffer.from(first), rest);
  if (!roots.ok) return roots;
  if (!roots.value.before.equals(from.root))
    return err('the proof does not lead to the earlier root');
  return roots.value.after.equals(to.root)
    ? fine
    : err('the proof does not lead to the later root');
}

/** The roots of both trees that a proof leads to. */
function rootsOf(
  start: Place,
  first: Hash,
  path: readonly Uint8Array[],
): Result<{ readonly before: Hash; readonly after: Hash }, string> {
  let [place, before, after] = [start, first, first];
  for (const sibling of path) {
    if (place.last === 0) return err('the proof is too long');
    // What lies to the left is in both trees, what lies to the right only in the later one.
    if (isRight(place)) before = nodeHash(sibling, before);
    after = isRight(place) ? nodeHash(sibling, after) : nodeHash(after, sibling);
    place = climbed(place);
  }
  return place.last === 0 ? ok({ before, after }) : err('the proof is too short');
}

function verifyTrivial(from: Tree, to: Tree, path: readonly Uint8Array[]): Checked {
  if (path.length > 0) return err('the proof is too long');
  if (from.size === 0) {
    return isSame(from.root, EMPTY_ROOT)
      ? fine
      : err('a root of nothing that is not that of nothing');
  }
  return isSame(from.root, to.root) ? fine : err('two roots for one size');
}

const isPowerOfTwo = (value: number): boolean => 2 ** Math.round(Math.log2(value)) === value;
