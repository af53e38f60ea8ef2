import { once } from 'node:events';
import { createReadStream } from 'node:fs';
import { request as httpRequest, type ClientRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { pipeline } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { FleetError } from '../core/kernel/index.js';
import {
  addressesOf,
  ApiProblem,
  makeClient as makeApiClient,
  NoAnswer,
  refusalOf,
  type CallArguments,
  type Given,
} from '../client/index.js';
import { ROUTES, type Answer, type Route, type RouteName } from '../protocol/api/index.js';

/** An answer may take this long; a rollout of a large group is planned within it. */
const ANSWER_TIMEOUT_MS = 60_000;
/** An upload that moves nothing for this long is given up. */
const STALL_TIMEOUT_MS = 60_000;
/** Larger answers are not read: a page of 500 rollouts stays below it. */
const ANSWER_BYTES_MAX = 64 * 1024 * 1024;
/** A proxy may swallow the invitation; then the body goes out without it (RFC 9110 10.1.1). */
const INVITATION_WAIT_MS = 3_000;
const UPLOAD_CHUNK_BYTES = 1024 * 1024;

/** Where each route is. */
const ADDRESSES = addressesOf(ROUTES);

/** What people change by what it is now. */
type Edited = 'plans' | 'schedules';
type EditBody<S extends Edited> = NonNullable<Given<`${S}.change`>['body']>;
/** Others who are faster so often are a program that does not stop. */
const EDIT_TRIES_MAX = 5;

/** The HTTP interface of a manager, as typed as the table that it is made from. */
export interface Client {
  /**
   * Calls a route and reads its answer by its schema. Throws FleetError: the code of the manager's
   * problem document, `manager_unreachable`, or `manager_answer_invalid`. Never tries again.
   */
  call<N extends RouteName>(name: N, ...given: CallArguments<N>): Promise<Answer<N>>;
  /**
   * Changes a thing by what it is now, and only as long as it is that: when another was faster, it is read
   * and changed anew. Throws `precondition_failed` when others were faster each time.
   */
  edit<S extends Edited>(
    subject: S,
    id: string,
    bodyOf: (thing: Answer<`${S}.show`>) => Promise<EditBody<S>>,
  ): Promise<Answer<`${S}.change`>>;
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
  const api = makeApiClient({
    manager,
    routes: ADDRESSES,
    headers: () => credential,
    timeoutMs: ANSWER_TIMEOUT_MS,
    read: (name, answer) => readAnswer(ROUTES[name], manager, answer),
  });
  return {
    call: async (name, ...[given]) => {
      const asked = (given ?? {}) as Given<typeof name>;
      return api.call(name, asked).catch((error: unknown) => {
        throw inOurWords(manager, error);
      });
    },
    edit: async (subject, id, bodyOf) => {
      const params = { id };
      for (let tries = 1; ; tries += 1) {
        try {
          const { answer, etag } = await api.tagged(`${subject}.show`, { params } as never);
          const given = { params, body: await bodyOf(answer) } as never;
          return await api.call(`${subject}.change`, given, { headers: { 'if-match': etag } });
        } catch (error) {
          const told = inOurWords(manager, error);
          if (told.code !== 'precondition_failed' || tries === EDIT_TRIES_MAX) throw told;
        }
      }
    },
    download: (name, given, take) =>
      received(manager, (signal) => api.open(name, given, { signal }), take),
    upload: async (blob) => {
      const params = { digest: blob.sha256 };
      const append: Route = ROUTES['releases.append'];
      const url = api.addressOf('releases.append', { params });
      await goingOn(
        async () =>
          api.call('releases.upload_status', { params }).catch((error: unknown) => {
            throw inOurWords(manager, error);
          }),
        async (offset) => {
          const upload = { ...blob, offset, method: append.method, credential };
          const { status, text } = await sendFile(url, upload);
          if (status >= 300) throw inOurWords(manager, refusalOf(url, status, text));
        },
      );
    },
  };
}

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

/** No bound on the whole, but on how long nothing comes. */
async function received(
  manager: URL,
  open: (signal: AbortSignal) => Promise<Response>,
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
    const response = await open(stalled.signal);
    for await (const chunk of (response.body ?? []) as AsyncIterable<Uint8Array>) {
      wait();
      await take(chunk);
    }
  } catch (error) {
    if ((error as { syscall?: string }).syscall === 'write') throw error;
    throw inOurWords(manager, error);
  } finally {
    clearTimeout(timer);
  }
}

/** What the client threw, as every command tells it: with a code, and what to do. */
function inOurWords(manager: URL, error: unknown): FleetError {
  if (error instanceof FleetError) return error;
  if (error instanceof ApiProblem) {
    const { code, detail, fix, request_id, context } = error.problem;
    return new FleetError(code, detail, { context: { ...context, fix, request_id } });
  }
  if (error instanceof NoAnswer && error.kind === 'invalid') {
    return new FleetError('manager_answer_invalid', error.message);
  }
  return unreachable(manager, error instanceof NoAnswer ? error.cause : error);
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

/** Read by its schema: a proxy or another program may answer at this address. */
function readAnswer(route: Route, manager: URL, answer: unknown): unknown {
  if (route.answer === undefined) return undefined;
  const parsed = route.answer.safeParse(answer);
  if (parsed.success) return parsed.data;
  const where = parsed.error.issues.slice(0, 3).map((issue) => issue.path.join('.') || 'answer');
  throw new FleetError(
    'manager_answer_invalid',
    `${manager.origin} answered, not in the expected form at ${where.join(', ')}`,
  );
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
