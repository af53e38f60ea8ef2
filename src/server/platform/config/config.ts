import { z } from 'zod';
import { FleetError } from '../../../core/kernel/index.js';
import { HEARTBEAT_INTERVAL_MS, PERMIT_LEASE_MS } from '../../../protocol/node/index.js';
import {
  MasterKeyEnvironment,
  masterKeyOf,
  problemsOfMasterKey,
  type MasterKeyConfig,
} from './master-key.js';
import { parseRanges } from './ranges.js';
import {
  problemsOfPace,
  problemsOfS3,
  s3Of,
  StorageEnvironment,
  type S3Config,
} from './storage.js';
import {
  isPostgresUrl,
  isRedisUrl,
  problemsOfStores,
  sentinelsOf,
  StoresEnvironment,
} from './stores.js';
import {
  listenOf,
  otelOf,
  TelemetryEnvironment,
  type ListenAddress,
  type OtelConfig,
} from './telemetry.js';

/** Everything that can be set, parsed and frozen. Units are in the names. */
export interface Config {
  readonly dataDir: string;
  readonly host: string;
  readonly port: number;
  /** How nodes and people reach the manager; without a slash at the end. */
  readonly publicUrl: string;
  /** Scheme, host and port of it: the audience of every node token. */
  readonly publicOrigin: string;
  /** Null means SQLite in the data directory. */
  readonly databaseUrl: string | null;
  /** A file with the password of PostgreSQL; null: it is in the address. */
  readonly databasePasswordFile: string | null;
  /** Certificates (PEM) of whom to trust when PostgreSQL speaks TLS; null: whom Node trusts. */
  readonly databaseCaFile: string | null;
  /** Null means that wake-ups are timers of this process. */
  readonly redisUrl: string | null;
  /** A file with the password of Redis; null: it is in the address. */
  readonly redisPasswordFile: string | null;
  /** Who knows where Redis is, as `host:port`; the host in the address is then the name that they know. */
  readonly redisSentinels: readonly string[];
  readonly redisSentinelPasswordFile: string | null;
  /** Certificates (PEM) of whom to trust when Redis speaks TLS; null: whom Node trusts. */
  readonly redisCaFile: string | null;
  /** Keys in Redis begin with it. */
  readonly redisPrefix: string;
  readonly logLevel: LogLevel;
  readonly heartbeatMs: number;
  readonly permitLeaseMs: number;
  /** Over how long a manager that stops sends its nodes to the others, when there are others. */
  readonly drainMs: number;
  readonly artifactBytesMax: number;
  /** Null means that artifacts lie in the data directory. */
  readonly s3: S3Config | null;
  /** Downloads by nodes at once, in all. */
  readonly downloadsMax: number;
  /** Of all downloads together; null: as fast as it goes. */
  readonly downloadBytesPerSecond: number | null;
  /** How long a blob that no release names is kept after it was stored. */
  readonly blobGraceHours: number;
  /** How long the artifacts of a yanked release are kept after that; null: for ever. */
  readonly yankedKeepDays: number | null;
  /** Nodes of clusters that are gone for so long are taken out; null: never. */
  readonly clusterNodesGoneDays: number | null;
  /** TOML that says where releases are pulled from; null: from nowhere. */
  readonly sourcesFile: string | null;
  /** TOML that says how people sign in at an OpenID provider; null: not at all. */
  readonly oidcFile: string | null;
  /** Strangers may ask which version a new node should install. */
  readonly isFindOpen: boolean;
  /** A rollout of more nodes than this needs two approvals; null: never. */
  readonly twoPersonAboveNodes: number | null;
  /** Audit entries older than this are sealed into files; null: never. */
  readonly auditRetentionDays: number | null;
  /** Sealed events older than this are removed; null: never. */
  readonly eventRetentionDays: number | null;
  /** Sealed events beyond this many are removed, oldest first; null: never. */
  readonly eventRetentionCount: number | null;
  /** Of one node; what comes faster is taken later. */
  readonly nodeEventsPerSecond: number;
  /** Addresses and CIDR ranges of proxies whose `X-Forwarded-For` is believed. */
  readonly trustedProxies: readonly string[];
  /** Of one API token. */
  readonly requestsPerMinute: number;
  /** Networks besides the public ones that sinks may reach. */
  readonly sinkNetworks: readonly string[];
  /** Where file sinks write; null: below the data directory. */
  readonly sinkFilesDir: string | null;
  /** Where metrics are told without a token; null: nowhere. */
  readonly metricsListen: ListenAddress | null;
  /** What goes to an OpenTelemetry collector; null: nothing. */
  readonly otel: OtelConfig | null;
  /** Certificate and key (PEM) of the manager's own TLS; null: it speaks plain HTTP. */
  readonly tls: { readonly certFile: string; readonly keyFile: string } | null;
  /** Who among people with a password has to have a second factor. */
  readonly secondFactorFor: 'nobody' | 'admins' | 'everybody';
  /** What seals secrets at rest. */
  readonly masterKey: MasterKeyConfig;
}

const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

const GIB = 1024 ** 3;

const number = (min: number, max: number) =>
  z
    .string()
    .regex(/^\d{1,15}$/, `write a whole number from ${min} to ${max}`)
    .transform(Number)
    .refine((value) => value >= min && value <= max, `take a number from ${min} to ${max}`);

const whole = (fallback: number, min: number, max: number): z.ZodType<number> =>
  number(min, max).default(fallback);

const isUrl = (text: string, ...schemes: string[]): boolean =>
  URL.canParse(text) && schemes.includes(new URL(text).protocol);

const isOrigin = (text: string): boolean => {
  if (!isUrl(text, 'http:', 'https:')) return false;
  const { pathname, search, hash, username, password } = new URL(text);
  return pathname === '/' && `${search}${hash}${username}${password}` === '';
};

const FilePath = z.string().refine((text) => !text.includes('\0'), 'take the NUL character out');

/** Every variable with its limits; the message of a check is the fix that the operator reads. */
const Environment = z.object({
  BELLWETHER_DATA_DIR: z
    .string()
    .min(1, 'give a directory, or leave the variable out for ./data')
    .refine((text) => !text.includes('\0'), 'take the NUL character out')
    .default('./data'),
  BELLWETHER_HOST: z
    .string()
    .regex(/^[A-Za-z0-9.:_-]{1,253}$/, 'give an address to listen on, such as 127.0.0.1 or 0.0.0.0')
    .default('127.0.0.1'),
  BELLWETHER_PORT: whole(8480, 0, 65_535),
  BELLWETHER_PUBLIC_URL: z
    .string()
    .refine(isOrigin, 'give scheme, host and port only, such as https://bellwether.example:8480')
    .optional(),
  DATABASE_URL: z
    .string()
    .refine(
      isPostgresUrl,
      'give postgres://user:password@host:5432/database, or leave the variable out for SQLite; ' +
        'besides, it may have sslmode (disable, require, verify-ca, verify-full), sslrootcert and host',
    )
    .optional(),
  BELLWETHER_DATABASE_PASSWORD_FILE: FilePath.optional(),
  BELLWETHER_DATABASE_CA_FILE: FilePath.optional(),
  REDIS_URL: z
    .string()
    .refine(
      isRedisUrl,
      'give redis://user:password@host:6379/0 (rediss:// with TLS), or leave the variable out',
    )
    .optional(),
  BELLWETHER_REDIS_CA_FILE: FilePath.optional(),
  BELLWETHER_REDIS_PASSWORD_FILE: FilePath.optional(),
  BELLWETHER_REDIS_SENTINELS: StoresEnvironment.sentinels,
  BELLWETHER_REDIS_SENTINEL_PASSWORD_FILE: FilePath.optional(),
  BELLWETHER_REDIS_PREFIX: z
    .string()
    .regex(/^[A-Za-z0-9_-]{1,64}$/, 'take up to 64 letters, digits, - and _')
    .default('bellwether'),
  BELLWETHER_LOG_LEVEL: z
    .enum(LOG_LEVELS, { error: `take one of ${LOG_LEVELS.join(', ')}` })
    .default('info'),
  // The link allows welcome messages of 100 ms to 10 minutes; shorter ones serve specs only.
  BELLWETHER_HEARTBEAT_MS: whole(HEARTBEAT_INTERVAL_MS, 100, 600_000),
  BELLWETHER_PERMIT_LEASE_MS: whole(PERMIT_LEASE_MS, 100, 60_000),
  BELLWETHER_DRAIN_MS: whole(10_000, 0, 600_000),
  BELLWETHER_ARTIFACT_BYTES_MAX: whole(200 * 1024 * 1024, 1, 16 * GIB),
  BELLWETHER_FIND: z.enum(['on', 'off'], { error: 'take on or off' }).default('off'),
  BELLWETHER_TWO_PERSON_ABOVE_NODES: number(0, 1_000_000).optional(),
  BELLWETHER_S3_BUCKET: StorageEnvironment.bucket,
  BELLWETHER_S3_ENDPOINT: StorageEnvironment.endpoint,
  BELLWETHER_S3_REGION: StorageEnvironment.region,
  BELLWETHER_S3_PREFIX: StorageEnvironment.prefix,
  BELLWETHER_S3_ADDRESSING: StorageEnvironment.addressing,
  BELLWETHER_S3_ACCESS_KEY_ID: StorageEnvironment.credential,
  BELLWETHER_S3_SECRET_ACCESS_KEY: StorageEnvironment.credential,
  BELLWETHER_S3_SESSION_TOKEN: StorageEnvironment.credential,
  BELLWETHER_DOWNLOADS_MAX: whole(128, 1, 10_000),
  BELLWETHER_DOWNLOAD_BYTES_PER_SECOND: number(64 * 1024, 100 * GIB).optional(),
  BELLWETHER_BLOB_GRACE_HOURS: whole(168, 1, 87_600),
  BELLWETHER_YANKED_KEEP_DAYS: number(0, 3_650).optional(),
  BELLWETHER_CLUSTER_NODES_GONE_DAYS: number(1, 3_650).optional(),
  BELLWETHER_SOURCES_FILE: z
    .string()
    .refine((text) => !text.includes('\0'), 'take the NUL character out')
    .optional(),
  BELLWETHER_OIDC_FILE: z
    .string()
    .refine((text) => !text.includes('\0'), 'take the NUL character out')
    .optional(),
  BELLWETHER_AUDIT_RETENTION_DAYS: number(1, 36_500).optional(),
  BELLWETHER_EVENT_RETENTION_DAYS: number(1, 36_500).optional(),
  BELLWETHER_EVENT_RETENTION_COUNT: number(10_000, 10_000_000_000).optional(),
  BELLWETHER_NODE_EVENTS_PER_SECOND: whole(500, 1, 1_000_000),
  BELLWETHER_TRUSTED_PROXIES: z
    .string()
    .refine(
      (text) => parseRanges(text) !== null,
      'give addresses or ranges with commas between, such as 10.0.0.7,192.168.0.0/16,fd00::/8',
    )
    .optional(),
  BELLWETHER_REQUESTS_PER_MINUTE: whole(6_000, 60, 1_000_000),
  BELLWETHER_SINK_ALLOWED_NETWORKS: z
    .string()
    .refine(
      (text) => parseRanges(text) !== null,
      'give addresses or ranges with commas between, such as 10.20.0.0/16,fd00::/8',
    )
    .optional(),
  BELLWETHER_SINK_FILES_DIR: FilePath.optional(),
  BELLWETHER_METRICS_LISTEN: TelemetryEnvironment.listen,
  OTEL_EXPORTER_OTLP_ENDPOINT: TelemetryEnvironment.collector,
  OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: TelemetryEnvironment.collector,
  OTEL_EXPORTER_OTLP_LOGS_ENDPOINT: TelemetryEnvironment.collector,
  OTEL_EXPORTER_OTLP_PROTOCOL: TelemetryEnvironment.protocol.optional(),
  OTEL_TRACES_EXPORTER: TelemetryEnvironment.exporter,
  OTEL_LOGS_EXPORTER: TelemetryEnvironment.exporter,
  OTEL_TRACES_SAMPLER: TelemetryEnvironment.sampler,
  OTEL_TRACES_SAMPLER_ARG: TelemetryEnvironment.samplerArg,
  OTEL_BSP_SCHEDULE_DELAY: TelemetryEnvironment.traceDelay,
  OTEL_BLRP_SCHEDULE_DELAY: TelemetryEnvironment.logDelay,
  OTEL_SERVICE_NAME: TelemetryEnvironment.serviceName,
  OTEL_SDK_DISABLED: TelemetryEnvironment.disabled,
  BELLWETHER_TLS_CERT_FILE: FilePath.optional(),
  BELLWETHER_TLS_KEY_FILE: FilePath.optional(),
  BELLWETHER_SECOND_FACTOR_FOR: z
    .enum(['nobody', 'admins', 'everybody'], { error: 'take nobody, admins or everybody' })
    .default('nobody'),
  BELLWETHER_MASTER_KEY: MasterKeyEnvironment.value,
  BELLWETHER_MASTER_KEY_FILE: MasterKeyEnvironment.file,
  BELLWETHER_MASTER_KEYS_OLD_FILE: MasterKeyEnvironment.file,
});

const EVERYWHERE = new Set(['0.0.0.0', '::']);

/**
 * Reads the configuration from environment variables; an empty variable counts as left out. Throws
 * FleetError `config_invalid` whose message has one line for every problem, each with its fix.
 */
export function loadConfig(env: Readonly<Record<string, string | undefined>>): Config {
  const given = Object.fromEntries(
    Object.entries(env).filter(([, value]) => value !== undefined && value !== ''),
  );
  const parsed = Environment.safeParse(given);
  const problems = parsed.success
    ? []
    : parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`);
  const host = given['BELLWETHER_HOST'];
  if (host !== undefined && EVERYWHERE.has(host) && given['BELLWETHER_PUBLIC_URL'] === undefined) {
    problems.push(
      'BELLWETHER_PUBLIC_URL: say how nodes reach this manager; it cannot be told from ' +
        `BELLWETHER_HOST=${host}`,
    );
  }
  problems.push(
    ...problemsOfStores(given),
    ...problemsOfS3(given),
    ...problemsOfTls(given),
    ...problemsOfMasterKey(given),
  );
  if (parsed.success) problems.push(...problemsOfPace(parsed.data));
  if (!parsed.success || problems.length > 0) throw invalidConfig(problems);
  const read = parsed.data;
  const config: Config = {
    dataDir: read.BELLWETHER_DATA_DIR,
    host: read.BELLWETHER_HOST,
    port: read.BELLWETHER_PORT,
    publicUrl: '',
    publicOrigin: '',
    databaseUrl: read.DATABASE_URL ?? null,
    databasePasswordFile: read.BELLWETHER_DATABASE_PASSWORD_FILE ?? null,
    databaseCaFile: read.BELLWETHER_DATABASE_CA_FILE ?? null,
    redisUrl: read.REDIS_URL ?? null,
    redisPasswordFile: read.BELLWETHER_REDIS_PASSWORD_FILE ?? null,
    redisSentinels: sentinelsOf(read.BELLWETHER_REDIS_SENTINELS ?? ''),
    redisSentinelPasswordFile: read.BELLWETHER_REDIS_SENTINEL_PASSWORD_FILE ?? null,
    redisCaFile: read.BELLWETHER_REDIS_CA_FILE ?? null,
    redisPrefix: read.BELLWETHER_REDIS_PREFIX,
    logLevel: read.BELLWETHER_LOG_LEVEL,
    heartbeatMs: read.BELLWETHER_HEARTBEAT_MS,
    permitLeaseMs: read.BELLWETHER_PERMIT_LEASE_MS,
    drainMs: read.BELLWETHER_DRAIN_MS,
    artifactBytesMax: read.BELLWETHER_ARTIFACT_BYTES_MAX,
    isFindOpen: read.BELLWETHER_FIND === 'on',
    twoPersonAboveNodes: read.BELLWETHER_TWO_PERSON_ABOVE_NODES ?? null,
    s3: s3Of(read),
    downloadsMax: read.BELLWETHER_DOWNLOADS_MAX,
    downloadBytesPerSecond: read.BELLWETHER_DOWNLOAD_BYTES_PER_SECOND ?? null,
    blobGraceHours: read.BELLWETHER_BLOB_GRACE_HOURS,
    yankedKeepDays: read.BELLWETHER_YANKED_KEEP_DAYS ?? null,
    clusterNodesGoneDays: read.BELLWETHER_CLUSTER_NODES_GONE_DAYS ?? null,
    sourcesFile: read.BELLWETHER_SOURCES_FILE ?? null,
    oidcFile: read.BELLWETHER_OIDC_FILE ?? null,
    auditRetentionDays: read.BELLWETHER_AUDIT_RETENTION_DAYS ?? null,
    eventRetentionDays: read.BELLWETHER_EVENT_RETENTION_DAYS ?? null,
    eventRetentionCount: read.BELLWETHER_EVENT_RETENTION_COUNT ?? null,
    nodeEventsPerSecond: read.BELLWETHER_NODE_EVENTS_PER_SECOND,
    trustedProxies: parseRanges(read.BELLWETHER_TRUSTED_PROXIES ?? '') ?? [],
    requestsPerMinute: read.BELLWETHER_REQUESTS_PER_MINUTE,
    sinkNetworks: parseRanges(read.BELLWETHER_SINK_ALLOWED_NETWORKS ?? '') ?? [],
    sinkFilesDir: read.BELLWETHER_SINK_FILES_DIR ?? null,
    metricsListen: listenOf(read.BELLWETHER_METRICS_LISTEN ?? ''),
    otel: otelOf(read),
    tls: tlsOf(read),
    secondFactorFor: read.BELLWETHER_SECOND_FACTOR_FOR,
    masterKey: masterKeyOf(read),
  };
  return reachedAt(config, read.BELLWETHER_PUBLIC_URL ?? listenUrl(config));
}

const tlsOf = (read: z.output<typeof Environment>): Config['tls'] => {
  const { BELLWETHER_TLS_CERT_FILE: certFile, BELLWETHER_TLS_KEY_FILE: keyFile } = read;
  return certFile === undefined || keyFile === undefined ? null : { certFile, keyFile };
};

function problemsOfTls(given: Readonly<Record<string, string | undefined>>): string[] {
  const [cert, key] = ['BELLWETHER_TLS_CERT_FILE', 'BELLWETHER_TLS_KEY_FILE'];
  const missing = [cert, key].filter((name) => given[name] === undefined);
  return missing.length === 1 ? [`${missing[0]}: give both files of TLS, or none`] : [];
}

/** The same, from the environment of this process. */
export const configOfProcess = (): Config => loadConfig(process.env);

const listenUrl = ({ host, port, tls }: Pick<Config, 'host' | 'port' | 'tls'>): string =>
  `${tls === null ? 'http' : 'https'}://${host.includes(':') ? `[${host}]` : host}:${port}`;

function reachedAt(config: Config, url: string): Config {
  const { origin } = new URL(url);
  return Object.freeze({ ...config, publicUrl: origin, publicOrigin: origin });
}

/**
 * The configuration with the port that port 0 turned out to be. A public URL that named port 0,
 * because none was set, follows; one that the operator wrote stays.
 */
export function withPort(config: Config, port: number): Config {
  const followed = config.publicUrl === new URL(listenUrl(config)).origin;
  const moved = { ...config, port };
  return reachedAt(moved, followed ? listenUrl(moved) : config.publicUrl);
}

/** An error that stops the start: every line is a problem with its fix. */
export const invalidConfig = (problems: readonly string[], cause?: unknown): FleetError =>
  new FleetError('config_invalid', problems.join('\n'), { context: { problems }, cause });

/** The configuration as it may be printed: logins and passwords are left out. */
export function redactedConfig(
  config: Config,
): Readonly<Record<string, string | number | boolean | null>> {
  const { databaseUrl, redisUrl, s3, tls, trustedProxies, ...others } = config;
  const { sinkNetworks, masterKey, metricsListen, otel, redisSentinels, ...rest } = others;
  return {
    ...rest,
    masterKey: masterKey.file ?? (masterKey.value === null ? 'in the data directory' : 'given'),
    metricsListen: metricsListen === null ? 'none' : `${metricsListen.host}:${metricsListen.port}`,
    otel: otel === null ? 'none' : otel.serviceName,
    tls: tls === null ? 'none' : tls.certFile,
    trustedProxies: trustedProxies.join(','),
    sinkNetworks: sinkNetworks.join(','),
    redisSentinels: redisSentinels.join(','),
    s3: s3 === null ? 'none' : `${s3.endpoint}/${s3.bucket}/${s3.prefix}`,
    databaseUrl: databaseUrl === null ? 'sqlite' : withoutLogin(databaseUrl),
    redisUrl: redisUrl === null ? 'none' : withoutLogin(redisUrl),
  };
}

function withoutLogin(text: string): string {
  const url = new URL(text);
  return `${url.protocol}//${url.host}${url.pathname}`;
}
