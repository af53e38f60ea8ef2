import { randomUUID, type KeyObject } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import {
  compareHistories,
  parseCheckpoint,
  parseVerifier,
  trustedCheckpoint,
  type Checkpoint,
  type NoteVerifier,
} from '../core/audit/index.js';
import type { OutboxEvent } from '../core/update/index.js';
import { makeNodeToken } from '../protocol/node/index.js';
import { replaceFile } from './durable-files.js';
import { agentFor, ask, bytesOf, type Reach } from './link/index.js';
import type { Log } from './log.js';

/** The newest checkpoint of the manager's audit log that fitted all before it. */
export const CHECKPOINT_FILE = 'audit-checkpoint.txt';
/** The last one that did not: with the other it proves that history was rewritten. */
export const REFUSED_FILE = 'audit-checkpoint-refused.txt';

const CONSISTENCY_PATH = '/node/v1/audit/consistency';
const ANSWER_TIMEOUT_MS = 30_000;
/** 64 hashes of 44 letters, with their frame. */
const ANSWER_BYTES_MAX = 8 * 1_024;
const Proof = z.object({ path: z.array(z.base64().max(64)).max(64) });

export interface AuditMemoryOptions {
  /** Where the agent keeps its files. */
  readonly dir: string;
  /** Null: signatures are not checked, histories are. */
  readonly verifierKey: string | null;
  /** The hashes that prove that the log of `to` entries holds that of `from`. */
  readonly fetchProof: (from: number, to: number) => Promise<readonly Uint8Array[]>;
  /** Tells it where it is not overheard; must not reject. */
  readonly report: (
    event: Pick<OutboxEvent, 'type' | 'severity' | 'message' | 'details'>,
  ) => Promise<void>;
  readonly log: Log;
}

/**
 * Remembers what the manager said its audit log was, so that a rewritten one is found by every node
 * that was told before. It only watches: nothing it finds stops a command or a service.
 */
export class AuditMemory {
  readonly #options: AuditMemoryOptions;
  readonly #key: NoteVerifier | null;
  #turn: Promise<void> = Promise.resolve();

  constructor(options: AuditMemoryOptions) {
    this.#options = options;
    const parsed = options.verifierKey === null ? null : parseVerifier(options.verifierKey);
    this.#key = parsed?.ok === true ? parsed.value : null;
  }

  /** Takes the checkpoint of a `welcome`. One after another; never rejects. */
  heard(note: string): Promise<void> {
    this.#turn = this.#turn
      .then(() => this.#take(note))
      .catch((error: unknown) => {
        this.#options.log('an audit checkpoint could not be looked at', { error: String(error) });
      });
    return this.#turn;
  }

  async #take(note: string): Promise<void> {
    const offered = this.#key === null ? parseCheckpoint(note) : trustedCheckpoint(note, this.#key);
    const kept = await this.#kept();
    if (!offered.ok) {
      await this.#refuse(offered.error.code, offered.error.message, { note, kept });
      return;
    }
    if (kept === null) {
      await this.#keep(note);
      return;
    }
    await this.#follow(kept, offered.value, note);
  }

  async #follow(kept: Kept, offered: Checkpoint, note: string): Promise<void> {
    const { size } = kept.checkpoint;
    const grows = offered.origin === kept.checkpoint.origin && offered.size > size;
    const proof = grows ? await this.#proof(size, offered.size) : null;
    // No proof came: nothing is believed and nothing is said; the next welcome asks again.
    if (grows && proof === null) return;
    const problem = shrinks(kept.checkpoint, offered);
    const same = compareHistories(kept.checkpoint, offered, proof);
    if (problem !== null || !same.ok) {
      const message = problem ?? (same.ok ? '' : same.error.message);
      await this.#refuse('audit_history_forked', message, { note, kept });
    } else if (grows) {
      await this.#keep(note);
    }
  }

  async #proof(from: number, to: number): Promise<readonly Uint8Array[] | null> {
    try {
      return await this.#options.fetchProof(from, to);
    } catch (error) {
      this.#options.log('no proof of the audit log could be fetched', {
        from,
        to,
        error: String(error),
      });
      return null;
    }
  }

  /** Null when there is none yet. A damaged one is said, and begun anew. */
  async #kept(): Promise<Kept | null> {
    const note = await readIfThere(join(this.#options.dir, CHECKPOINT_FILE));
    if (note === null) return null;
    const read = parseCheckpoint(note);
    if (read.ok) return { note, checkpoint: read.value };
    this.#options.log('the kept audit checkpoint is damaged; a new one is begun', {
      error_code: read.error.code,
    });
    return null;
  }

  #keep(note: string): Promise<void> {
    return replaceFile(join(this.#options.dir, CHECKPOINT_FILE), note);
  }

  /** Loud once for each checkpoint that does not fit, however often it is offered. */
  async #refuse(
    code: string,
    message: string,
    { note, kept }: { readonly note: string; readonly kept: Kept | null },
  ): Promise<void> {
    const { dir, log, report } = this.#options;
    log('an audit checkpoint of the manager is refused', { error_code: code, problem: message });
    const path = join(dir, REFUSED_FILE);
    if ((await readIfThere(path)) === note) return;
    await replaceFile(path, note);
    await report({
      type: 'audit_checkpoint_refused',
      severity: 'critical',
      message: `The audit log of the manager does not fit what this node was told before: ${message}`,
      details: { error_code: code, kept: kept?.note ?? null, refused: note.slice(0, 2_000) },
    });
  }
}

interface Kept {
  readonly note: string;
  readonly checkpoint: Checkpoint;
}

/** A log only grows: one that is shorter was cut, or set back to a backup. */
const shrinks = (kept: Checkpoint, offered: Checkpoint): string | null =>
  offered.size < kept.size ? `it has ${offered.size} entries, and had ${kept.size} before` : null;

async function readIfThere(path: string): Promise<string | null> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if ((error as { code?: string }).code === 'ENOENT') return null;
    throw error;
  }
}

/** Asks the manager for a proof, with a token of the node's own. Bounded in time and size. */
export function proofFetcher(options: {
  /** Whose log it is: the audience of the token. */
  readonly manager: string;
  /** Where the manager is reached just now. */
  readonly origin: () => string;
  readonly reach: Reach;
  readonly nodeId: string;
  readonly key: KeyObject;
  readonly now: () => number;
  /** For specs; `ANSWER_TIMEOUT_MS` when not given. */
  readonly timeoutMs?: number;
}): AuditMemoryOptions['fetchProof'] {
  const { origin: audience } = new URL(options.manager);
  const { nodeId, key, now, reach, timeoutMs = ANSWER_TIMEOUT_MS } = options;
  return async (from, to) => {
    const token = makeNodeToken({ nodeId, origin: audience, key, nowMs: now(), jti: randomUUID() });
    const url = `${options.origin()}${CONSISTENCY_PATH}?from=${from}&to=${to}`;
    // Redirects are not followed: a token must not go somewhere else.
    const response = await ask(url, {
      headers: { authorization: `Bearer ${token}` },
      agent: url.startsWith('https:') && agentFor(reach, false),
      timeoutMs,
      signal: AbortSignal.timeout(timeoutMs),
    });
    const bytes = await bytesOf(response, ANSWER_BYTES_MAX);
    if (bytes === null) throw new Error('the proof is too long');
    if (response.statusCode !== 200) {
      throw new Error(`the manager answered ${response.statusCode ?? 0}`);
    }
    const { path } = Proof.parse(JSON.parse(bytes.toString('utf8')));
    return path.map((hash) => Buffer.from(hash, 'base64'));
  };
}
