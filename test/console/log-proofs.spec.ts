import { generateKeyPairSync } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import {
  consistencySteps,
  EMPTY_ROOT,
  formatVerifier,
  Frontier,
  inclusionSteps,
  leafHash as leafHashOfCore,
  leafOf,
  makeCheckpoint,
  proofOf,
  verifierOf,
  type AuditRecord,
} from '../../src/core/audit/index.js';
import {
  fromBase64,
  GrowingTree,
  hashesOf,
  leafHash,
  leafOfEntry,
  ProofError,
  readCheckpoint,
  readKey,
  toBase64,
  verifyConsistency,
  verifyInclusion,
} from '../../src/console/pages/evidence/log-proofs.js';

const SIZE = 19;
const leaves = Array.from({ length: SIZE }, (_, i) => `entry ${i} \u00fc`);

/** Everything that the manager would answer about a log of these leaves, by the rules of core. */
function logOf(texts: readonly string[]) {
  const nodes = new Map<string, Buffer>();
  const tree = new Frontier();
  const roots: Buffer[] = [EMPTY_ROOT];
  for (const text of texts) {
    tree.append(leafHashOfCore(text), ({ level, index }, hash) => {
      nodes.set(`${level}.${index}`, hash);
    });
    roots.push(tree.root);
  }
  const at = ({ level, index }: { level: number; index: number }): Buffer => {
    const hash = nodes.get(`${level}.${index}`);
    if (hash === undefined) throw new Error('no such subtree');
    return hash;
  };
  const answered = (hashes: readonly Buffer[]) =>
    hashesOf(hashes.map((hash) => hash.toString('base64')));
  return {
    root: (size: number) => fromBase64((roots[size] ?? EMPTY_ROOT).toString('base64'), 32),
    inclusion: (index: number, size: number) => answered(proofOf(inclusionSteps(index, size), at)),
    consistency: (from: number, to: number) => answered(proofOf(consistencySteps(from, to), at)),
  };
}
const log = logOf(leaves);

describe('the verifier of the console', () => {
  it('takes every proof of inclusion that core makes, and for no other leaf or root', async () => {
    for (let size = 1; size <= SIZE; size += 1) {
      const tree = { size, root: log.root(size) };
      for (let index = 0; index < size; index += 1) {
        const path = log.inclusion(index, size);
        const leaf = await leafHash(leaves[index] ?? '');
        await verifyInclusion({ index, leaf, path }, tree);
        const other = await leafHash('another');
        await expect(verifyInclusion({ index, leaf: other, path }, tree)).rejects.toThrow(
          ProofError,
        );
        const long = [...path, other];
        await expect(verifyInclusion({ index, leaf, path: long }, tree)).rejects.toThrow(
          ProofError,
        );
        if (path.length > 0) {
          const short = path.slice(1);
          await expect(verifyInclusion({ index, leaf, path: short }, tree)).rejects.toThrow(
            ProofError,
          );
        }
      }
    }
  });

  it('takes every proof of consistency that core makes, and none of a history that was rewritten', async () => {
    const rewritten = logOf(leaves.map((leaf, i) => (i === 0 ? 'nothing happened' : leaf)));
    for (let to = 0; to <= SIZE; to += 1) {
      for (let from = 0; from <= to; from += 1) {
        const [one, other] = [
          { size: from, root: log.root(from) },
          { size: to, root: log.root(to) },
        ];
        const path = log.consistency(from, to);
        await verifyConsistency(one, other, path);
        if (from === 0) continue;
        const forged = { size: to, root: rewritten.root(to) };
        const proof = rewritten.consistency(from, to);
        await expect(verifyConsistency(one, forged, proof)).rejects.toThrow(ProofError);
        const more = [...path, log.root(1)];
        await expect(verifyConsistency(one, other, more)).rejects.toThrow(ProofError);
      }
    }
    const [large, small] = [5, 4].map((size) => ({ size, root: log.root(size) }));
    if (large === undefined || small === undefined) throw new Error('there are two');
    await expect(verifyConsistency(large, small, [])).rejects.toThrow('smaller');
  });

  it('comes to the same root, from the beginning and from any place', async () => {
    const tree = new GrowingTree(0, []);
    const core = new Frontier();
    for (const [i, leaf] of leaves.entries()) {
      const later = new GrowingTree(
        i,
        hashesOf(core.hashes.map((hash) => hash.toString('base64'))),
      );
      await tree.append(await leafHash(leaf));
      await later.append(await leafHash(leaf));
      core.append(leafHashOfCore(leaf));
      expect(toBase64(await tree.root())).toBe(core.root.toString('base64'));
      expect(toBase64(await later.root())).toBe(core.root.toString('base64'));
    }
    expect(() => new GrowingTree(3, [])).toThrow(ProofError);
  });

  it('takes checkpoints of the key, and refuses each change of them', async () => {
    const { privateKey } = generateKeyPairSync('ed25519');
    const origin = 'bellwether.example/log';
    const note = makeCheckpoint({ origin, size: SIZE, root: log.root(SIZE) }, privateKey);
    const line = formatVerifier(verifierOf(origin, privateKey));
    const key = await readKey(line);
    const checkpoint = await readCheckpoint(note, key);
    expect(checkpoint).toMatchObject({ origin, size: SIZE });
    expect(toBase64(checkpoint.root)).toBe(toBase64(log.root(SIZE)));

    for (let at = 0; at < note.length; at += 1) {
      const changed = `${note.slice(0, at)}${note[at] === 'x' ? 'y' : 'x'}${note.slice(at + 1)}`;
      await expect(readCheckpoint(changed, key), `changed at ${at}`).rejects.toThrow(ProofError);
    }
    const stranger = generateKeyPairSync('ed25519').privateKey;
    const forged = makeCheckpoint({ origin, size: SIZE, root: log.root(SIZE) }, stranger);
    await expect(readCheckpoint(forged, key)).rejects.toThrow('not of this key');
    const other = await readKey(formatVerifier(verifierOf('another', privateKey)));
    await expect(readCheckpoint(note, other)).rejects.toThrow('the key is for another');
    await expect(readKey(line.replace(/\+[0-9a-f]{8}\+/, '+00000000+'))).rejects.toThrow('the id');
    await expect(readKey('a key')).rejects.toThrow(ProofError);
  });

  it('makes the leaf of an entry as core does', () => {
    const entry: AuditRecord = {
      id: 7,
      at: '2026-01-01T00:00:00.000Z',
      actor_kind: 'user',
      actor_id: 'usr_1',
      actor_name: 'Ann \u202e\u05d0 \ud83d\ude80 "Lee"',
      action: 'group.create',
      target_kind: 'group',
      target_id: 'grp_1',
      group_id: null,
      outcome: 'allowed',
      details: { z: 1, a: ['x', { deep: true, b: null }] },
      request_id: 'r',
      ip: '127.0.0.1',
      user_agent: '',
    };
    expect(leafOfEntry(entry)).toBe(leafOf(entry));
    // Whatever is added to an answer changes the leaf: it was never signed.
    expect(leafOfEntry({ ...entry, more: 1 })).not.toBe(leafOf(entry));
  });
});
