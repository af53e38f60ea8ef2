import { generateKeyPairSync } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import {
  compareHistories,
  EMPTY_ROOT,
  formatVerifier,
  isSignedBy,
  leafHash,
  makeCheckpoint,
  nodeHash,
  parseCheckpoint,
  parseNote,
  parseVerifier,
  trustedCheckpoint,
  verifierOf,
  type Checkpoint,
} from './index.js';

const { privateKey } = generateKeyPairSync('ed25519');
const origin = 'manager.example/audit/7q2m';
const verifier = verifierOf(origin, privateKey);
const note = makeCheckpoint({ origin, size: 3, root: leafHash('x') }, privateKey);

const trusted = (text: string): Checkpoint => {
  const read = trustedCheckpoint(text, verifier);
  if (!read.ok) throw new Error(read.error.message);
  return read.value;
};
const at = (size: number, root: Uint8Array): Checkpoint =>
  trusted(makeCheckpoint({ origin, size, root }, privateKey));

describe('a signed note', () => {
  it('of the published example is verified with its published key', () => {
    const key = parseVerifier('PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW');
    const example = parseNote(
      'If you think cryptography is the answer to your problem,\n' +
        "then you don't know what your problem is.\n\n" +
        '— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n',
    );
    expect(key.ok && example.ok && isSignedBy(example.value, key.value)).toBe(true);
    if (!key.ok || !example.ok) return;
    const text = example.value.text.replace('your problem', 'my problem');
    expect(isSignedBy({ ...example.value, text }, key.value)).toBe(false);
  });
});

describe('a checkpoint', () => {
  it('has three lines and a signature, and comes back as it went', () => {
    expect(note.split('\n').slice(0, 4)).toEqual([
      origin,
      '3',
      leafHash('x').toString('base64'),
      '',
    ]);
    expect(trusted(note)).toMatchObject({ origin, size: 3, root: leafHash('x') });
    const line = formatVerifier(verifier);
    const read = parseVerifier(`${line}\n`);
    expect(read.ok && formatVerifier(read.value)).toBe(line);
  });

  it('keeps the signatures of others beside its own', () => {
    const witness = `${note}— witness.example/w1 ${Buffer.alloc(76, 7).toString('base64')}\n`;
    expect(trusted(witness).signatures).toHaveLength(2);
  });

  it('with any byte changed is refused', () => {
    const bytes = Buffer.from(note);
    const passed = [...bytes.keys()].filter((place) => {
      const changed = Buffer.from(bytes);
      changed[place] = (changed[place] ?? 0) ^ 1;
      return trustedCheckpoint(changed.toString('utf8'), verifier).ok;
    });
    expect(passed).toEqual([]);
  });

  it('of another key, or of another log, is refused', () => {
    const other = generateKeyPairSync('ed25519').privateKey;
    const forged = makeCheckpoint({ origin, size: 3, root: leafHash('x') }, other);
    const elsewhere = makeCheckpoint({ origin: 'b', size: 3, root: leafHash('x') }, privateKey);
    expect(trustedCheckpoint(forged, verifier).ok).toBe(false);
    expect(trustedCheckpoint(elsewhere, verifier).ok).toBe(false);
  });

  it.each([
    ['nothing', ''],
    ['no signature', note.slice(0, note.indexOf('\n\n') + 2)],
    ['a size with a zero before it', note.replace('\n3\n', '\n03\n')],
    ['a negative size', note.replace('\n3\n', '\n-3\n')],
    ['a size above what numbers hold', note.replace('\n3\n', '\n9999999999999999\n')],
    ['a short root', note.replace(/\n3\n..../, '\n3\n')],
    ['carriage returns', note.replaceAll('\n', '\r\n')],
    ['more than a note may hold', `${'a'.repeat(5_000)}${note}`],
    ['something behind it', `${note}more`],
  ])('with %s is refused', (_, text) => {
    expect(parseCheckpoint(text).ok).toBe(false);
  });

  it.each(['', 'a+b', 'a+00000000+AAAA', formatVerifier(verifier).replace('+', '+0')])(
    'a verifier key such as "%s" is refused',
    (line) => {
      expect(parseVerifier(line).ok).toBe(false);
    },
  );
});

describe('two checkpoints', () => {
  const [a, b, c] = ['a', 'b', 'c'].map((text) => leafHash(text)) as [Buffer, Buffer, Buffer];
  const codeOf = (result: ReturnType<typeof compareHistories>): string =>
    result.ok ? 'one history' : result.error.code;

  it('of one size need one root', () => {
    expect(codeOf(compareHistories(at(1, a), at(1, a), null))).toBe('one history');
    expect(codeOf(compareHistories(at(1, a), at(1, b), null))).toBe('audit_history_forked');
  });

  it('of two sizes need a proof that the larger holds the smaller, in either order', () => {
    const [small, large] = [at(1, a), at(2, nodeHash(a, b))];
    expect(codeOf(compareHistories(small, large, [b]))).toBe('one history');
    expect(codeOf(compareHistories(large, small, [b]))).toBe('one history');
    expect(codeOf(compareHistories(small, large, null))).toBe('audit_proof_missing');
    expect(codeOf(compareHistories(small, large, [c]))).toBe('audit_history_forked');
    expect(codeOf(compareHistories(at(1, c), large, [b]))).toBe('audit_history_forked');
  });

  it('of nothing and something are one history', () => {
    expect(codeOf(compareHistories(at(0, EMPTY_ROOT), at(1, a), null))).toBe('one history');
    expect(codeOf(compareHistories(at(0, b), at(1, a), null))).toBe('audit_history_forked');
  });
});
