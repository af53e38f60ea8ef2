import type { Request } from 'express';
import { FleetError } from '../../../core/kernel/index.js';

/** A manifest (1 MiB) with sixteen signatures of 64 KiB is the largest body there is. */
export const JSON_BODY_BYTES_MAX = 2 * 1024 * 1024;
/** The largest body in this time is 1 Mbit/s; whoever is slower holds a socket and memory for nothing. */
export const JSON_BODY_MS_MAX = 20_000;
/** On public routes: an enrollment with all its labels is about 10 KiB, and anybody may send. */
export const PUBLIC_BODY_BYTES_MAX = 64 * 1024;

/** An escaped NUL: PostgreSQL can keep none in a text, and no text of ours needs one. */
const NUL_ESCAPED = /(?<!\\)(?:\\\\)*\\u0000/;

const invalid = (message: string): FleetError =>
  new FleetError('invalid_request', message, {
    context: { problems: [{ path: 'body', message }] },
  });

const tooLarge = (bytesMax: number): FleetError =>
  new FleetError('payload_too_large', `the body of this route holds at most ${bytesMax} bytes`);

const tooSlow = (): FleetError =>
  new FleetError('request_too_slow', `the body did not come within ${JSON_BODY_MS_MAX / 1000} s`);

/**
 * Reads the body of a request as JSON. Called after the guard, so that a stranger's body is never
 * kept in memory, and only for routes with a body schema, so that uploads stay streams. Throws
 * `invalid_request`, `payload_too_large` or `request_too_slow`.
 */
export async function readJsonBody(
  request: Request,
  bytesMax: number,
  nul: 'refused' | 'taken' = 'refused',
): Promise<unknown> {
  const contentType = (request.headers['content-type'] ?? '').split(';')[0]?.trim().toLowerCase();
  if (contentType !== 'application/json') {
    throw invalid('send JSON with the header Content-Type: application/json');
  }
  if ((request.headers['content-encoding'] ?? 'identity').toLowerCase() !== 'identity') {
    throw invalid('send the body without Content-Encoding');
  }
  const bytes = await readAll(request, bytesMax);
  let text: string;
  let json: unknown;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    json = JSON.parse(text) as unknown;
  } catch {
    throw invalid('the body is not JSON in UTF-8');
  }
  if (nul === 'refused' && NUL_ESCAPED.test(text)) throw invalid('the body holds a NUL character');
  return json;
}

async function readAll(request: Request, bytesMax: number): Promise<Buffer> {
  if (Number(request.headers['content-length'] ?? 0) > bytesMax) throw tooLarge(bytesMax);
  return await new Promise<Buffer>((resolve, reject) => {
    const chunks: Buffer[] = [];
    let length = 0;
    const end = (settle: () => void): void => {
      clearTimeout(late);
      request.off('data', take).off('end', done).off('close', cut);
      request.pause();
      settle();
    };
    const take = (chunk: Buffer): void => {
      length += chunk.length;
      if (length > bytesMax) end(() => reject(tooLarge(bytesMax)));
      else chunks.push(chunk);
    };
    const done = (): void => end(() => resolve(Buffer.concat(chunks)));
    const cut = (): void => end(() => reject(invalid('the body ended too early')));
    const late = setTimeout(() => end(() => reject(tooSlow())), JSON_BODY_MS_MAX);
    request.on('data', take).once('end', done).once('close', cut);
    if (request.destroyed && !request.readableEnded) cut();
  });
}
