import type { Request } from 'express';
import { invariant } from '../../../core/kernel/index.js';
import type { RouteName } from '../../../protocol/api/index.js';
import type { Caller } from './caller.js';

interface RequestFacts {
  readonly requestId: string;
  readonly ip: string;
  caller: Caller | null;
  route: RouteName | null;
}

/** What we know of a request besides itself; kept outside of it, so that no field can clash. */
const facts = new WeakMap<Request, RequestFacts>();

export const begin = (request: Request, requestId: string, ip: string): void => {
  facts.set(request, { requestId, ip, caller: null, route: null });
};

const factsOf = (request: Request): RequestFacts => {
  const known = facts.get(request);
  invariant(known !== undefined, 'a request came past the first middleware');
  return known;
};

export const requestIdOf = (request: Request): string => factsOf(request).requestId;

/** For the guard. */
export const setRoute = (request: Request, route: RouteName): void => {
  factsOf(request).route = route;
};

/** The row of the route table that serves the request; null when none does. */
export const routeNameOf = (request: Request): RouteName | null => factsOf(request).route;

/** For the guard. */
export const setCaller = (request: Request, caller: Caller): void => {
  factsOf(request).caller = caller;
};

export const callerOf = (request: Request): Caller => {
  const { caller } = factsOf(request);
  invariant(caller !== null, 'a handler asked who is calling before the guard had run');
  return caller;
};

/** Where the request came from; forwarding headers are believed from trusted proxies only. */
export const ipOf = (request: Request): string => factsOf(request).ip;
