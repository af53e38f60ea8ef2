import {
  judgeSignatures,
  NodePolicy,
  parseTrustedRoot,
  type SigstoreTrust,
} from '../../src/core/release/index.js';
import type { Json } from './json.js';
import { RELEASE_SIGNER } from './sigstore.js';

/** What is signed in specs that do not care what it is. */
export const BYTES = Buffer.from('{"product":"edge"}');
export const OTHER = Buffer.from('{"product":"gateway"}');

export function trustOf(root: unknown): SigstoreTrust {
  const parsed = parseTrustedRoot(Buffer.from(JSON.stringify(root)));
  if (!parsed.ok) throw new Error(parsed.error.message);
  return parsed.value;
}

export interface Judging {
  readonly signers?: readonly unknown[];
  readonly threshold?: number;
  readonly bytes?: Uint8Array;
  readonly by: SigstoreTrust | null;
}

type Judged = ReturnType<typeof judgeSignatures>;

/** Bundles, or texts of any kind, under a policy that lists the release workflow or who is given. */
export function judgeBundles(
  bundles: readonly (Json | string | undefined)[],
  judging: Judging,
): Judged {
  const { signers = [RELEASE_SIGNER], threshold = 1, bytes = BYTES, by } = judging;
  const texts = bundles.map((one) => (typeof one === 'string' ? one : JSON.stringify(one)));
  return judgeSignatures(NodePolicy.parse({ signers, threshold }), bytes, texts, by);
}

export const codeOf = (answer: Judged): string => (answer.ok ? 'taken' : answer.error.code);
