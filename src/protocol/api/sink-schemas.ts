import { z } from 'zod';
import {
  ALERT_RULES,
  EVENT_FORMATS,
  EVENT_SEVERITIES,
  OBJECT_FORMATS,
  SYSLOG_FACILITIES,
  webhookKey,
  type SyslogFacility,
} from '../../core/event/index.js';
import { Id } from '../node/index.js';
import { PageQuery } from './pages.js';

const Moment = z.iso.datetime();
const Count = z.int().min(0);
const Name = z.string().trim().min(1).max(128);

/** What goes into a header or a line as it is: nothing that could end it. */
const Word = z.string().regex(/^[\x21-\x7e]{1,256}$/, 'take printable ASCII without spaces');
const HttpUrl = z
  .string()
  .max(2_048)
  .refine((text) => {
    if (!URL.canParse(text)) return false;
    const { protocol, username, password, hash } = new URL(text);
    return /^https?:$/.test(protocol) && `${username}${password}${hash}` === '';
  }, 'give an http or https address without login and #; credentials have fields of their own');
const Host = z
  .string()
  .regex(/^[A-Za-z0-9]([A-Za-z0-9.:-]{0,251}[A-Za-z0-9])?$|^::1$/, 'give a name or an address');

/** How the other side of TLS is known. Left out, by whom Node trusts. */
const TlsTrust = {
  /** Certificates in PEM: whom to trust, and nobody else. */
  ca_pem: z
    .string()
    .max(64_000)
    .regex(/-----BEGIN CERTIFICATE-----/, 'give PEM')
    .optional(),
  /** SHA-256 of the certificate's public key (SPKI) in base64: this one and no other. */
  pin_sha256: z
    .string()
    .regex(/^[A-Za-z0-9+/]{43}=$/, 'give 32 bytes in base64')
    .optional(),
};

const facilities = Object.keys(SYSLOG_FACILITIES) as [SyslogFacility, ...SyslogFacility[]];
const Segment = '[A-Za-z0-9][A-Za-z0-9._-]{0,99}';

/** The settings of each kind; none of them is secret. */
export const SINK_CONFIGS = {
  webhook: z.strictObject({
    url: HttpUrl,
    format: z.enum(OBJECT_FORMATS).default('json'),
    /** Events in one request at most; 1: each request is one event, not a list of one. */
    batch_max: z.int().min(1).max(500).default(100),
    ...TlsTrust,
  }),
  syslog: z.strictObject({
    host: Host,
    port: z.int().min(1).max(65_535).default(6_514),
    transport: z.enum(['tls', 'tcp', 'udp']).default('tls'),
    format: z.enum(EVENT_FORMATS).default('json'),
    facility: z.enum(facilities).default('local0'),
    /** Name in the certificate, when it is not the host. */
    server_name: Host.optional(),
    /**
     * `close`: after each batch the connection is closed and the close of the receiver waited for, which
     * says that it read all; `sent`: what was handed to the network counts as delivered.
     */
    confirm: z.enum(['close', 'sent']).default('close'),
    /** Messages that are larger become dead letters. With UDP 2048 unless told otherwise. */
    message_bytes_max: z.int().min(480).max(262_144).optional(),
    ...TlsTrust,
  }),
  splunk: z.strictObject({
    url: HttpUrl,
    format: z.enum(['json', 'ecs', 'ocsf']).default('json'),
    index: Word.optional(),
    source: Word.default('bellwether'),
    sourcetype: Word.default('bellwether:event'),
    /** Events count as delivered only when an indexer has acknowledged them. */
    acknowledge: z.boolean().default(true),
    batch_max: z.int().min(1).max(500).default(200),
    ...TlsTrust,
  }),
  elasticsearch: z.strictObject({
    url: HttpUrl,
    /** Name of a data stream: type-dataset-namespace. */
    data_stream: z
      .string()
      .regex(
        /^[a-z][a-z0-9_.]{0,60}-[a-z0-9_.]{1,100}-[a-z0-9_.]{1,90}$/,
        'give type-dataset-namespace',
      )
      .default('logs-bellwether.events-default'),
    batch_max: z.int().min(1).max(500).default(500),
    ...TlsTrust,
  }),
  file: z.strictObject({
    /** Below the directory of sink files; folders must exist. */
    path: z
      .string()
      .regex(new RegExp(`^(${Segment}/){0,3}${Segment}$`), 'give a path below the directory'),
    format: z.enum(EVENT_FORMATS).default('json'),
    rotate_bytes: z.int().min(4_096).max(1_099_511_627_776).default(104_857_600),
    /** Older files that are kept beside the one that is written. */
    rotate_files: z.int().min(0).max(1_000).default(10),
  }),
} as const;
export type SinkKind = keyof typeof SINK_CONFIGS;
export const SINK_KINDS = Object.keys(SINK_CONFIGS) as [SinkKind, ...SinkKind[]];
export type SinkConfig<K extends SinkKind> = z.output<(typeof SINK_CONFIGS)[K]>;

const WebhookSecret = z
  .string()
  .max(128)
  .refine((text) => webhookKey(text) !== null, 'give whsec_ and 24 to 64 bytes in base64');
const Secret = z.string().regex(/^[\x20-\x7e]{1,2048}$/, 'take printable ASCII');

/** What each kind needs to be let in; sealed when it is stored, and never shown again. */
export const SINK_CREDENTIALS = {
  webhook: z.strictObject({
    /** Left out, one is made, and shown once. */
    secret: WebhookSecret.optional(),
    /** Sent as `Authorization`, for receivers that want it besides the signature. */
    authorization: Secret.optional(),
  }),
  syslog: z.strictObject({
    /** For receivers that ask who is calling: certificate and key in PEM. */
    client_cert_pem: z.string().max(64_000).optional(),
    client_key_pem: z.string().max(64_000).optional(),
  }),
  splunk: z.strictObject({ token: Word }),
  elasticsearch: z.strictObject({
    api_key: Word.optional(),
    username: Secret.optional(),
    password: Secret.optional(),
  }),
  file: z.strictObject({}),
} as const;
export type SinkCredentials<K extends SinkKind> = z.output<(typeof SINK_CREDENTIALS)[K]>;

const List = z.array(z.string().min(1).max(128)).min(1).max(100).nullable().default(null);
export const SinkFilterSchema = z.strictObject({
  categories: List,
  types: List,
  error_codes: List,
  min_severity: z.enum(EVENT_SEVERITIES).nullable().default(null),
  /** Of these groups and all below them, as far as the sink may see them. */
  groups: z.array(Id).min(1).max(100).nullable().default(null),
});

export const CreateSink = z.strictObject({
  name: Name,
  kind: z.enum(SINK_KINDS),
  /** Null: a sink of the platform, which sees all groups. */
  group_id: Id.nullable().default(null),
  config: z.record(z.string(), z.unknown()),
  credentials: z.record(z.string(), z.unknown()).default({}),
  filter: SinkFilterSchema.default({
    categories: null,
    types: null,
    error_codes: null,
    min_severity: null,
    groups: null,
  }),
  /** `now`: from the next event on; `beginning`: from the oldest that is kept. */
  from: z.enum(['now', 'beginning']).default('now'),
});
export const ChangeSink = z
  .strictObject({
    name: Name.optional(),
    /** Laid over the settings that are there; null takes a setting away. */
    config: z.record(z.string(), z.unknown()).optional(),
    /** In place of all that are there. */
    credentials: z.record(z.string(), z.unknown()).optional(),
    filter: SinkFilterSchema.optional(),
  })
  .refine((given) => Object.keys(given).length > 0, {
    message: 'give something to change',
  });

export const SinkState = z.enum(['delivering', 'waiting', 'failing', 'paused']);
export const Sink = z.object({
  id: Id,
  name: z.string(),
  kind: z.enum(SINK_KINDS),
  group_id: Id.nullable(),
  config: z.record(z.string(), z.unknown()),
  /** Names of the credentials that are stored. */
  credentials: z.array(z.string()),
  filter: SinkFilterSchema,
  state: SinkState,
  /** One sentence for people. */
  health: z.string(),
  /** Every event up to this one was delivered, or let pass by the filter. */
  cursor: Count,
  lag: z.object({
    /** Events behind the cursor, whether the filter wants them or not. */
    events: Count,
    /** Age of the oldest of them. */
    seconds: z.number().min(0),
  }),
  delivered: Count,
  /** Events that retention took away before they could be delivered. */
  missed: Count,
  dead_letters: Count,
  last_delivered_at: Moment.nullable(),
  circuit: z.object({
    state: z.enum(['closed', 'open', 'half_open']),
    since: Moment,
    failures: Count,
    next_try_at: Moment.nullable(),
    last_error: z.object({ code: z.string(), message: z.string(), at: Moment }).nullable(),
  }),
  created_at: Moment,
  updated_at: Moment,
});
export type Sink = z.infer<typeof Sink>;
/** `secret` of a webhook that was made here; shown once. */
export const SinkCreated = Sink.extend({ secret: z.string().nullable() });
export const SinkQuery = PageQuery.extend({ group_id: Id.optional() });

export const RotateSinkSecret = z.strictObject({
  /** Left out, one is made. */
  secret: WebhookSecret.optional(),
  /** So long both are signed with. */
  grace_hours: z.int().min(0).max(720).default(24),
});
export const SinkSecretRotated = z.object({
  secret: z.string().nullable(),
  /** When the old one stops being signed with. */
  old_until: Moment.nullable(),
});

/** What the receiver said to one marked event. */
export const SinkTested = z.object({
  ok: z.boolean(),
  /** Null when it was taken. */
  code: z.string().nullable(),
  message: z.string(),
  duration_ms: z.number().min(0),
});

export const BackfillSink = z
  .strictObject({
    /** From the first event at or after this moment. */
    since: z.iso.datetime({ offset: true }).optional(),
    /** From the event behind this one. */
    after: z.int().min(0).optional(),
  })
  .refine(({ since, after }) => (since === undefined) !== (after === undefined), {
    message: 'give either since or after',
  });

export const DeadLetter = z.object({
  event_id: z.int().min(0),
  type: z.string(),
  group_id: Id,
  code: z.string(),
  message: z.string(),
  tries: Count,
  at: Moment,
  /** It is on its way once more. */
  replaying: z.boolean(),
});
/** Left out: all of them. */
export const DeadLetterChoice = z.strictObject({
  event_ids: z.array(z.int().min(1)).min(1).max(1_000).optional(),
});
export const DeadLettersChosen = z.object({ count: Count });

export const Alert = z.object({
  id: Id,
  rule: z.enum(ALERT_RULES),
  /** The same key is the same trouble: while it is there, nothing is raised again. */
  key: z.string(),
  severity: z.enum(EVENT_SEVERITIES),
  group_id: Id,
  node_id: Id.nullable(),
  rollout_id: Id.nullable(),
  message: z.string(),
  raised_at: Moment,
  /** Null while it lasts. */
  resolved_at: Moment.nullable(),
});
export type Alert = z.infer<typeof Alert>;
export const AlertQuery = PageQuery.extend({
  state: z.enum(['raised', 'resolved']).optional(),
  rule: z.enum(ALERT_RULES).optional(),
});
