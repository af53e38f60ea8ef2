import { ApiProblem, NoAnswer, refusalOf, type Answer } from '../../../client/index.js';
import { api } from '../../app/api.js';
import { csrf } from '../../app/csrf.js';
import type { PickedPart, PickedRelease } from './release-files.js';

/** One request carries so much: what is lost when a connection breaks. */
const PIECE_BYTES = 4 * 1024 * 1024;
/** Between two of these the page can do other things: hashing one takes some milliseconds. */
const HASH_BYTES = 512 * 1024;
const RETRY_MIN_MS = 500;
const RETRY_MAX_MS = 15_000;
/** Tries without a byte of progress, until a person is asked. */
const BARREN_MAX = 20;
/** What may pass by itself. */
const MAY_PASS = new Set(['unavailable', 'rate_limited', 'upload_offset_mismatch']);

export type PartPhase = 'waiting' | 'checking' | 'sending' | 'there' | 'failed';
export interface PartState extends PickedPart {
  readonly phase: PartPhase;
  /** Of `size`, of the check or of the upload. */
  readonly bytes: number;
}
export interface UploadState {
  readonly phase: 'ready' | 'running' | 'paused' | 'failed' | 'done';
  readonly parts: readonly PartState[];
  /** Why it failed, or what is being waited out. */
  readonly error: Error | null;
  readonly isRetrying: boolean;
  readonly release: Answer<'releases.publish'> | null;
}

/**
 * Checks and sends the files of a release, then publishes it. Every part can be stopped and goes on where
 * the manager says it came to; what the manager holds already is not sent. Publishing twice is publishing once.
 */
export class Upload {
  #state: UploadState;
  #ended: AbortController | null = null;
  readonly #checked = new Set<string>();
  readonly #readers = new Set<() => void>();

  constructor(readonly picked: PickedRelease) {
    this.#state = {
      phase: 'ready',
      parts: picked.parts.map((part) => ({ ...part, phase: 'waiting', bytes: 0 })),
      error: null,
      isRetrying: false,
      release: null,
    };
  }

  readonly snapshot = (): UploadState => this.#state;
  readonly subscribe = (tell: () => void): (() => void) => {
    this.#readers.add(tell);
    return () => void this.#readers.delete(tell);
  };

  pause(): void {
    this.#ended?.abort();
    if (this.#state.phase === 'running') this.#set({ phase: 'paused', isRetrying: false });
  }

  /** Begins, or goes on. While it runs, another call changes nothing. */
  async run(draft: boolean): Promise<void> {
    if (this.#state.phase === 'running' || this.#state.phase === 'done') return;
    const ended = new AbortController();
    this.#ended = ended;
    this.#set({ phase: 'running', error: null });
    try {
      for (const [index, part] of this.picked.parts.entries()) {
        await this.#bring(index, part, ended.signal);
      }
      const { text, signatures } = this.picked;
      const body = { manifest: text, signatures: signatures.map((one) => one.text), draft };
      const release = await api.call('releases.publish', { body }, { signal: ended.signal });
      this.#set({ phase: 'done', release });
    } catch (error) {
      if (ended.signal.aborted) return;
      this.#set({ phase: 'failed', error: error as Error, isRetrying: false });
    }
  }

  async #bring(index: number, part: PickedPart, signal: AbortSignal): Promise<void> {
    if (this.#state.parts[index]?.phase === 'there') return;
    try {
      let barren = 0;
      let furthest = -1;
      for (;;) {
        try {
          const status = await this.#status(part, signal);
          if (status.complete) break;
          await this.#check(index, part, signal);
          if (status.offset > furthest) barren = 0;
          furthest = Math.max(furthest, status.offset);
          await this.#send(index, part, status.offset, signal);
        } catch (error) {
          barren += 1;
          if (!mayPass(error, signal) || barren > BARREN_MAX) throw error;
          // Cut, or the manager is being restarted: ask where it came to, and go on from there.
          this.#set({ error: error as Error, isRetrying: true });
          await pauseOf(Math.min(RETRY_MAX_MS, RETRY_MIN_MS * 2 ** (barren - 1)), signal);
        }
        if (this.#state.isRetrying) this.#set({ error: null, isRetrying: false });
      }
    } catch (error) {
      if (!signal.aborted) this.#part(index, { phase: 'failed' });
      throw error;
    }
    this.#part(index, { phase: 'there', bytes: part.size });
  }

  #status({ sha256 }: PickedPart, signal: AbortSignal): Promise<Answer<'releases.upload_status'>> {
    return api.call('releases.upload_status', { params: { digest: sha256 } }, { signal });
  }

  /** A damaged file is found here, with its name, and not after minutes of sending. */
  async #check(index: number, part: PickedPart, signal: AbortSignal): Promise<void> {
    const { picked, file, sha256 } = part;
    if (picked === null) {
      throw new Error(
        `${file} is not among the files that you picked, and the manager does not have it. Pick the whole folder.`,
      );
    }
    if (this.#checked.has(sha256)) return;
    const { sha256: hashOf } = await import('@noble/hashes/sha2');
    const hash = hashOf.create();
    for (let at = 0; at < picked.size; at += HASH_BYTES) {
      signal.throwIfAborted();
      const piece = await picked.slice(at, at + HASH_BYTES).arrayBuffer();
      hash.update(new Uint8Array(piece));
      this.#part(index, { phase: 'checking', bytes: Math.min(at + HASH_BYTES, picked.size) });
      await pauseOf(0, signal);
    }
    const found = Array.from(hash.digest(), (byte) => byte.toString(16).padStart(2, '0')).join('');
    if (found !== sha256) {
      throw new Error(
        `${file} does not have the digest of the manifest: it changed after it was packed. Pack the release again.`,
      );
    }
    this.#checked.add(sha256);
  }

  async #send(
    index: number,
    { picked, sha256, size }: PickedPart,
    from: number,
    signal: AbortSignal,
  ): Promise<void> {
    if (picked === null) return;
    for (let offset = from; offset < size;) {
      this.#part(index, { phase: 'sending', bytes: offset });
      const piece = picked.slice(offset, offset + PIECE_BYTES);
      const status = await append({ sha256, size, offset, piece }, signal);
      if (status.complete) return;
      offset = status.offset;
    }
  }

  #part(index: number, change: Partial<PartState>): void {
    const parts = this.#state.parts.map((part, i) => (i === index ? { ...part, ...change } : part));
    this.#set({ parts });
  }

  #set(change: Partial<UploadState>): void {
    this.#state = { ...this.#state, ...change };
    for (const tell of this.#readers) tell();
  }
}

/** Sends one piece of raw bytes, which the client for JSON cannot. */
async function append(
  upload: {
    readonly sha256: string;
    readonly size: number;
    readonly offset: number;
    readonly piece: Blob;
  },
  signal: AbortSignal,
): Promise<Answer<'releases.append'>> {
  const url = api.addressOf('releases.append', { params: { digest: upload.sha256 } });
  const response = await fetch(url, {
    method: 'PATCH',
    body: upload.piece,
    headers: {
      'content-type': 'application/octet-stream',
      'upload-offset': String(upload.offset),
      'upload-length': String(upload.size),
      ...(csrf.value === null ? {} : { 'x-bellwether-csrf': csrf.value }),
    },
    signal,
    redirect: 'error',
  }).catch((error: unknown) => {
    if (signal.aborted) throw error;
    throw new NoAnswer('unreachable', `${url.origin} cannot be reached`, error);
  });
  const text = await response.text();
  if (!response.ok) throw refusalOf(url, response.status, text);
  return JSON.parse(text) as Answer<'releases.append'>;
}

const mayPass = (error: unknown, signal: AbortSignal): boolean =>
  !signal.aborted &&
  (error instanceof NoAnswer || (error instanceof ApiProblem && MAY_PASS.has(error.code)));

const pauseOf = (ms: number, signal: AbortSignal): Promise<void> =>
  new Promise((resolve, reject) => {
    const stop = (): void => {
      clearTimeout(timer);
      reject(signal.reason as Error);
    };
    const timer = setTimeout(() => {
      signal.removeEventListener('abort', stop);
      resolve();
    }, ms);
    if (signal.aborted) stop();
    else signal.addEventListener('abort', stop, { once: true });
  });
