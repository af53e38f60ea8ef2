import {
  Injectable,
  type CallHandler,
  type ExecutionContext,
  type NestInterceptor,
} from '@nestjs/common';
import { ModuleRef } from '@nestjs/core';
import type { Request, Response } from 'express';
import { from, lastValueFrom, map, type Observable } from 'rxjs';
import { FleetError } from '../../../core/kernel/index.js';
import {
  CURRENT,
  isShown,
  makesSomething,
  ROUTES,
  type Route,
  type RouteName,
  type Shown,
} from '../../../protocol/api/index.js';
import { Database, type Tx } from '../database/index.js';
import { bodyOf, callerOf, handlerOf, routeOf, type Caller } from '../http/index.js';
import { Idempotency } from './idempotency.js';
import { etagOf } from './versions.js';

interface Exchange {
  readonly name: RouteName;
  readonly route: Route;
  readonly request: Request;
  readonly response: Response;
}

/**
 * ETags of single things, changes on a condition (`If-Match`), and things that are made once
 * (`Idempotency-Key`): the same for every route, by its row.
 */
@Injectable()
export class Conditional implements NestInterceptor {
  /** One at a time: each holds a connection while it asks for another one. */
  #line: Promise<unknown> = Promise.resolve();

  constructor(
    private readonly database: Database,
    private readonly idempotency: Idempotency,
    private readonly modules: ModuleRef,
  ) {}

  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    const found = routeOf(context.getHandler());
    if (found === null) return next.handle();
    const http = context.switchToHttp();
    const exchange = {
      ...found,
      request: http.getRequest<Request>(),
      response: http.getResponse<Response>(),
    };
    if (found.route.permission === 'public' || found.route.permission === 'node') {
      return next.handle();
    }
    const { name } = found;
    if (isShown(name)) return next.handle().pipe(map((answer) => shown(name, answer, exchange)));
    return this.#change(exchange, next);
  }

  #change(exchange: Exchange, next: CallHandler): Observable<unknown> {
    const { name, request, response } = exchange;
    const key = request.headers['idempotency-key'];
    const wanted = request.headers['if-match'];
    if (wanted !== undefined) {
      const current = CURRENT[name];
      if (current === undefined) return from(Promise.reject(noCondition()));
      return from(this.#onCondition(exchange, { current, wanted }, next));
    }
    if (typeof key !== 'string' || !makesSomething(name)) return next.handle();
    return from(this.#once(exchange, key, next)).pipe(
      map(({ answer, isReplayed }) => {
        if (isReplayed) response.setHeader('Idempotency-Replayed', 'true');
        return answer;
      }),
    );
  }

  async #once({ name, route, request }: Exchange, key: string, next: CallHandler) {
    const body = route.body === undefined ? null : await bodyOf(request, route);
    const asked = { caller: callerOf(request), key, request: [name, request.params, body] };
    return await this.idempotency.once(asked, () => lastValueFrom(next.handle()));
  }

  /**
   * Compared before the work, and again inside of its transaction: of two who change the same thing on the
   * same condition, one is told that he is late.
   */
  #onCondition(
    { request }: Exchange,
    { current, wanted }: { readonly current: Shown; readonly wanted: string },
    next: CallHandler,
  ): Promise<unknown> {
    const caller = callerOf(request);
    const compare = async (): Promise<void> => {
      const thing = await this.#read(current, request, caller);
      const etag = etagOf(current, thing);
      if (fits(wanted, etag)) return;
      throw new FleetError('precondition_failed', 'it is not as it was when you read it', {
        context: { etag, current: thing },
      });
    };
    const check = async (tx: Tx): Promise<void> => {
      if (this.database.kind === 'postgres') {
        await tx.get('SELECT pg_advisory_xact_lock(hashtext(?))', [
          `${current} ${JSON.stringify(request.params)}`,
        ]);
      }
      await compare();
    };
    const run = this.#line.then(async () => {
      await compare();
      return await this.database.beginningWith(check, () => lastValueFrom<unknown>(next.handle()));
    });
    this.#line = run.catch(() => undefined);
    return run;
  }

  /** What the route that shows it would answer this caller. */
  async #read(name: Shown, { params }: Request, caller: Caller): Promise<unknown> {
    const { controller, key } = handlerOf(name);
    const instance = this.modules.get<Record<string, unknown>>(controller, { strict: false });
    const handler = instance[key] as (given: object, caller: Caller) => Promise<unknown>;
    const parsed = (ROUTES[name] as Route).params?.parse(params);
    return await handler.call(instance, { params: parsed }, caller);
  }
}

/** With its tag; nothing of it when the caller has it already. */
function shown(name: Shown, answer: unknown, { response }: Exchange): unknown {
  response.setHeader('ETag', etagOf(name, answer));
  return answer;
}

/** Weak tags never fit: whoever changes something must have seen all of it. */
const fits = (wanted: string, etag: string): boolean =>
  wanted.trim() === '*' || wanted.split(',').some((one) => one.trim() === etag);

function noCondition(): FleetError {
  const message = 'this route changes nothing that has an ETag; leave the header out';
  return new FleetError('invalid_request', `If-Match: ${message}`, {
    context: { problems: [{ path: 'header.if-match', message }] },
  });
}
