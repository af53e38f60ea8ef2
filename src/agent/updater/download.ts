import { createHash, type Hash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open, rm, stat } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { FleetError } from '../../core/kernel/index.js';
import type { Faults } from './faults.js';
import type { Fetcher } from './fetcher.port.js';

/** Tries in a row that brought no byte; progress starts the count anew. */
const BARREN_TRIES_MAX = 5;
const BACKOFF_BASE_MS = 250;
const BACKOFF_MAX_MS = 10_000;
/** No byte for this long: the connection is taken for dead. */
const STALL_TIMEOUT_MS = 30_000;
/** However slowly it trickles, a download ends some time (10 minutes at least, 64 KiB/s). */
const TOTAL_TIMEOUT_MS_MIN = 600_000;
const BYTES_PER_SECOND_MIN = 64 * 1024;
/** What a timer of Node can hold: 24 days. */
const TIMER_MS_MAX = 2 ** 31 - 1;

export interface Download {
  readonly sha256: string;
  readonly size: number;
  readonly path: string;
  readonly sources: readonly string[];
  readonly fetcher: Fetcher;
  readonly faults: Faults;
  readonly signal: AbortSignal;
  readonly random: () => number;
  /** For specs; `STALL_TIMEOUT_MS` when not given. */
  readonly stallTimeoutMs?: number;
  /** For specs; computed from the size when not given. */
  readonly totalTimeoutMs?: number;
}

/**
 * Brings an artifact to the disk and returns when it has its size and digest. Goes on where an
 * earlier try, or an earlier process, stopped; what is there already is hashed again, never
 * trusted. Not a byte more than the signed size is kept. Throws FleetError
 * `upgrade_network_error`, `upgrade_checksum_mismatch`, `upgrade_artifact_too_large`; file system
 * errors pass through.
 */
export async function download(wanted: Download): Promise<void> {
  const deadline = AbortSignal.timeout(wanted.totalTimeoutMs ?? totalTimeoutMs(wanted.size));
  let barren = 0;
  for (;;) {
    wanted.signal.throwIfAborted();
    const before = await sizeOf(wanted.path);
    try {
      await attempt(wanted, deadline);
      return;
    } catch (error) {
      const isNetwork = error instanceof FleetError && error.code === 'upgrade_network_error';
      if (!isNetwork) throw error;
      barren = (await sizeOf(wanted.path)) > before ? 0 : barren + 1;
      if (barren >= BARREN_TRIES_MAX || deadline.aborted) throw error;
      const backoffMs = Math.min(BACKOFF_MAX_MS, BACKOFF_BASE_MS * 2 ** barren);
      await sleep(backoffMs * (0.5 + wanted.random() / 2), undefined, { signal: wanted.signal });
    }
  }
}

const totalTimeoutMs = (size: number): number => {
  const fairMs = Math.ceil((size / BYTES_PER_SECOND_MIN) * 1000);
  return Math.min(TIMER_MS_MAX, Math.max(TOTAL_TIMEOUT_MS_MIN, fairMs));
};

const sizeOf = (path: string): Promise<number> =>
  stat(path).then(
    (found) => found.size,
    () => 0,
  );

async function hashOfFile(path: string, bytes: number): Promise<Hash> {
  const hash = createHash('sha256');
  if (bytes === 0) return hash;
  for await (const chunk of createReadStream(path, { end: bytes - 1 }))
    hash.update(chunk as Buffer);
  return hash;
}

async function attempt(wanted: Download, deadline: AbortSignal): Promise<void> {
  let have = await sizeOf(wanted.path);
  if (have > wanted.size) {
    await rm(wanted.path);
    have = 0;
  }
  let hash = await hashOfFile(wanted.path, have);
  if (have < wanted.size) {
    const controller = new AbortController();
    const signal = AbortSignal.any([wanted.signal, controller.signal, deadline]);
    const { sha256, sources } = wanted;
    const opened = await wanted.fetcher.openArtifact({ sha256, offset: have, sources, signal });
    if (opened.from !== have) {
      have = opened.from;
      hash = await hashOfFile(wanted.path, have);
    }
    const { stallTimeoutMs = STALL_TIMEOUT_MS } = wanted;
    const { stream } = opened;
    await receive(wanted, { stream, hash, from: have, controller, stallTimeoutMs });
  }
  if (hash.digest('hex') !== wanted.sha256) {
    await rm(wanted.path, { force: true });
    throw new FleetError(
      'upgrade_checksum_mismatch',
      'the artifact does not have the digest of its signed manifest',
    );
  }
}

interface Receipt {
  readonly stream: AsyncIterable<Buffer> | NodeJS.ReadableStream;
  readonly hash: Hash;
  readonly from: number;
  readonly controller: AbortController;
  readonly stallTimeoutMs: number;
}

async function receive(wanted: Download, receipt: Receipt): Promise<void> {
  const file = await open(wanted.path, 'r+').catch(() => open(wanted.path, 'w+', 0o640));
  let at = receipt.from;
  const stall = setTimeout(() => {
    receipt.controller.abort(new FleetError('upgrade_network_error', 'the download stalled'));
  }, receipt.stallTimeoutMs);
  try {
    await file.truncate(receipt.from);
    for await (const chunk of receipt.stream as AsyncIterable<Buffer>) {
      stall.refresh();
      if (at + chunk.length > wanted.size) {
        throw new FleetError('upgrade_artifact_too_large', `more than ${wanted.size} bytes came`);
      }
      for (let start = 0; start < chunk.length;) {
        const { bytesWritten } = await file.write(chunk, start, chunk.length - start, at + start);
        start += bytesWritten;
      }
      receipt.hash.update(chunk);
      at += chunk.length;
      wanted.faults.hit('after-download-part');
    }
    await file.sync();
  } catch (error) {
    throw asNetworkError(error);
  } finally {
    clearTimeout(stall);
    await file.close();
  }
  if (at < wanted.size) {
    throw new FleetError('upgrade_network_error', `the download ended after ${at} bytes`);
  }
}

/** Errors of the disk keep their code; whatever else breaks a stream is the network. */
function asNetworkError(error: unknown): unknown {
  if (error instanceof FleetError) return error;
  const { code, syscall } = error as { code?: string; syscall?: string };
  if (code === 'ENOSPC' || code === 'EDQUOT' || syscall === 'write') return error;
  return new FleetError('upgrade_network_error', 'the download broke off', { cause: error });
}
