import type { Answer, Call, Problem, RouteName } from '../protocol/api/index.js';
import type { RouteAddress, RouteAddresses } from './routes.js';

/** Whether a part must be given: there is one, and not all that is in it may be left out. */
type IsNeeded<Part> = [Part] extends [undefined] ? false : object extends Part ? false : true;
/** Parts that a route has none of, or that may be empty, need not be written; the others must be. */
export type Given<N extends RouteName> = {
  readonly [K in keyof Call<N> as IsNeeded<Call<N>[K]> extends true ? K : never]: Call<N>[K];
} & { readonly [K in keyof Call<N>]?: Call<N>[K] };
export type CallArguments<N extends RouteName> =
  Partial<Given<N>> extends Given<N> ? [given?: Given<N>] : [given: Given<N>];

/** Of one call, beside what the route asks for. */
export interface CallOptions {
  readonly signal?: AbortSignal;
  /** Such as `If-Match` and `Idempotency-Key`. */
  readonly headers?: Readonly<Record<string, string>>;
}

/** A problem document that came instead of an answer (RFC 9457 with our `code`). */
export class ApiProblem extends Error {
  override readonly name = 'ApiProblem';
  constructor(readonly problem: Problem) {
    super(problem.detail);
  }
  get code(): Problem['code'] {
    return this.problem.code;
  }
}

/** Nothing came (`unreachable`; `cause` is what `fetch` threw), or what is no answer of a manager (`invalid`). */
export class NoAnswer extends Error {
  override readonly name = 'NoAnswer';
  constructor(
    readonly kind: 'unreachable' | 'invalid',
    message: string,
    cause?: unknown,
  ) {
    super(message, { cause });
  }
}

export interface Client {
  /**
   * Calls a route. Throws `ApiProblem` for what the manager refused, `NoAnswer` when nothing came or what
   * came is no answer of a manager, and the reason of `signal` when that ended it. Never tries again.
   */
  call<N extends RouteName>(name: N, given: Given<N>, options?: CallOptions): Promise<Answer<N>>;
  /** The same with the tag of what was answered (`ETag`): the condition under which it is changed. */
  tagged<N extends RouteName>(
    name: N,
    given: Given<N>,
    options?: CallOptions,
  ): Promise<{ readonly answer: Answer<N>; readonly etag: string }>;
  /** The same for an answer of bytes: the response itself, still to be read. */
  open<N extends RouteName>(name: N, given: Given<N>, options?: CallOptions): Promise<Response>;
  /** Where a route is to be found, with its parameters put in. */
  addressOf<N extends RouteName>(name: N, given: Given<N>): URL;
}

export interface ClientOptions {
  readonly manager: URL;
  readonly routes: RouteAddresses;
  /** Asked before each call: credentials that may change. */
  readonly headers?: (method: string) => Readonly<Record<string, string>>;
  readonly fetch?: typeof fetch;
  /** Milliseconds until an answer must be whole; default one minute. */
  readonly timeoutMs?: number;
  /** Checks an answer; it throws what the caller of `call` gets. Default: taken as it is. */
  readonly read?: (name: RouteName, answer: unknown) => unknown;
}

/** A rollout of a large group is planned within it. */
const ANSWER_TIMEOUT_MS = 60_000;

/** A client for one manager. Opens nothing by itself. */
export function makeClient(options: ClientOptions): Client {
  const { manager, routes, read = (_name, answer) => answer } = options;
  const send = options.fetch ?? ((input, init) => fetch(input, init));
  const open = async (
    route: RouteAddress,
    url: URL,
    body: unknown,
    given: CallOptions,
    signal: AbortSignal | undefined,
  ): Promise<Response> => {
    const response = await send(url, {
      method: route.method,
      headers: {
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...options.headers?.(route.method),
        ...given.headers,
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      ...(signal === undefined ? {} : { signal }),
      // A credential must not follow a redirect to somewhere else.
      redirect: 'error',
    }).catch((error: unknown) => {
      throw given.signal?.aborted === true ? error : unreachable(url, error);
    });
    if (!response.ok) {
      throw refusalOf(url, response.status, await textOf(url, response, given.signal));
    }
    return response;
  };
  const tagged: Client['tagged'] = async (name, given, more = {}) => {
    const url = addressOf(manager, routes[name], given);
    const limit = AbortSignal.timeout(options.timeoutMs ?? ANSWER_TIMEOUT_MS);
    const signal = more.signal === undefined ? limit : AbortSignal.any([limit, more.signal]);
    const response = await open(routes[name], url, bodyOf(given), more, signal);
    const etag = response.headers.get('etag') ?? '';
    if (response.status === 204) return { answer: undefined as never, etag };
    const text = await textOf(url, response, more.signal);
    return { answer: read(name, jsonIn(url, response.status, text)) as never, etag };
  };
  return {
    addressOf: (name, given) => addressOf(manager, routes[name], given),
    open: async (name, given, more = {}) => {
      const url = addressOf(manager, routes[name], given);
      return open(routes[name], url, bodyOf(given), more, more.signal);
    },
    call: async (name, given, more) => (await tagged(name, given, more)).answer,
    tagged,
  };
}

const bodyOf = (given: unknown): unknown => (given as { body?: unknown }).body;

type QueryValue = string | number | boolean | null | undefined;

function addressOf(manager: URL, route: RouteAddress, given: unknown): URL {
  const { params = {}, query = {} } = given as {
    params?: Readonly<Record<string, string>>;
    query?: Readonly<Record<string, QueryValue | readonly QueryValue[]>>;
  };
  const path = route.path.replace(/:([a-z_]+)/g, (_, key: string) =>
    encodeURIComponent(params[key] ?? ''),
  );
  const url = new URL(`${manager.pathname.replace(/\/$/, '')}${path}`, manager);
  for (const [key, value] of Object.entries(query)) {
    for (const one of Array.isArray(value) ? (value as readonly QueryValue[]) : [value]) {
      if (one !== undefined && one !== null) url.searchParams.append(key, String(one));
    }
  }
  return url;
}

async function textOf(url: URL, response: Response, signal?: AbortSignal): Promise<string> {
  return response.text().catch((error: unknown) => {
    throw signal?.aborted === true ? error : unreachable(url, error);
  });
}

/** JSON, or `NoAnswer`. */
function jsonIn(url: URL, status: number, text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    throw notOurs(url, status, 'not JSON', error);
  }
}

/** What an answer with a status of 300 and more means: for whoever sends a request in a way of his own. */
export function refusalOf(url: URL, status: number, text: string): Error {
  try {
    const answer = jsonIn(url, status, text) as Partial<Problem> | null;
    return typeof answer?.code === 'string' && typeof answer.detail === 'string'
      ? new ApiProblem(answer as Problem)
      : notOurs(url, status, 'not a problem document');
  } catch (error) {
    return error as Error;
  }
}

const notOurs = (url: URL, status: number, why: string, cause?: unknown): NoAnswer =>
  new NoAnswer('invalid', `${url.origin} answered ${status}: ${why}`, cause);

function unreachable(url: URL, error: unknown): NoAnswer {
  const isLate = (error as Error).name === 'TimeoutError';
  const words = isLate ? 'did not answer in time' : 'cannot be reached';
  return new NoAnswer('unreachable', `${url.origin} ${words}`, error);
}
