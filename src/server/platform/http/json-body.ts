import type { Request } from 'express';
import { FleetError } from '../../../core/kernel/index.js';

/** A manifest (1 MiB) with sixteen signatures of 64 KiB is the largest body there is. */
export const JSON_BODY_BYTES_MAX = 2 * 1024 * 1024;
/** On public routes: an enrollment with all its labels is about 10 KiB, and anybody may send. */
export const PUBLIC_BODY_BYTES_MAX = 64 * 1024;

const invalid = (message: string): FleetError =>
  new FleetError('invalid_request', message, {
    context: { problems: [{ path: 'body', message }] },
  });

const tooLarge = (bytesMax: number): FleetError =>
  new FleetError('payload_too_large', `the body of this route holds at most ${bytesMax} bytes`);

/**
 * Reads the body of a request as JSON. Called after the guard, so that a stranger's body is never
 * kept in memory, and only for routes with a body schema, so that uploads stay streams. Throws
 * `invalid_request` or `payload_too_large`.
 */
export async function readJsonBody(request: Request, bytesMax: number): Promise<unknown> {
  const contentType = (request.headers['content-type'] ?? '').split(';')[0]?.trim().toLowerCase();
  if (contentType !== 'application/json') {
    throw invalid('send JSON with the header Content-Type: application/json');
  }
  if ((request.headers['content-encoding'] ?? 'identity').toLowerCase() !== 'identity') {
    throw invalid('send the body without Content-Encoding');
  }
  const bytes = await readAll(request, bytesMax);
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes)) as unknown;
  } catch {
    throw invalid('the body is not JSON in UTF-8');
  }
}

async function readAll(request: Request, bytesMax: number): Promise<Buffer> {
  if (Number(request.headers['content-length'] ?? 0) > bytesMax) throw tooLarge(bytesMax);
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > bytesMax) throw tooLarge(bytesMax);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
