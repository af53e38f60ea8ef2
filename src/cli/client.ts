import { once } from 'node:events';
import { createReadStream } from 'node:fs';
import { request as httpRequest, type ClientRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { pipeline } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { FleetError } from '../core/kernel/index.js';
import {
  Problem,
  ROUTES,
  type Answer,
  type Call,
  type Route,
  type RouteName,
} from '../protocol/api/index.js';

/** An answer may take this long; a rollout of a large group is planned within it. */
const ANSWER_TIMEOUT_MS = 60_000;
/** An upload that moves nothing for this long is given up. */
const STALL_TIMEOUT_MS = 60_000;
/** Larger answers are not read: a page of 500 rollouts stays below it. */
const ANSWER_BYTES_MAX = 64 * 1024 * 1024;
/** A proxy may swallow the invitation; then the body goes out without it (RFC 9110 10.1.1). */
const INVITATION_WAIT_MS = 3_000;
const UPLOAD_CHUNK_BYTES = 1024 * 1024;

/** Parts that a route has none of need not be written; the others must be. */
type Given<N extends RouteName> = {
  readonly [K in keyof Call<N> as Call<N>[K] extends undefined ? never : K]: Call<N>[K];
} & { readonly [K in keyof Call<N>]?: Call<N>[K] };
type CallArguments<N extends RouteName> =
  Partial<Given<N>> extends Given<N> ? [given?: Given<N>] : [given: Given<N>];

/** The HTTP interface of a manager, as typed as the table that it is made from. */
export interface Client {
  /**
   * Calls a route and reads its answer by its schema. Throws FleetError: the code of the manager's
   * problem document, `manager_unreachable`, or `manager_answer_invalid`. Never tries again.
   */
  call<N extends RouteName>(name: N, ...given: CallArguments<N>): Promise<Answer<N>>;
  /** The same for a route that answers bytes: handed on as they come, as many as there are. */
  download<N extends RouteName>(
    name: N,
    given: Given<N>,
    take: (chunk: Uint8Array) => Promise<void>,
  ): Promise<void>;
  /**
   * Sends a file as a blob, from the byte on that the manager has come to. A connection that breaks off
   * is taken up again, as long as each try brings something. `onSent` hears how many bytes are there
   * or on their way.
   */
  upload(blob: {
    readonly path: string;
    readonly sha256: string;
    readonly size: number;
    readonly onSent?: (bytes: number) => void;
  }): Promise<void>;
}

/** A client for one manager. `token` null sends no credential. Opens nothing by itself. */
export function makeClient(options: {
  readonly manager: URL;
  readonly token: string | null;
}): Client {
  const { manager } = options;
  const credential: Record<string, string> =
    options.token === null ? {} : { authorization: `Bearer ${options.token}` };
  return {
    call: async (name, ...[given]) => {
      const route: Route = ROUTES[name];
      const url = addressOf(manager, route, given ?? {});
      const body = (given as { body?: unknown } | undefined)?.body;
      const response = await sent(url, {
        method: route.method,
        headers: {
          ...credential,
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        },
        body: body === undefined ? null : JSON.stringify(body),
      });
      return answerOf(route, url, response) as never;
    },
    download: async (name, given, take) => {
      const route: Route = ROUTES[name];
      await received(route, addressOf(manager, route, given), credential, take);
    },
    upload: async (blob) => {
      const params = { digest: blob.sha256 };
      const status: Route = ROUTES['releases.upload_status'];
      const append: Route = ROUTES['releases.append'];
      const url = addressOf(manager, append, { params });
      await goingOn(
        async () => {
          const answer = await sent(url, {
            method: status.method,
            headers: credential,
            body: null,
          });
          return UploadStatus.parse(answerOf(status, url, answer));
        },
        async (offset) => {
          const upload = { ...blob, offset, method: append.method, credential };
          answerOf(append, url, await sendFile(url, upload));
        },
      );
    },
  };
}

const UploadStatus = ROUTES['releases.upload_status'].answer;

/** Tries in a row that brought no byte. */
const BARREN_TRIES_MAX = 4;
const RETRY_BASE_MS = 250;
/** What another try may mend; the last is told when an earlier connection was still taken for alive. */
const MAY_PASS = ['manager_unreachable', 'unavailable', 'rate_limited', 'upload_offset_mismatch'];

/** Asks how far it is and sends the rest, until it is whole or nothing moves any more. */
async function goingOn(
  look: () => Promise<{ readonly offset: number; readonly complete: boolean }>,
  send: (offset: number) => Promise<void>,
): Promise<void> {
  let furthest = -1;
  for (let barren = 0; ;) {
    try {
      const { offset, complete } = await look();
      if (complete) return;
      if (offset > furthest) barren = 0;
      furthest = Math.max(furthest, offset);
      await send(offset);
      return;
    } catch (error) {
      const mayPass = error instanceof FleetError && MAY_PASS.includes(error.code);
      barren += 1;
      if (!mayPass || barren > BARREN_TRIES_MAX) throw error;
      await sleep(RETRY_BASE_MS * 2 ** barren);
    }
  }
}

interface RawAnswer {
  readonly status: number;
  readonly text: string;
}

function addressOf(
  manager: URL,
  route: Route,
  given: { readonly params?: unknown; readonly query?: unknown },
): URL {
  const params = (given.params ?? {}) as Readonly<Record<string, string>>;
  const path = route.path.replace(/:([a-z]+)/g, (_, key: string) =>
    encodeURIComponent(params[key] ?? ''),
  );
  const url = new URL(`${manager.pathname.replace(/\/$/, '')}${path}`, manager);
  for (const [key, value] of Object.entries(
    (given.query ?? {}) as Record<string, string | number | undefined>,
  )) {
    if (value !== undefined) url.searchParams.set(key, String(value));
  }
  return url;
}

async function sent(
  url: URL,
  init: { readonly method: string; headers: Record<string, string>; body: string | null },
): Promise<RawAnswer> {
  try {
    const response = await fetch(url, {
      ...init,
      // A token must not follow a redirect to somewhere else.
      redirect: 'error',
      signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS),
    });
    return { status: response.status, text: await response.text() };
  } catch (error) {
    throw unreachable(url, error);
  }
}

/** No bound on the whole, but on how long nothing comes. */
async function received(
  route: Route,
  url: URL,
  headers: Record<string, string>,
  take: (chunk: Uint8Array) => Promise<void>,
): Promise<void> {
  const stalled = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  const wait = (): void => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      stalled.abort(new DOMException('nothing came', 'TimeoutError'));
    }, STALL_TIMEOUT_MS);
  };
  wait();
  try {
    const response = await fetch(url, { headers, redirect: 'error', signal: stalled.signal });
    if (!response.ok)
      answerOf(route, url, { status: response.status, text: await response.text() });
    for await (const chunk of (response.body ?? []) as AsyncIterable<Uint8Array>) {
      wait();
      await take(chunk);
    }
  } catch (error) {
    if ((error as { syscall?: string }).syscall === 'write') throw error;
    throw unreachable(url, error);
  } finally {
    clearTimeout(timer);
  }
}

function unreachable(url: URL, error: unknown): FleetError {
  if (error instanceof FleetError) return error;
  const { cause, name, message } = error as Error;
  const inner = cause as { code?: string; message?: string } | undefined;
  const why = inner?.code ?? inner?.message ?? (error as { code?: string }).code ?? message;
  const words = name === 'TimeoutError' ? `no answer in ${ANSWER_TIMEOUT_MS / 1000} s` : why;
  return new FleetError('manager_unreachable', `${url.origin}: ${words}`, {
    kind: 'operational',
    cause: error,
  });
}

/** The answer of a route, or the problem that came instead, thrown. */
function answerOf(route: Route, url: URL, { status, text }: RawAnswer): unknown {
  const notOurs = (why: string): FleetError =>
    new FleetError('manager_answer_invalid', `${url.origin} answered ${status}: ${why}`);
  if (status === 204) return undefined;
  let json: unknown;
  try {
    json = JSON.parse(text) as unknown;
  } catch {
    throw notOurs('not JSON');
  }
  if (status >= 300) {
    const problem = Problem.safeParse(json);
    if (!problem.success) throw notOurs('not a problem document');
    const { code, detail, fix, request_id, context } = problem.data;
    throw new FleetError(code, detail, { context: { ...context, fix, request_id } });
  }
  if (route.answer === undefined) return undefined;
  const parsed = route.answer.safeParse(json);
  if (parsed.success) return parsed.data;
  const where = parsed.error.issues.slice(0, 3).map((issue) => issue.path.join('.') || 'answer');
  throw notOurs(`not in the expected form at ${where.join(', ')}`);
}

interface Upload {
  readonly method: string;
  readonly path: string;
  readonly size: number;
  /** Where to begin. */
  readonly offset: number;
  readonly credential: Readonly<Record<string, string>>;
  readonly onSent?: (bytes: number) => void;
}

/**
 * Not `fetch`: it loses an answer that comes before the whole body went out, which is when a manager
 * refuses one. Asks first (`Expect: 100-continue`), so that mostly no body goes out in vain.
 */
async function sendFile(url: URL, upload: Upload): Promise<RawAnswer> {
  const request = openUpload(url, upload);
  const answered = new Promise<IncomingMessage>((resolve, reject) => {
    request.once('response', resolve).on('error', reject);
  });
  try {
    const isInvited = await Promise.race([
      once(request, 'continue').then(() => true),
      answered.then(() => false),
      sleep(INVITATION_WAIT_MS).then(() => true),
    ]);
    const body = isInvited ? sendBody(request, upload) : null;
    const [response] = await Promise.all([answered, body]);
    return { status: response.statusCode ?? 0, text: await textOf(response) };
  } catch (error) {
    if (isOfFile(error)) throw error;
    throw unreachable(url, error);
  } finally {
    request.destroy();
  }
}

function openUpload(url: URL, upload: Upload): ClientRequest {
  const request = (url.protocol === 'https:' ? httpsRequest : httpRequest)(url, {
    method: upload.method,
    headers: {
      ...upload.credential,
      'content-type': 'application/octet-stream',
      'content-length': upload.size - upload.offset,
      'upload-offset': upload.offset,
      'upload-length': upload.size,
      expect: '100-continue',
    },
    timeout: STALL_TIMEOUT_MS,
  });
  request.on('timeout', () => request.destroy(new Error('the connection stalled')));
  request.flushHeaders();
  return request;
}

async function sendBody(request: ClientRequest, upload: Upload): Promise<void> {
  const { path, offset: start } = upload;
  const file = createReadStream(path, { start, highWaterMark: UPLOAD_CHUNK_BYTES });
  const counted = async function* (chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    let bytesSent = start;
    for await (const chunk of chunks) {
      yield chunk;
      bytesSent += chunk.length;
      upload.onSent?.(bytesSent);
    }
  };
  try {
    await pipeline(file, counted, request);
  } catch (error) {
    // What became of the connection is told by the answer, or by its own error.
    if (isOfFile(error)) throw error;
  }
}

const isOfFile = (error: unknown): boolean => (error as { syscall?: string }).syscall === 'open';

async function textOf(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > ANSWER_BYTES_MAX) throw new Error('the answer is too long');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}
