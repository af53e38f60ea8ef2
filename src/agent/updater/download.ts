import { createHash, type Hash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open, rm, stat } from 'node:fs/promises';
import { FleetError } from '../../core/kernel/index.js';
import { collector } from './collect.js';
import type { Faults } from './faults.js';
import type { Fetcher } from './fetcher.port.js';
import { Patience, type PatienceOptions } from './patience.js';
import { Suppliers } from './suppliers.js';

/** No byte for this long: the connection is taken for dead. */
const STALL_TIMEOUT_MS = 30_000;
/** However slowly it trickles, a download ends some time (10 minutes at least, 64 KiB/s). */
const TOTAL_TIMEOUT_MS_MIN = 600_000;
const BYTES_PER_SECOND_MIN = 64 * 1024;
/** What a timer of Node can hold: 24 days. */
const TIMER_MS_MAX = 2 ** 31 - 1;

/** Patience is with tries that bring no byte; each byte renews it. */
export interface Download extends PatienceOptions {
  readonly sha256: string;
  readonly size: number;
  /** Where the manifest says that it lies besides. */
  readonly url?: string | undefined;
  readonly path: string;
  readonly sources: readonly string[];
  readonly fetcher: Fetcher;
  readonly faults: Faults;
  /** For specs; `STALL_TIMEOUT_MS` when not given. */
  readonly stallTimeoutMs?: number;
  /** For specs; computed from the size when not given. */
  readonly totalTimeoutMs?: number;
  /** For specs; `SLOW_AFTER_MS` when not given. */
  readonly slowAfterMs?: number;
}

/**
 * Brings an artifact to the disk and returns when it has its size and digest. Goes on where an
 * earlier try, or an earlier process, stopped; what is there already is hashed again, never
 * trusted. Not a byte more than the signed size is kept. A source that sends other bytes, another
 * length, too many or too slowly is given up for the next one; when none is left, what was wrong
 * with the last one is thrown: FleetError `upgrade_network_error`, `upgrade_checksum_mismatch`,
 * `upgrade_artifact_too_large`, `upgrade_length_mismatch`, `upgrade_download_slow`,
 * `upgrade_url_invalid`; file system errors pass through.
 */
export async function download(wanted: Download): Promise<void> {
  const deadline = AbortSignal.timeout(wanted.totalTimeoutMs ?? totalTimeoutMs(wanted.size));
  const suppliers = new Suppliers(wanted.slowAfterMs);
  const patience = new Patience(wanted);
  for (;;) {
    wanted.signal.throwIfAborted();
    const before = await sizeOf(wanted.path);
    try {
      await attempt(wanted, deadline, suppliers);
      return;
    } catch (error) {
      if (deadline.aborted) throw error;
      // Given up for the next source: that one begins with tries of its own.
      if (await suppliers.hasBlamed(error, wanted)) {
        patience.renew();
        continue;
      }
      const isNobodyLeft = error instanceof FleetError && error.context['none_left'] === true;
      if (isNobodyLeft) throw suppliers.lastFault ?? error;
      if ((await sizeOf(wanted.path)) > before) patience.renew();
      if (await patience.after(error)) continue;
      throw isNetworkError(error) ? (suppliers.lastFault ?? error) : error;
    }
  }
}

const isNetworkError = (error: unknown): boolean =>
  error instanceof FleetError && error.code === 'upgrade_network_error';

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

async function attempt(
  wanted: Download,
  deadline: AbortSignal,
  suppliers: Suppliers,
): Promise<void> {
  let have = await sizeOf(wanted.path);
  if (have > wanted.size) {
    await rm(wanted.path);
    have = 0;
  }
  suppliers.found(have);
  let hash = await hashOfFile(wanted.path, have);
  if (have < wanted.size) {
    const controller = new AbortController();
    const signal = AbortSignal.any([wanted.signal, controller.signal, deadline]);
    const { sha256, sources, size, url } = wanted;
    const avoid = suppliers.avoided;
    const asked = { sha256, offset: have, sources, signal, size, url, avoid };
    const { stream, from, source } = await wanted.fetcher.openArtifact(asked);
    suppliers.answered(source, from);
    if (from !== have) {
      have = from;
      hash = await hashOfFile(wanted.path, have);
    }
    await receive(wanted, { stream, hash, from: have, controller, suppliers });
  }
  if (hash.digest('hex') === wanted.sha256) return;
  await rm(wanted.path, { force: true });
  throw new FleetError(
    'upgrade_checksum_mismatch',
    'the artifact does not have the digest of its signed manifest',
  );
}

interface Receipt {
  readonly stream: AsyncIterable<Buffer> | NodeJS.ReadableStream;
  readonly hash: Hash;
  readonly from: number;
  readonly controller: AbortController;
  readonly suppliers: Suppliers;
}

async function receive(wanted: Download, receipt: Receipt): Promise<void> {
  const { controller, suppliers } = receipt;
  const file = await open(wanted.path, 'r+').catch(() => open(wanted.path, 'w+', 0o640));
  const collect = collector();
  let at = receipt.from;
  const stall = setTimeout(() => {
    controller.abort(new FleetError('upgrade_network_error', 'the download stalled'));
  }, wanted.stallTimeoutMs ?? STALL_TIMEOUT_MS);
  const stopWatching = suppliers.watch((error) => {
    controller.abort(error);
  });
  try {
    await file.truncate(receipt.from);
    for await (const chunk of receipt.stream as AsyncIterable<Buffer>) {
      stall.refresh();
      suppliers.received(chunk.length);
      if (at + chunk.length > wanted.size) {
        throw new FleetError('upgrade_artifact_too_large', `more than ${wanted.size} bytes came`);
      }
      for (let start = 0; start < chunk.length;) {
        const { bytesWritten } = await file.write(chunk, start, chunk.length - start, at + start);
        start += bytesWritten;
      }
      receipt.hash.update(chunk);
      at += chunk.length;
      collect(chunk.length);
      wanted.faults.hit('after-download-part');
    }
    await file.sync();
  } catch (error) {
    throw asNetworkError(controller.signal.aborted ? controller.signal.reason : error);
  } finally {
    clearTimeout(stall);
    stopWatching();
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
