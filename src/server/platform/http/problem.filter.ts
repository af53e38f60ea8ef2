import {
  Catch,
  HttpException,
  Inject,
  type ArgumentsHost,
  type ExceptionFilter,
} from '@nestjs/common';
import type { Request, Response } from 'express';
import type { Logger } from 'pino';
import { FleetError } from '../../../core/kernel/index.js';
import { ERRORS, isErrorCode, type ErrorCode } from '../../../protocol/index.js';
import type { Problem } from '../../../protocol/api/index.js';
import { meters } from '../telemetry/index.js';
import { LOGGER } from '../tokens.js';
import { requestIdOf } from './request.js';

interface Told {
  readonly code: ErrorCode;
  readonly status: number;
  readonly detail: string;
  readonly context: Readonly<Record<string, unknown>>;
}

const OURS: Told = {
  code: 'internal_error',
  status: 500,
  detail: 'The manager met a mistake of its own; its log has more under the request id.',
  context: {},
};

/**
 * One text for all of them: the answer must not tell what is missing from what is hidden. What
 * everybody may see, such as a release, is thrown with `context.missing` and keeps its message.
 */
const NOT_FOUND: Told = {
  code: 'not_found',
  status: 404,
  detail: 'there is no such thing, or you may not see it',
  context: {},
};

/** The few errors that Express and Nest make themselves, told with our codes. */
const BY_STATUS: Readonly<Record<number, ErrorCode>> = {
  400: 'invalid_request',
  404: 'not_found',
  413: 'payload_too_large',
};

function tell(error: unknown): Told {
  if (error instanceof FleetError && error.kind !== 'invariant' && isErrorCode(error.code)) {
    const status = ERRORS[error.code].http;
    if (status === null) return OURS;
    if (error.code === 'not_found' && !('missing' in error.context)) return NOT_FOUND;
    return { code: error.code, status, detail: error.message, context: error.context };
  }
  if (error instanceof HttpException) {
    const code = BY_STATUS[error.getStatus()];
    if (code === undefined) return OURS;
    if (code === 'not_found') return { ...NOT_FOUND, detail: 'there is no such address here' };
    return { code, status: error.getStatus(), detail: ERRORS[code].meaning, context: {} };
  }
  return OURS;
}

/** An error as RFC 9457 tells it. Nothing of an unknown error goes out, only the request id. */
export function problemOf(error: unknown, requestId: string): Problem {
  const { code, status, detail, context } = tell(error);
  const { problems, ...rest } = context;
  return {
    type: `urn:bellwether:problem:${code}`,
    title: ERRORS[code].meaning,
    status,
    detail,
    code,
    fix: ERRORS[code].fix,
    request_id: requestId,
    ...(Array.isArray(problems) ? { problems: problems as Problem['problems'] } : {}),
    ...(Object.keys(rest).length > 0 ? { context: rest } : {}),
  };
}

/** Turns whatever a handler throws into a problem document. */
@Catch()
export class ProblemFilter implements ExceptionFilter {
  constructor(@Inject(LOGGER) private readonly log: Logger) {}

  catch(error: unknown, host: ArgumentsHost): void {
    const request = host.switchToHttp().getRequest<Request>();
    const response = host.switchToHttp().getResponse<Response>();
    const requestId = requestIdOf(request);
    const problem = problemOf(error, requestId);
    meters.count('bellwether_http_problems_total', problem.code);
    if (problem.status >= 500) this.log.error({ err: error, requestId }, 'a request failed');
    if (response.headersSent) {
      // Half an answer is out: a cut is the only honest way to say that it is not whole.
      response.destroy();
      return;
    }
    const retryAfter = problem.context?.['retry_after_seconds'];
    if (problem.code === 'rate_limited' || retryAfter !== undefined) {
      response.setHeader('Retry-After', String(Number(retryAfter ?? 1)));
    }
    if (problem.status === 401) response.setHeader('WWW-Authenticate', 'Bearer');
    // The rest of a body that we did not want must not be read as the next request.
    if (!request.complete) response.setHeader('Connection', 'close');
    response.removeHeader('ETag');
    response
      .status(problem.status)
      .setHeader('Content-Type', 'application/problem+json')
      .end(JSON.stringify(problem));
  }
}
