import type { LoggerService } from '@nestjs/common';
import { destination, pino, type DestinationStream, type Logger } from 'pino';
import type { LogLevel } from './config/index.js';

/** What never belongs into a log, at the top of a line or up to two steps below. */
const SECRET_FIELDS = ['authorization', 'cookie', 'password', 'secret', 'token'];

/** Where lines go besides stderr, and what stands in each of them. */
export interface LogSink {
  fields(): Readonly<Record<string, string>>;
  readonly lines: { write(line: string): void } | null;
}

/**
 * JSON lines on stderr; stdout is for people. Written at once, so that the last line before a crash
 * is not lost. The redaction is a second belt: nothing should log these fields in the first place.
 */
export function makeLogger(
  level: LogLevel,
  sink: LogSink | null = null,
  to: DestinationStream = destination({ fd: 2, sync: true }),
): Logger {
  const options = {
    level,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    redact: {
      paths: SECRET_FIELDS.flatMap((name) => [name, `*.${name}`, `*.*.${name}`]),
      censor: '[redacted]',
    },
  };
  if (sink === null) return pino(options, to);
  const streams = [to, ...(sink.lines === null ? [] : [sink.lines])];
  return pino(
    { ...options, mixin: () => ({ ...sink.fields() }) },
    // The logger has sorted out by level already.
    pino.multistream(streams.map((stream) => ({ stream, level: 'trace' as const }))),
  );
}

/** What Nest says of itself, in our log: its chatter at debug, its complaints as they are. */
export function nestLogger(log: Logger): LoggerService {
  const text = (message: unknown): string =>
    message instanceof Error ? message.message : String(message);
  return {
    log: (message, context) => log.debug({ context }, text(message)),
    debug: (message, context) => log.debug({ context }, text(message)),
    verbose: (message, context) => log.trace({ context }, text(message)),
    warn: (message, context) => log.warn({ context }, text(message)),
    error: (message, stack, context) => log.error({ context, stack }, text(message)),
    fatal: (message, context) => log.fatal({ context }, text(message)),
  };
}
