import { z } from 'zod';

/** An address and port to listen on. */
export interface ListenAddress {
  readonly host: string;
  readonly port: number;
}

/** What goes to an OpenTelemetry collector; everything else of `OTEL_*` is read by its packages. */
export interface OtelConfig {
  readonly traces: boolean;
  readonly logs: boolean;
  readonly serviceName: string;
  readonly sampler: string;
  /** Share of traces that `…traceidratio` keeps, 0 to 1. */
  readonly samplerArg: number;
  /** How long spans, and log lines, are gathered before they are sent. */
  readonly traceDelayMs: number;
  readonly logDelayMs: number;
}

const LISTEN = /^(?:\[([0-9A-Fa-f:.]{2,45})\]|([A-Za-z0-9._-]{1,253})):(\d{1,5})$/;

/** An IPv6 address stands in brackets. Null when it is neither. */
export function listenOf(text: string): ListenAddress | null {
  const [, six, four, digits = ''] = LISTEN.exec(text) ?? [];
  const host = six ?? four;
  const port = Number(digits);
  return host === undefined || port > 65_535 ? null : { host, port };
}

const isHttp = (text: string): boolean =>
  URL.canParse(text) && ['http:', 'https:'].includes(new URL(text).protocol);

const collector = z
  .string()
  .refine(isHttp, 'give http or https with host and port, such as http://127.0.0.1:4318')
  .optional();
const exporter = z.enum(['otlp', 'none'], { error: 'take otlp or none' }).default('otlp');

const delay = (fallback: number): z.ZodType<number> =>
  z
    .string()
    .regex(/^\d{2,5}$/, 'take 10 to 99999 ms')
    .transform(Number)
    .default(fallback);

export const TelemetryEnvironment = {
  traceDelay: delay(5_000),
  logDelay: delay(1_000),
  listen: z
    .string()
    .refine(
      (text) => listenOf(text) !== null,
      'give address and port, such as 127.0.0.1:9464 or [::1]:9464',
    )
    .optional(),
  collector,
  exporter,
  protocol: z.literal('http/json', { error: 'only http/json is spoken here; leave it out' }),
  disabled: z.enum(['true', 'false'], { error: 'take true or false' }).default('false'),
  serviceName: z.string().max(255, 'take up to 255 characters').default('bellwether'),
  sampler: z
    .enum(
      [
        'always_on',
        'always_off',
        'traceidratio',
        'parentbased_always_on',
        'parentbased_always_off',
        'parentbased_traceidratio',
      ],
      { error: 'take a sampler of OpenTelemetry, such as parentbased_traceidratio' },
    )
    .default('parentbased_always_on'),
  samplerArg: z
    .string()
    .regex(/^(0(\.\d{1,9})?|1(\.0{1,9})?)$/, 'take a share from 0 to 1')
    .optional(),
};

/** Null unless an endpoint says where it should go. */
export function otelOf(read: {
  readonly OTEL_SDK_DISABLED: 'true' | 'false';
  readonly OTEL_EXPORTER_OTLP_ENDPOINT?: string | undefined;
  readonly OTEL_EXPORTER_OTLP_TRACES_ENDPOINT?: string | undefined;
  readonly OTEL_EXPORTER_OTLP_LOGS_ENDPOINT?: string | undefined;
  readonly OTEL_TRACES_EXPORTER: 'otlp' | 'none';
  readonly OTEL_LOGS_EXPORTER: 'otlp' | 'none';
  readonly OTEL_SERVICE_NAME: string;
  readonly OTEL_TRACES_SAMPLER: string;
  readonly OTEL_TRACES_SAMPLER_ARG?: string | undefined;
  readonly OTEL_BSP_SCHEDULE_DELAY: number;
  readonly OTEL_BLRP_SCHEDULE_DELAY: number;
}): OtelConfig | null {
  const has = (own: string | undefined): boolean =>
    (own ?? read.OTEL_EXPORTER_OTLP_ENDPOINT) !== undefined;
  const traces =
    read.OTEL_TRACES_EXPORTER === 'otlp' && has(read.OTEL_EXPORTER_OTLP_TRACES_ENDPOINT);
  const logs = read.OTEL_LOGS_EXPORTER === 'otlp' && has(read.OTEL_EXPORTER_OTLP_LOGS_ENDPOINT);
  if (read.OTEL_SDK_DISABLED === 'true' || !(traces || logs)) return null;
  return {
    traces,
    logs,
    serviceName: read.OTEL_SERVICE_NAME,
    sampler: read.OTEL_TRACES_SAMPLER,
    samplerArg: Number(read.OTEL_TRACES_SAMPLER_ARG ?? 1),
    traceDelayMs: read.OTEL_BSP_SCHEDULE_DELAY,
    logDelayMs: read.OTEL_BLRP_SCHEDULE_DELAY,
  };
}
