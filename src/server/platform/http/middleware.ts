import type { NextFunction, Request, Response } from 'express';
import type { Logger } from 'pino';
import { newId } from '../ids.js';
import type { TrustedProxies } from './caller-address.js';
import { begin } from './request.js';

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
    response.once('close', () => {
      const { method, path } = request;
      const entry = { requestId, method, path, status: response.statusCode, ms: now() - startedMs };
      log.debug(entry, 'request');
    });
    next();
  };
}
