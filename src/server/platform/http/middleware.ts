import type { NextFunction, Request, Response } from 'express';
import type { Logger } from 'pino';
import { ROUTES } from '../../../protocol/api/index.js';
import { newId } from '../ids.js';
import { meters, requestSpan } from '../telemetry/index.js';
import type { TrustedProxies } from './caller-address.js';
import { begin, routeNameOf } from './request.js';

/** A caller may bring its own id, so that its log and ours can be laid side by side. */
const REQUEST_ID = /^[A-Za-z0-9._-]{8,64}$/;

/** Answers are data for programs: no page may run, frame or sniff them. */
const HEADERS: Readonly<Record<string, string>> = {
  'Cache-Control': 'no-store',
  'Content-Security-Policy': "default-src 'none'; frame-ancestors 'none'",
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Permissions-Policy': 'camera=(), geolocation=(), microphone=()',
  'Referrer-Policy': 'no-referrer',
  'X-Content-Type-Options': 'nosniff',
  'X-Frame-Options': 'DENY',
  'X-Permitted-Cross-Domain-Policies': 'none',
};
const ONE_YEAR_SECONDS = 31_536_000;

/**
 * The first thing a request meets: it gets its id, the security headers, and one log line at its
 * end. Neither headers nor the query are logged: both may carry secrets.
 */
export function firstMiddleware(options: {
  readonly log: Logger;
  readonly https: boolean;
  readonly proxies: TrustedProxies;
  readonly now: () => number;
}): (request: Request, response: Response, next: NextFunction) => void {
  const { log, https, proxies, now } = options;
  return (request, response, next) => {
    const given = request.headers['x-request-id'];
    const requestId = typeof given === 'string' && REQUEST_ID.test(given) ? given : newId('req');
    const { headers, socket } = request;
    begin(request, requestId, proxies.addressOf(socket.remoteAddress, headers['x-forwarded-for']));
    response.setHeader('X-Request-Id', requestId);
    for (const [name, value] of Object.entries(HEADERS)) response.setHeader(name, value);
    if (https) {
      response.setHeader('Strict-Transport-Security', `max-age=${ONE_YEAR_SECONDS}`);
    }
    const startedMs = now();
    const startedAt = performance.now();
    const { traceparent } = request.headers;
    const span = requestSpan(typeof traceparent === 'string' ? traceparent : undefined);
    response.once('close', () => {
      const { method, path } = request;
      const entry = { requestId, method, path, status: response.statusCode, ms: now() - startedMs };
      log.debug(entry, 'request');
      tell(request, response, startedAt);
      const route = routeNameOf(request);
      const template = route === null ? null : ROUTES[route].path;
      span?.end({ method, route: template, status: response.statusCode, requestId });
    });
    if (span === null) next();
    else span.run(next);
  };
}

/** Under the name of its route, never its path. */
function tell(request: Request, response: Response, startedAt: number): void {
  const route = routeNameOf(request) ?? 'none';
  const status = response.writableFinished
    ? `${Math.floor(response.statusCode / 100)}xx`
    : 'aborted';
  meters.count('bellwether_http_requests_total', route, status);
  meters.since('bellwether_http_request_seconds', startedAt, route);
}
