import { ApiProblem, type Answer } from '../../../client/index.js';
import { api } from '../../app/api.js';
import { count, counted, exactly } from '../../ui/index.js';
import {
  canVerify,
  fromBase64,
  GrowingTree,
  hashesOf,
  leafHash,
  leafOfEntry,
  ProofError,
  readCheckpoint,
  readKey,
  sameBytes,
  toBase64,
  verifyConsistency,
  verifyInclusion,
  type Checkpoint,
  type LogKey,
} from './log-proofs.js';

export type AuditEntry = Answer<'audit.list'>['items'][number];
export type StepState = 'waiting' | 'running' | 'good' | 'bad' | 'skipped';

export interface CheckStep {
  readonly title: string;
  readonly state: StepState;
  /** What was found, for people. */
  readonly words: string;
  /** How far it is; null where there is nothing to count. */
  readonly progress: { readonly done: number; readonly of: number } | null;
}

interface Kept {
  readonly verifier_key: string;
  readonly note: string;
  readonly at: string;
}
const KEPT = 'bellwether-audit-checkpoint';

/** What this browser knows of the log from an earlier check: the one thing the manager cannot rewrite. */
export function readKept(): Kept | null {
  try {
    const kept = JSON.parse(localStorage.getItem(KEPT) ?? 'null') as Partial<Kept> | null;
    if (typeof kept?.verifier_key !== 'string' || typeof kept.note !== 'string') return null;
    return { verifier_key: kept.verifier_key, note: kept.note, at: kept.at ?? '' };
  } catch {
    return null;
  }
}
/** After the key was changed for a good reason, such as a new installation. */
export const forgetKept = (): void => localStorage.removeItem(KEPT);

export interface CheckGiven {
  /** As they are shown: what is hashed is what was read. */
  readonly entries: readonly AuditEntry[];
  /** Every entry of the log too; only for who may see all. */
  readonly whole: boolean;
  readonly signal: AbortSignal;
  readonly tell: (steps: readonly CheckStep[]) => void;
}

const TITLES = [
  'The key of the log',
  'A fresh checkpoint, and its signature',
  'Nothing was rewritten since this browser last looked',
  'The entries that are shown',
  'Every entry of the log',
] as const;
/** Told so often: drawing takes longer than hashing. */
const TELL_EVERY = 250;

/**
 * Fetches proofs and checks them here, step by step; the manager is not believed. Ends at the first thing
 * that does not fit. True when all that was asked holds. Throws only the reason of `signal`.
 */
export async function checkLog(given: CheckGiven): Promise<boolean> {
  const titles = given.whole ? TITLES : TITLES.slice(0, -1);
  const steps: CheckStep[] = titles.map((title) => ({
    title,
    state: 'waiting',
    words: '',
    progress: null,
  }));
  const set = (at: number, change: Partial<CheckStep>): void => {
    const step = steps[at];
    if (step === undefined) return;
    steps[at] = { ...step, ...change };
    given.tell([...steps]);
  };
  const work = new LogCheck(given, (at, done, of) => set(at, { progress: { done, of } }));
  for (const at of steps.keys()) {
    set(at, { state: 'running' });
    try {
      const { state, words } = await work.step(at);
      set(at, { state, words });
    } catch (error) {
      if (given.signal.aborted) throw error;
      set(at, { state: 'bad', words: whyOf(error) });
      return false;
    }
  }
  work.keep();
  return true;
}

const whyOf = (error: unknown): string => {
  if (error instanceof ProofError) return `This does not fit: ${error.message}.`;
  if (error instanceof ApiProblem) return `${error.problem.detail}. ${error.problem.fix}`;
  return `It could not be checked: ${(error as Error).message}.`;
};

interface Found {
  readonly state: 'good' | 'skipped';
  readonly words: string;
}
const good = (words: string): Found => ({ state: 'good', words });
const skipped = (words: string): Found => ({ state: 'skipped', words });

class LogCheck {
  readonly #kept = readKept();
  readonly #given: CheckGiven;
  readonly #progress: (step: number, done: number, of: number) => void;
  #verifierKey = '';
  #key: LogKey | null = null;
  #note = '';
  #checkpoint: Checkpoint | null = null;

  constructor(given: CheckGiven, progress: (step: number, done: number, of: number) => void) {
    this.#given = given;
    this.#progress = progress;
  }

  step(at: number): Promise<Found> {
    const all = [
      () => this.#readKey(),
      () => this.#fetchCheckpoint(),
      () => this.#compare(),
      () => this.#entries(),
      () => this.#whole(),
    ];
    return (all[at] ?? (async () => skipped('')))();
  }

  /** Once everything held, and not before: from now on the log must hold this. */
  keep(): void {
    const kept: Kept = {
      verifier_key: this.#verifierKey,
      note: this.#note,
      at: new Date().toISOString(),
    };
    localStorage.setItem(KEPT, JSON.stringify(kept));
  }

  async #readKey(): Promise<Found> {
    if (!canVerify())
      throw new Error(
        'browsers compute signatures only on pages that came over TLS, or from this machine; ' +
          'use `bellwether audit verify` instead',
      );
    const { verifier_key: line } = await api.call('audit.key', {}, { signal: this.#given.signal });
    this.#verifierKey = line;
    this.#key = await readKey(line);
    if (this.#kept === null)
      return good(
        'Seen here for the first time, and kept in this browser. Compare it with the one that you noted elsewhere.',
      );
    if (this.#kept.verifier_key !== line)
      throw new ProofError(
        `the manager shows another key than when this browser last looked, ${exactly(this.#kept.at)}`,
      );
    return good('The same as when this browser last looked.');
  }

  async #fetchCheckpoint(): Promise<Found> {
    const answer = await api.call('audit.checkpoint', {}, { signal: this.#given.signal });
    const checkpoint = await readCheckpoint(answer.note, this.#trusted());
    const isSame =
      answer.size === checkpoint.size && sameBytes(fromBase64(answer.root, 32), checkpoint.root);
    if (!isSame) throw new ProofError('the manager says something else than what it signed');
    this.#note = answer.note;
    this.#checkpoint = checkpoint;
    return good(
      `Signed over ${counted(checkpoint.size, 'entry', 'entries')}, root ${toBase64(checkpoint.root)}.`,
    );
  }

  async #compare(): Promise<Found> {
    if (this.#kept === null)
      return skipped('Nothing to compare with yet. From now on this browser keeps the checkpoint.');
    const now = this.#newest();
    const before = await readCheckpoint(this.#kept.note, this.#trusted());
    if (before.size > now.size)
      throw new ProofError(
        `the log had ${count(before.size)} entries when this browser last looked, and has ${count(now.size)} now`,
      );
    const { path } = await api.call(
      'audit.consistency',
      { query: { from: before.size, to: now.size } },
      { signal: this.#given.signal },
    );
    await verifyConsistency(before, now, hashesOf(path));
    return good(
      `All ${count(before.size)} entries of ${exactly(this.#kept.at)} are still there, unchanged; ${count(now.size - before.size)} came after.`,
    );
  }

  async #entries(): Promise<Found> {
    const tree = this.#newest();
    const { entries, signal } = this.#given;
    // What came after the checkpoint is in the next one.
    const covered = entries.filter(({ id }) => id <= tree.size);
    if (covered.length === 0) return skipped('None is shown.');
    for (const [done, entry] of covered.entries()) {
      this.#progress(3, done, covered.length);
      const { path } = await api.call(
        'audit.inclusion',
        { params: { entry: entry.id }, query: { size: tree.size } },
        { signal },
      );
      const leaf = await leafHash(leafOfEntry(entry));
      await verifyInclusion({ index: entry.id - 1, leaf, path: hashesOf(path) }, tree).catch(
        (error: unknown) => {
          throw new ProofError(`entry ${entry.id}: ${(error as Error).message}`);
        },
      );
    }
    this.#progress(3, covered.length, covered.length);
    return good(
      `${counted(covered.length, 'entry is', 'entries are')} in the log, letter for letter as shown.`,
    );
  }

  async #whole(): Promise<Found> {
    const wanted = this.#newest();
    const { signal } = this.#given;
    const query = { format: 'ndjson', through: wanted.size } as const;
    const response = await api.open('audit.export', { query }, { signal });
    let tree: GrowingTree | null = null;
    let first = 0;
    for await (const line of linesOf(response, signal)) {
      if (tree === null) {
        const { after, before } = JSON.parse(line) as { after: number; before: string[] };
        tree = new GrowingTree(after, hashesOf(before));
        first = after + 1;
        continue;
      }
      await tree.append(await leafHash(line));
      if (tree.size % TELL_EVERY === 0) this.#progress(4, tree.size, wanted.size);
    }
    if (tree === null) throw new ProofError('the export is empty');
    if (tree.size !== wanted.size)
      throw new ProofError(
        `the export ends at entry ${tree.size}, the checkpoint at ${wanted.size}`,
      );
    if (!sameBytes(await tree.root(), wanted.root))
      throw new ProofError('the entries lead to another root: one was changed, dropped or moved');
    this.#progress(4, wanted.size, wanted.size);
    return good(
      `Entries ${count(first)} to ${count(wanted.size)} were read and hashed, and lead to the signed root.`,
    );
  }

  #trusted(): LogKey {
    if (this.#key === null) throw new Error('there is no key yet');
    return this.#key;
  }
  #newest(): Checkpoint {
    if (this.#checkpoint === null) throw new Error('there is no checkpoint yet');
    return this.#checkpoint;
  }
}

/** Longer than any line of an export. */
const LINE_CHARS_MAX = 64 * 1_024;

async function* linesOf(response: Response, signal: AbortSignal): AsyncGenerator<string, void> {
  if (response.body === null) return;
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  const stop = (): void => void reader.cancel().catch(() => undefined);
  signal.addEventListener('abort', stop);
  try {
    let rest = '';
    for (;;) {
      const { value, done } = await reader.read();
      signal.throwIfAborted();
      if (done) break;
      const lines = (rest + value).split('\n');
      rest = lines.pop() ?? '';
      if (rest.length > LINE_CHARS_MAX) throw new ProofError('a line of the export is too long');
      yield* lines;
    }
    if (rest !== '') yield rest;
  } finally {
    signal.removeEventListener('abort', stop);
    stop();
  }
}
