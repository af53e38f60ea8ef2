/* eslint-disable @typescript-eslint/no-unnecessary-condition -- what comes over the wire has no types */
import { randomBytes } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Admission } from './admission.js';
import { discovery } from './discovery.js';
import {
  apiVersionOf,
  Objects,
  resourceOf,
  StatusError,
  type Change,
  type Fields,
  type Json,
  type KubeObject,
} from './objects.js';
import { authorize, targetOf, verbOf, type Target, type User } from './rights.js';
import { jsonPatch, mergePatch, strategicPatch } from './patches.js';
import { fieldFilter, labelFilter } from './selectors.js';
import { checkObject } from './validation.js';

export interface Seen {
  readonly verb: string;
  readonly path: string;
  readonly plural: string;
  readonly name: string;
  readonly user: string;
  readonly contentType: string;
  readonly dryRun: boolean;
}

const BODY_BYTES_MAX = 3 * 1024 * 1024;

/**
 * An API server as its documents describe it, as far as the operator goes: lists and watches with
 * versions and bookmarks, 409, 410, four kinds of writes, the status apart, dry runs, refusals by
 * RBAC, validating webhooks for pods. Nothing runs in it: `controllers.ts` moves pods. Checked with the real kubectl.
 */
export class KubeApiServer {
  readonly objects = new Objects();
  readonly admission = new Admission(this.objects);
  readonly users = new Map<string, User>();
  readonly seen: Seen[] = [];
  /** Answers in the server's place: a status, or `hang up`. Null: it answers itself. */
  trouble: (seen: Seen) => StatusError | 'hang up' | null = () => null;
  /** What lists tell of what is there: an API server that is restored, or wrong, may tell less. */
  listed: (object: KubeObject) => boolean = () => true;
  readonly #server: Server;
  readonly #watches = new Set<ServerResponse>();
  #port = 0;
  bookmarkMs = 200;

  constructor() {
    this.#server = createServer((request, response) => {
      void this.#handle(request, response).catch((error: unknown) => {
        if (response.headersSent) return void response.destroy();
        const status =
          error instanceof StatusError
            ? error
            : new StatusError(500, 'InternalError', String(error));
        answer(response, status.code, status.body());
      });
    });
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  async start(): Promise<this> {
    await new Promise<void>((resolve) => {
      this.#server.listen(this.#port, '127.0.0.1', resolve);
    });
    this.#port = (this.#server.address() as AddressInfo).port;
    return this;
  }

  /** Keeps its objects: `start` goes on with them at the same address. */
  async stop(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.#server.closeAllConnections();
    await closed;
  }

  /** Every watch ends, as the server does now and then. */
  dropWatches(): void {
    for (const watch of this.#watches) watch.end();
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', 'http://server');
    const user = this.#authenticate(request);
    const found = discovery(url.pathname);
    if (found !== null) {
      answer(response, 200, found);
      return;
    }
    const target = targetOf(url.pathname);
    const query = url.searchParams;
    const isWatch = ['true', '1'].includes(query.get('watch') ?? '');
    const verb = verbOf(request.method ?? '', target.name, isWatch);
    const seen: Seen = {
      verb,
      path: url.pathname + url.search,
      plural: target.of.plural,
      name: target.name,
      user: user.name,
      contentType: (request.headers['content-type'] ?? '').split(';')[0] ?? '',
      dryRun: query.get('dryRun') === 'All',
    };
    this.seen.push(seen);
    const trouble = this.trouble(seen);
    if (trouble === 'hang up') return void request.socket.destroy();
    if (trouble !== null) throw trouble;
    authorize(user, verb, target);
    if (isWatch) {
      this.#watch(response, target, query);
      return;
    }
    const body = ['POST', 'PUT', 'PATCH'].includes(request.method ?? '')
      ? await bodyOf(request)
      : null;
    await this.#admit(seen, target, query, body);
    const [code, object] = this.#serve(seen, target, query, body);
    answer(response, code, object);
  }

  /** Webhooks see what would be stored, before it is. */
  async #admit(seen: Seen, target: Target, query: URLSearchParams, body: Json): Promise<void> {
    const isWrite = ['create', 'update', 'patch'].includes(seen.verb);
    if (!isWrite || target.of.plural !== 'pods' || isStatus(target) || !this.admission.isOn) return;
    const [, object] = this.#serve({ ...seen, dryRun: true }, target, query, body);
    const isNew = seen.verb === 'create';
    const { namespace, name, subresource } = target;
    await this.admission.review({
      operation: isNew ? 'CREATE' : 'UPDATE',
      subresource,
      object: object as unknown as KubeObject,
      oldObject: isNew ? null : this.objects.get('pods', namespace ?? '', name),
      dryRun: seen.dryRun,
    });
  }

  #authenticate(request: IncomingMessage): User {
    if (this.users.size === 0) return { name: 'system:admin' };
    const token = /^Bearer (.+)$/.exec(request.headers.authorization ?? '')?.[1] ?? '';
    const user = this.users.get(token);
    if (user === undefined) throw new StatusError(401, 'Unauthorized', 'Unauthorized');
    return user;
  }

  #serve(
    seen: Seen,
    target: Target,
    query: URLSearchParams,
    body: Json,
  ): [number, Json | KubeObject] {
    const { of, name } = target;
    const namespace = target.namespace ?? '';
    const { plural } = of;
    const { dryRun } = seen;
    switch (seen.verb) {
      case 'list':
        return [200, this.#list(target, query)];
      case 'get':
        return [200, this.objects.get(plural, namespace, name)];
      case 'create': {
        const object = placed(body, target, named(body as unknown as KubeObject));
        checkObject(of, object);
        return [201, this.objects.create(plural, object, dryRun)];
      }
      case 'update': {
        const object = placed(body, target, name);
        checkObject(of, object);
        return [200, this.objects.replace(plural, object, { status: isStatus(target), dryRun })];
      }
      case 'patch': {
        const before = this.objects.get(plural, namespace, name);
        const wanted = target.subresource === 'scale' ? scalePatch(body) : body;
        const object = placed(patched(before, seen.contentType, wanted), target, name);
        checkObject(of, object);
        return [200, this.objects.replace(plural, object, { status: isStatus(target), dryRun })];
      }
      case 'delete': {
        if (!dryRun) this.objects.remove(plural, namespace, name);
        return [200, { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success' }];
      }
      default:
        throw new StatusError(405, 'MethodNotAllowed', 'the server does not allow this method');
    }
  }

  #list({ of, namespace }: Target, query: URLSearchParams): Fields {
    const filter = filterOf(query);
    const all = this.objects.list(of.plural, namespace).filter(filter).filter(this.listed);
    const { version } = this.objects;
    const [from, ofVersion] = (query.get('continue') ?? `0.${version}`).split('.').map(Number) as [
      number,
      number,
    ];
    if (query.has('continue') && ofVersion !== version) this.objects.since(of.plural, ofVersion);
    const limit = Number(query.get('limit') ?? 0);
    const items = limit > 0 ? all.slice(from, from + limit) : all.slice(from);
    const rest = all.length - from - items.length;
    return {
      kind: `${of.kind}List`,
      apiVersion: apiVersionOf(of),
      metadata: {
        resourceVersion: String(version),
        ...(rest > 0
          ? { continue: `${from + items.length}.${version}`, remainingItemCount: rest }
          : {}),
      },
      items: items as unknown as Json[],
    };
  }

  #watch(response: ServerResponse, { of, namespace }: Target, query: URLSearchParams): void {
    const filter = filterOf(query);
    const wanted = query.get('resourceVersion') ?? '';
    const send = (type: string, object: unknown): void => {
      response.write(`${JSON.stringify({ type, object })}\n`);
    };
    const tell = ({ type, plural, object }: Change): void => {
      const isHere = namespace === null || object.metadata.namespace === namespace;
      if (plural === of.plural && isHere && filter(object)) send(type, object);
    };
    response.writeHead(200, { 'content-type': 'application/json', 'transfer-encoding': 'chunked' });
    response.flushHeaders();
    try {
      if (wanted === '' || wanted === '0') {
        for (const object of this.objects.list(of.plural, namespace).filter(filter))
          send('ADDED', object);
      } else for (const change of this.objects.since(of.plural, Number(wanted))) tell(change);
    } catch (error) {
      if (!(error instanceof StatusError)) throw error;
      // As the server does it: the head of the answer is out already.
      send('ERROR', error.body());
      return void response.end();
    }
    const stopListening = this.objects.onChange(tell);
    const bookmark = (): void => {
      const metadata = { resourceVersion: String(this.objects.version), creationTimestamp: null };
      send('BOOKMARK', { kind: of.kind, apiVersion: apiVersionOf(of), metadata });
    };
    const bookmarks =
      query.get('allowWatchBookmarks') === 'true' ? setInterval(bookmark, this.bookmarkMs) : null;
    const seconds = Number(query.get('timeoutSeconds') ?? 0);
    const end = seconds > 0 ? setTimeout(() => response.end(), seconds * 1000) : null;
    this.#watches.add(response);
    response.once('close', () => {
      stopListening();
      this.#watches.delete(response);
      if (bookmarks !== null) clearInterval(bookmarks);
      if (end !== null) clearTimeout(end);
    });
  }
}

/** Of what is said to a scale, the number alone counts. */
const scalePatch = (body: Json): Json => {
  const replicas = (body as { spec?: { replicas?: number } } | null)?.spec?.replicas;
  if (Number.isInteger(replicas)) return { spec: { replicas: replicas ?? 0 } };
  throw new StatusError(422, 'Invalid', 'spec.replicas: Required value');
};

const isStatus = ({ subresource }: Target): boolean => subresource === 'status';

function answer(response: ServerResponse, code: number, body: unknown): void {
  response.writeHead(code, { 'content-type': 'application/json' });
  response.end(JSON.stringify(body));
}

async function bodyOf(request: IncomingMessage): Promise<Json> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > BODY_BYTES_MAX) throw new StatusError(413, 'RequestEntityTooLarge', 'too large');
    chunks.push(chunk);
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString('utf8')) as Json;
  } catch {
    throw new StatusError(400, 'BadRequest', 'the body is not JSON');
  }
}

function filterOf(query: URLSearchParams): (object: KubeObject) => boolean {
  const byLabels = labelFilter(query.get('labelSelector') ?? '');
  const fields = query.get('fieldSelector') ?? '';
  const byFields = fields === '' ? () => true : fieldFilter(fields);
  return (object) => byLabels(object) && byFields(object);
}

function patched(before: KubeObject, contentType: string, body: Json): Json {
  const target = before as unknown as Json;
  switch (contentType) {
    case 'application/merge-patch+json':
      return mergePatch(target, body);
    case 'application/strategic-merge-patch+json':
      return strategicPatch(target, body);
    case 'application/json-patch+json':
      return jsonPatch(target, body);
    default:
      throw new StatusError(
        415,
        'UnsupportedMediaType',
        `the body of the request was in an unknown format - accepted media types include: application/json-patch+json, application/merge-patch+json, application/strategic-merge-patch+json`,
      );
  }
}

/** A name that the server makes when it is asked to. */
function named({ metadata }: KubeObject): string {
  const { name, generateName } = metadata;
  if (generateName === undefined || (name !== undefined && name !== '')) return name;
  return `${generateName}${randomBytes(3).toString('hex').slice(0, 5)}`;
}

/** Name and namespace of the address hold; what contradicts them is refused. */
function placed(body: Json, { of, namespace }: Target, name: string): KubeObject {
  const object = body as unknown as KubeObject;
  if (typeof object !== 'object' || object === null || typeof object.metadata !== 'object') {
    throw new StatusError(400, 'BadRequest', 'the object provided is unrecognized');
  }
  if (object.kind !== undefined && object.kind !== of.kind) {
    throw new StatusError(400, 'BadRequest', `${object.kind} is not ${of.kind}`);
  }
  if (name === undefined || name === '')
    throw new StatusError(422, 'Invalid', 'metadata.name: Required value');
  const { metadata } = object;
  const isElsewhere =
    metadata.namespace !== undefined &&
    namespace !== null &&
    namespace !== '' &&
    metadata.namespace !== namespace;
  if (isElsewhere || (metadata.name !== undefined && metadata.name !== name)) {
    throw new StatusError(
      400,
      'BadRequest',
      'the name or namespace of the object does not match the one on the request',
    );
  }
  return {
    ...object,
    metadata: {
      ...metadata,
      name,
      ...(of.namespaced ? { namespace: namespace ?? 'default' } : {}),
    },
  };
}

export { resourceOf };
export type { Rule, User } from './rights.js';
