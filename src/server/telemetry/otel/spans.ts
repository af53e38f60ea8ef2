import type { AsyncLocalStorage } from 'node:async_hooks';
import {
  ROOT_CONTEXT,
  SpanKind,
  SpanStatusCode,
  trace,
  TraceFlags,
  type Context,
  type Link,
  type Span,
  type SpanContext,
  type Tracer as OtelTracer,
} from '@opentelemetry/api';
import { FleetError } from '../../../core/kernel/index.js';
import type { RequestSpan, SpanAbout, Tracer } from '../../platform/telemetry/index.js';

/** Commands whose sending is remembered for links, the newest; some MB at the most. */
export const REMEMBERED_COMMANDS_MAX = 10_000;
/** Of one span: a batch may speak of more commands, and nobody follows them all. */
const LINKS_MAX = 8;

/** Version 00 of W3C Trace Context; ids of zeros are none. */
const TRACEPARENT = /^00-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})$/;

/** Spans on an OpenTelemetry tracer. `active` holds the context that the next span belongs to. */
export class OtelSpans implements Tracer {
  readonly #tracer: OtelTracer;
  readonly #active: AsyncLocalStorage<Context>;
  readonly #sentBy = new Map<string, SpanContext>();

  constructor(tracer: OtelTracer, active: AsyncLocalStorage<Context>) {
    this.#tracer = tracer;
    this.#active = active;
  }

  async run<T>(name: string, about: SpanAbout, work: () => Promise<T>): Promise<T> {
    const above = about.isRoot === true ? ROOT_CONTEXT : this.#context();
    if (about.isPart === true && trace.getSpan(above) === undefined) return await work();
    const links = this.#linksTo(about.commandIds ?? []);
    const { attributes = {} } = about;
    const span = this.#tracer.startSpan(name, { attributes, links }, above);
    try {
      return await this.#active.run(trace.setSpan(above, span), work);
    } catch (error) {
      fail(span, error);
      throw error;
    } finally {
      span.end();
    }
  }

  request(traceparent: string | undefined): RequestSpan {
    const above = contextOf(traceparent);
    const span = this.#tracer.startSpan('HTTP', { kind: SpanKind.SERVER }, above);
    const inside = trace.setSpan(above, span);
    return {
      run: (next) => this.#active.run(inside, next),
      end: ({ method, route, status, requestId }) => {
        span.updateName(route === null ? method : `${method} ${route}`);
        span.setAttributes({
          'http.request.method': method,
          'http.response.status_code': status,
          'bellwether.request_id': requestId,
          ...(route === null ? {} : { 'http.route': route }),
        });
        if (status >= 500) span.setStatus({ code: SpanStatusCode.ERROR });
        span.end();
      },
    };
  }

  sent(action: string, commandIds: readonly string[]): void {
    const attributes = {
      'bellwether.command_action': action,
      'bellwether.command_count': commandIds.length,
      ...(commandIds.length === 1 ? { 'bellwether.command_id': commandIds[0] ?? '' } : {}),
    };
    const span = this.#tracer.startSpan(
      'command.send',
      { kind: SpanKind.PRODUCER, attributes },
      this.#context(),
    );
    for (const id of commandIds) this.#remember(id, span.spanContext());
    span.end();
  }

  #context(): Context {
    return this.#active.getStore() ?? ROOT_CONTEXT;
  }

  #remember(commandId: string, context: SpanContext): void {
    this.#sentBy.set(commandId, context);
    const oldest = this.#sentBy.keys().next().value;
    if (this.#sentBy.size > REMEMBERED_COMMANDS_MAX && oldest !== undefined) {
      this.#sentBy.delete(oldest);
    }
  }

  #linksTo(commandIds: readonly string[]): Link[] {
    return commandIds.slice(0, LINKS_MAX).flatMap((id) => {
      const context = this.#sentBy.get(id);
      return context === undefined
        ? []
        : [{ context, attributes: { 'bellwether.command_id': id } }];
    });
  }
}

function contextOf(traceparent: string | undefined): Context {
  const found = TRACEPARENT.exec(traceparent ?? '');
  if (found === null) return ROOT_CONTEXT;
  const [, traceId = '', spanId = '', flags = '00'] = found;
  const traceFlags = Number.parseInt(flags, 16) & TraceFlags.SAMPLED;
  return trace.setSpanContext(ROOT_CONTEXT, { traceId, spanId, traceFlags, isRemote: true });
}

/** A refusal says its code; what went wrong beyond that stands in the log, under the same trace. */
function fail(span: Span, error: unknown): void {
  const code = error instanceof FleetError ? error.code : 'internal_error';
  span.setAttribute('error.type', code);
  const isRefusal = error instanceof FleetError && error.kind === 'user';
  if (!isRefusal) span.setStatus({ code: SpanStatusCode.ERROR, message: code });
}
