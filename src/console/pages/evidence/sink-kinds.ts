import type { Answer } from '../../../client/index.js';

export type Sink = Answer<'sinks.show'>;
export type SinkKind = Sink['kind'];

/**
 * How a setting of a sink is asked for. The schemas stay at the manager, which checks; a test holds names,
 * defaults and choices here against them (`test/console/sink-fields.spec.ts`).
 */
export interface SinkField {
  readonly key: string;
  readonly label: string;
  readonly hint?: string;
  readonly kind: 'text' | 'number' | 'switch' | 'choice' | 'lines' | 'secret' | 'secret-lines';
  /** As the manager takes it when nothing is given. */
  readonly initial?: string | number | boolean;
  readonly choices?: readonly string[];
  readonly isRequired?: boolean;
  readonly placeholder?: string;
  /** Asked for behind "More settings". */
  readonly isRare?: boolean;
}

export interface SinkKindWords {
  readonly title: string;
  readonly meaning: string;
  readonly config: readonly SinkField[];
  readonly credentials: readonly SinkField[];
}

const FORMATS = ['json', 'ecs', 'ocsf', 'cef', 'leef', 'cloudevents'];
const format = (choices: readonly string[]): SinkField => ({
  key: 'format',
  label: 'Format',
  kind: 'choice',
  initial: 'json',
  choices,
});
const url = (hint: string, placeholder: string): SinkField => ({
  key: 'url',
  label: 'Address',
  hint,
  kind: 'text',
  isRequired: true,
  placeholder,
});
const batch = (initial: number, hint = 'At most, in one request.'): SinkField => ({
  key: 'batch_max',
  label: 'Events in a request',
  hint,
  kind: 'number',
  initial,
  isRare: true,
});
const TLS: readonly SinkField[] = [
  {
    key: 'ca_pem',
    label: 'Authority to trust (PEM)',
    hint: 'Left empty: the usual ones.',
    kind: 'lines',
    isRare: true,
  },
  {
    key: 'pin_sha256',
    label: 'Pinned public key (SHA-256, base64)',
    hint: 'This key and no other.',
    kind: 'text',
    isRare: true,
  },
];

export const SINK_KIND_WORDS: Readonly<Record<SinkKind, SinkKindWords>> = {
  webhook: {
    title: 'Webhook',
    meaning: 'POST requests with signatures of Standard Webhooks, for programs of your own.',
    config: [
      url('Where the requests go.', 'https://soc.example/hooks/bellwether'),
      format(['json', 'ecs', 'ocsf', 'cloudevents']),
      batch(100, 'At most; 1: each request is one event, not a list of one.'),
      ...TLS,
    ],
    credentials: [
      {
        key: 'secret',
        label: 'Signing secret',
        hint: 'Left empty, one is made and shown once.',
        kind: 'secret',
        placeholder: 'whsec_…',
        isRare: true,
      },
      {
        key: 'authorization',
        label: 'Authorization header',
        hint: 'For receivers that want one besides the signature.',
        kind: 'secret',
        isRare: true,
      },
    ],
  },
  syslog: {
    title: 'Syslog',
    meaning: 'RFC 5424 over TLS, TCP or UDP, for rsyslog, syslog-ng and most SIEMs.',
    config: [
      { key: 'host', label: 'Host', kind: 'text', isRequired: true, placeholder: 'logs.example' },
      { key: 'port', label: 'Port', kind: 'number', initial: 6_514 },
      {
        key: 'transport',
        label: 'Transport',
        kind: 'choice',
        initial: 'tls',
        choices: ['tls', 'tcp', 'udp'],
      },
      format(FORMATS),
      {
        key: 'facility',
        label: 'Facility',
        kind: 'choice',
        initial: 'local0',
        choices: [
          'user',
          'daemon',
          'auth',
          'authpriv',
          'audit',
          'alert',
          'local0',
          'local1',
          'local2',
          'local3',
          'local4',
          'local5',
          'local6',
          'local7',
        ],
        isRare: true,
      },
      {
        key: 'confirm',
        label: 'Counts as delivered',
        hint: 'close: when the receiver, having read all, closed the connection; sent: when it was handed to the network.',
        kind: 'choice',
        initial: 'close',
        choices: ['close', 'sent'],
        isRare: true,
      },
      {
        key: 'server_name',
        label: 'Name in the certificate',
        hint: 'When it is not the host.',
        kind: 'text',
        isRare: true,
      },
      {
        key: 'message_bytes_max',
        label: 'Largest message (bytes)',
        hint: 'Larger ones become dead letters. Left empty: 65,536; with UDP 2,048.',
        kind: 'number',
        isRare: true,
      },
      ...TLS,
    ],
    credentials: [
      {
        key: 'client_cert_pem',
        label: 'Client certificate (PEM)',
        hint: 'For receivers that ask who is calling.',
        kind: 'secret-lines',
        isRare: true,
      },
      { key: 'client_key_pem', label: 'Client key (PEM)', kind: 'secret-lines', isRare: true },
    ],
  },
  splunk: {
    title: 'Splunk',
    meaning: 'HTTP Event Collector; delivered when the indexers have acknowledged.',
    config: [
      url('Scheme, host and port; the path is added.', 'https://splunk.example:8088'),
      format(['json', 'ecs', 'ocsf']),
      { key: 'index', label: 'Index', hint: 'Left empty: that of the token.', kind: 'text' },
      { key: 'source', label: 'Source', kind: 'text', initial: 'bellwether', isRare: true },
      {
        key: 'sourcetype',
        label: 'Source type',
        kind: 'text',
        initial: 'bellwether:event',
        isRare: true,
      },
      {
        key: 'acknowledge',
        label: 'Wait for the indexers to acknowledge',
        kind: 'switch',
        initial: true,
      },
      batch(200),
      ...TLS,
    ],
    credentials: [{ key: 'token', label: 'HEC token', kind: 'secret', isRequired: true }],
  },
  elasticsearch: {
    title: 'Elasticsearch or OpenSearch',
    meaning: 'Documents in ECS in a data stream, each once by its id.',
    config: [
      url('Scheme, host and port, and a path when there is one.', 'https://elastic.example:9200'),
      {
        key: 'data_stream',
        label: 'Data stream',
        hint: 'type-dataset-namespace',
        kind: 'text',
        initial: 'logs-bellwether.events-default',
      },
      batch(500),
      ...TLS,
    ],
    credentials: [
      { key: 'api_key', label: 'API key', hint: 'Or user name and password.', kind: 'secret' },
      { key: 'username', label: 'User name', kind: 'text', isRare: true },
      { key: 'password', label: 'Password', kind: 'secret', isRare: true },
    ],
  },
  file: {
    title: 'File',
    meaning: 'Lines in a file on the manager, with rotation. For super admins.',
    config: [
      {
        key: 'path',
        label: 'Path',
        hint: 'Below the directory of sink files of the manager; folders must exist.',
        kind: 'text',
        isRequired: true,
        placeholder: 'events.ndjson',
      },
      format(FORMATS),
      {
        key: 'rotate_bytes',
        label: 'Rotate at (bytes)',
        kind: 'number',
        initial: 104_857_600,
        isRare: true,
      },
      {
        key: 'rotate_files',
        label: 'Older files that are kept',
        kind: 'number',
        initial: 10,
        isRare: true,
      },
    ],
    credentials: [],
  },
};

/** What was typed or chosen: empty text is nothing. */
export type FieldValues = Readonly<Record<string, string | boolean>>;

export const initialValues = (fields: readonly SinkField[]): FieldValues =>
  Object.fromEntries(
    fields.map(({ key, initial = '' }) => [
      key,
      typeof initial === 'boolean' ? initial : String(initial),
    ]),
  );

/** As the manager wants it. What is empty is left out, or `null`, which takes a setting away. */
export function valuesToSend(
  fields: readonly SinkField[],
  values: FieldValues,
  isChange = false,
): Record<string, unknown> {
  const sent: Record<string, unknown> = {};
  for (const { key, kind } of fields) {
    const value = values[key];
    if (value === undefined || value === '') {
      if (isChange) sent[key] = null;
    } else if (kind === 'number' && typeof value === 'string') {
      // What is no number goes as it is: the manager says what is wrong with it.
      sent[key] = Number.isNaN(Number(value)) ? value : Number(value);
    } else sent[key] = value;
  }
  return sent;
}
