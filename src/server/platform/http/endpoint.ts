import {
  applyDecorators,
  createParamDecorator,
  Delete,
  Get,
  HttpCode,
  Patch,
  Post,
  Put,
  SetMetadata,
  type ExecutionContext,
  type Type,
} from '@nestjs/common';
import type { Request } from 'express';
import type { z } from 'zod';
import { FleetError, invariant } from '../../../core/kernel/index.js';
import { ROUTES, type Answer, type Route, type RouteName } from '../../../protocol/api/index.js';
import { SYNC_REQUEST_BYTES_MAX } from '../../../protocol/node/index.js';
import { JSON_BODY_BYTES_MAX, PUBLIC_BODY_BYTES_MAX, readJsonBody } from './json-body.js';
import { callerOf } from './request.js';

const ROUTE = 'bellwether:route';

type Handler<N extends RouteName> = (...args: never[]) => Promise<RouteAnswer<N>>;
/** Routes without an answer schema write bytes, or nothing. */
type RouteAnswer<N extends RouteName> = (typeof ROUTES)[N] extends { answer: z.ZodType }
  ? Answer<N>
  : unknown;
type EndpointDecorator<N extends RouteName> = <H extends Handler<N>>(
  target: object,
  key: string | symbol,
  descriptor: TypedPropertyDescriptor<H>,
) => void;

/** Less where anybody, or any of a fleet, may send. */
const BODY_BYTES_MAX: Readonly<Partial<Record<string, number>>> = {
  public: PUBLIC_BODY_BYTES_MAX,
  node: SYNC_REQUEST_BYTES_MAX,
};

const MOUNT = { GET: Get, POST: Post, PUT: Put, PATCH: Patch, DELETE: Delete } as const;

/**
 * Mounts a handler under the method, path and status of its row in `ROUTES`. The compiler checks
 * that it answers what the row promises.
 */
export function Endpoint<N extends RouteName>(name: N): EndpointDecorator<N> {
  const route: Route = ROUTES[name];
  const note: MethodDecorator = (target, key) => {
    HANDLERS.set(name, { controller: target.constructor as Type, key: String(key) });
  };
  return applyDecorators(
    MOUNT[route.method](route.path),
    HttpCode(route.status),
    SetMetadata(ROUTE, name),
    note,
  );
}

const HANDLERS = new Map<RouteName, { readonly controller: Type; readonly key: string }>();

/** The method that serves a row, of a controller that was loaded. */
export function handlerOf(name: RouteName): { readonly controller: Type; readonly key: string } {
  const found = HANDLERS.get(name);
  invariant(found !== undefined, `nothing serves ${name}`);
  return found;
}

/** The row that a handler serves, or null when it was mounted by other means. */
export function routeOf(
  handler: object,
): { readonly name: RouteName; readonly route: Route } | null {
  const name = Reflect.getMetadata(ROUTE, handler) as RouteName | undefined;
  return name === undefined ? null : { name, route: ROUTES[name] };
}

interface FieldProblem {
  readonly path: string;
  readonly message: string;
}

/**
 * The parts of the request, each parsed by its schema: `given.params`, `given.query`, `given.body`.
 * Refuses with `invalid_request` and every wrong field of every part at once.
 */
export const Given = createParamDecorator(async (_: unknown, context: ExecutionContext) => {
  const found = routeOf(context.getHandler());
  invariant(found !== null, '@Given() without @Endpoint()');
  const { route } = found;
  const request = context.switchToHttp().getRequest<Request>();
  const problems: FieldProblem[] = [];
  const parse = (part: string, schema: z.ZodType | undefined, value: unknown): unknown => {
    if (schema === undefined) return undefined;
    if (part !== 'body' && holdsNul(value)) {
      problems.push({ path: part, message: 'a NUL character is in no text' });
      return undefined;
    }
    const parsed = schema.safeParse(value);
    if (parsed.success) return parsed.data;
    for (const issue of parsed.error.issues) {
      problems.push({ path: [part, ...issue.path].join('.'), message: issue.message });
    }
    return undefined;
  };
  const given = {
    params: parse('params', route.params, request.params),
    query: parse('query', route.query, request.query),
    body:
      route.body === undefined
        ? undefined
        : parse('body', route.body, await bodyOf(request, route)),
  };
  if (problems.length > 0) {
    const list = problems.map(({ path, message }) => `${path}: ${message}`).join('; ');
    throw new FleetError('invalid_request', list, { context: { problems } });
  }
  return given;
});

const bodies = new WeakMap<Request, Promise<unknown>>();

/** The body as JSON, read once, not yet parsed by a schema. Throws as `readJsonBody` does. */
export function bodyOf(request: Request, route: Route): Promise<unknown> {
  const known = bodies.get(request);
  if (known !== undefined) return known;
  const bytesMax = BODY_BYTES_MAX[route.permission] ?? JSON_BODY_BYTES_MAX;
  // What a node tells has happened, whatever is in it: refused, it would be told again for ever.
  const nul = route.permission === 'node' ? 'taken' : 'refused';
  const body = readJsonBody(request, bytesMax, nul);
  bodies.set(request, body);
  return body;
}

/** Of what an address can carry: texts, and lists of texts. */
const holdsNul = (part: unknown): boolean =>
  Object.values((part ?? {}) as Record<string, unknown>)
    .flat()
    .some((value) => typeof value === 'string' && value.includes('\u0000'));

/** The `Caller` of the request. */
export const Who = createParamDecorator((_: unknown, context: ExecutionContext) =>
  callerOf(context.switchToHttp().getRequest<Request>()),
);
