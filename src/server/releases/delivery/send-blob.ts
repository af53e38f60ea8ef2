import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Request, Response } from 'express';
import type { Blobs, ByteRange } from '../store/blobs.port.js';
import { noBlob } from '../store/received.js';
import { partOf } from './conditional.js';
import type { Downloads, Slot } from './downloads.js';

/** A blob never changes under its digest, so whoever has it may keep it. */
const FOR_EVER_SECONDS = 365 * 86_400;
/** A reader that takes nothing for this long, or a store that gives nothing, is cut off. */
const STALL_TIMEOUT_MS = 60_000;

export interface Sending {
  readonly blobs: Blobs;
  readonly downloads: Downloads;
  readonly sha256: string;
  readonly nodeId: string;
  /** For specs; `STALL_TIMEOUT_MS` when not given. */
  readonly stallTimeoutMs?: number;
}

/**
 * Answers a GET or HEAD with a blob or the part of it that was asked for, from whatever store. Throws
 * `not_found`, `rate_limited`, `downloads_busy` and what the store throws, before a byte went out;
 * what fails later cuts the answer.
 */
export async function sendBlob(
  request: Request,
  response: Response,
  sending: Sending,
): Promise<void> {
  const { blobs, downloads, sha256 } = sending;
  const blob = await blobs.find(sha256);
  if (blob === null) throw noBlob(sha256);
  const { size } = blob;
  const etag = `"${sha256}"`;
  const { status, range } = partOf(request.headers, etag, size);
  const hasBody = range !== null && request.method !== 'HEAD' && size > 0;
  const slot = hasBody ? downloads.begin(sending.nodeId) : null;
  try {
    const bytes = hasBody ? await blobs.read(sha256, range) : null;
    response.status(status).set({
      etag,
      'accept-ranges': 'bytes',
      'cache-control': `private, immutable, max-age=${FOR_EVER_SECONDS}`,
      ...headersOf(status, range, size),
    });
    if (bytes === null || slot === null) response.end();
    else await send(response, bytes, { ...sending, slot });
  } finally {
    slot?.release();
  }
}

function headersOf(
  status: number,
  range: ByteRange | null,
  size: number,
): Readonly<Record<string, string>> {
  if (status === 416) return { 'content-range': `bytes */${size}` };
  if (range === null) return {};
  const length = {
    'content-type': 'application/octet-stream',
    'content-length': String(range.end - range.start + 1),
  };
  if (status !== 206) return length;
  return { ...length, 'content-range': `bytes ${range.start}-${range.end}/${size}` };
}

async function send(
  response: Response,
  bytes: Readable,
  { downloads, slot, stallTimeoutMs = STALL_TIMEOUT_MS }: Sending & { readonly slot: Slot },
): Promise<void> {
  const { pace } = downloads;
  let isWaiting = false;
  const stall = setTimeout(() => {
    // One that waits for its turn is not stalled; one that does not take its bytes is.
    if (isWaiting) stall.refresh();
    else response.destroy();
  }, stallTimeoutMs);
  const paced = async function* (chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    for await (const chunk of chunks) {
      for (let at = 0; at < chunk.length; at += pace.sliceBytes) {
        const slice = chunk.subarray(at, at + pace.sliceBytes);
        isWaiting = true;
        await pace.take(slot.nodeId, slice.length);
        isWaiting = false;
        stall.refresh();
        yield slice;
      }
    }
  };
  try {
    await pipeline(bytes, paced, response);
  } catch {
    // A reader that hangs up has made up its mind; of half an answer a cut is the honest end.
    response.destroy();
  } finally {
    clearTimeout(stall);
  }
}
