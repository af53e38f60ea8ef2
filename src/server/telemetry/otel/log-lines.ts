import type { AsyncLocalStorage } from 'node:async_hooks';
import {
  ROOT_CONTEXT,
  SeverityNumber,
  type Attributes,
  type Context,
  type Logger as OtelLogger,
} from '@opentelemetry/api';

/** Levels of pino in the words of OpenTelemetry. */
const SEVERITIES: Readonly<Record<number, readonly [SeverityNumber, string]>> = {
  10: [SeverityNumber.TRACE, 'TRACE'],
  20: [SeverityNumber.DEBUG, 'DEBUG'],
  30: [SeverityNumber.INFO, 'INFO'],
  40: [SeverityNumber.WARN, 'WARN'],
  50: [SeverityNumber.ERROR, 'ERROR'],
  60: [SeverityNumber.FATAL, 'FATAL'],
};
/** Longer values are cut: a log line is no place for documents. */
const VALUE_LENGTH_MAX = 8_192;

/** Takes the lines of our log as they are written, secrets already taken out, and hands them on. */
export class OtelLogLines {
  readonly #logger: OtelLogger;
  readonly #active: AsyncLocalStorage<Context>;

  constructor(logger: OtelLogger, active: AsyncLocalStorage<Context>) {
    this.#logger = logger;
    this.#active = active;
  }

  /** One line of JSON. Never throws: the line is on stderr already. */
  write(line: string): void {
    let fields: Record<string, unknown>;
    try {
      fields = JSON.parse(line) as Record<string, unknown>;
    } catch {
      return;
    }
    const { level, time, msg, trace_id: _, span_id: __, err, ...rest } = fields;
    const [severityNumber, severityText] = SEVERITIES[Number(level)] ?? [
      SeverityNumber.UNSPECIFIED,
      '',
    ];
    this.#logger.emit({
      timestamp: new Date(typeof time === 'string' ? time : Date.now()),
      severityNumber,
      severityText,
      body: textOf(msg ?? ''),
      attributes: { ...flat(rest), ...exception(err) },
      context: this.#active.getStore() ?? ROOT_CONTEXT,
    });
  }
}

/** Of what JSON can hold. */
const textOf = (value: unknown): string =>
  (typeof value === 'string' ? value : JSON.stringify(value)).slice(0, VALUE_LENGTH_MAX);

const flat = (fields: Readonly<Record<string, unknown>>): Attributes =>
  Object.fromEntries(
    Object.entries(fields).map(([name, value]) => [
      name,
      typeof value === 'number' || typeof value === 'boolean' ? value : textOf(value),
    ]),
  );

function exception(err: unknown): Attributes {
  if (typeof err !== 'object' || err === null) return {};
  const { type, message, stack } = err as Readonly<Record<string, unknown>>;
  return {
    'exception.type': textOf(type ?? 'Error'),
    'exception.message': textOf(message ?? ''),
    'exception.stacktrace': textOf(stack ?? ''),
  };
}
