import { readFile } from 'node:fs/promises';
import { SINK_KINDS, type Call } from '../../protocol/api/index.js';
import { SEVERITIES } from '../../protocol/index.js';
import { FleetError } from '../../core/kernel/index.js';
import { usageError, type Given, type OptionSpec } from '../command.js';
import { oneOf, Pair, Words } from '../values.js';

/** Settings that have an option of their own; the others are given with `--set`. */
const SETTINGS = ['url', 'host', 'port', 'transport', 'path', 'format'] as const;

/** What can be said of a sink when it is made and when it is changed. */
export const SETTING_OPTIONS: Readonly<Record<string, OptionSpec>> = {
  url: { value: 'URL', help: 'address of a webhook, Splunk or Elasticsearch' },
  host: { value: 'HOST', help: 'of a syslog server' },
  port: { value: 'N', help: 'of a syslog server (default 6514)' },
  transport: { value: 'T', help: 'of syslog: tls (default), tcp, udp' },
  path: { value: 'PATH', help: 'of a file, below the directory of sink files' },
  format: { value: 'F', help: 'json, ecs, ocsf, cef, leef, cloudevents' },
  set: { value: 'KEY=VALUE', help: 'any other setting, see docs/sinks.md', isMultiple: true },
  'ca-file': { value: 'FILE', help: 'certificates (PEM): whom to trust there, and nobody else' },
  credential: {
    value: 'NAME=FILE',
    help: 'a credential, read from a file: secret, token, api_key, password …',
    isMultiple: true,
  },
  categories: { value: 'LIST', help: 'only these, such as upgrade,alert' },
  types: { value: 'LIST', help: 'only these types of events' },
  codes: { value: 'LIST', help: 'only events with one of these error codes' },
  groups: { value: 'LIST', help: 'only of these groups and all below them' },
  'min-severity': { value: 'S', help: SEVERITIES.join(', ') },
  alerts: { help: 'only alerts: the same as --categories alert' },
};

type Config = Record<string, unknown>;

/** Numbers and switches as such; everything else is text. */
const valueOf = (text: string): unknown => {
  if (text === 'true' || text === 'false') return text === 'true';
  return /^\d{1,15}$/.test(text) ? Number(text) : text;
};

const pairOf = (option: string, text: string): [string, string] => {
  const read = Pair.safeParse(text);
  if (!read.success) throw usageError(`--${option} ${text}: give KEY=VALUE`);
  return read.data;
};

async function readText(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    throw new FleetError('local_file_failed', `${path} cannot be read`, { cause: error });
  }
}

/** The settings that were given; null when none was. */
export async function configOf(given: Given): Promise<Config | null> {
  const config: Config = {};
  for (const name of SETTINGS) {
    const text = given.optional(name);
    if (text !== undefined) config[name] = name === 'port' ? valueOf(text) : text;
  }
  for (const text of given.list('set')) {
    const [key, value] = pairOf('set', text);
    config[key] = value === '' ? null : valueOf(value);
  }
  const ca = given.optional('ca-file');
  if (ca !== undefined) config['ca_pem'] = await readText(ca);
  return Object.keys(config).length === 0 ? null : config;
}

/** Read from files: what stands on a command line can be read by others on the machine. */
export async function credentialsOf(given: Given): Promise<Config | null> {
  const credentials: Config = {};
  for (const text of given.list('credential')) {
    const [name, file] = pairOf('credential', text);
    const read = await readText(file);
    // A certificate keeps its lines; of a password the last line end is not meant.
    credentials[name] = name.endsWith('_pem') ? read : read.trim();
  }
  return Object.keys(credentials).length === 0 ? null : credentials;
}

type Filter = NonNullable<Call<'sinks.create'>['body']['filter']>;

export function filterOf(given: Given): Filter | null {
  const categories = given.isSet('alerts') ? ['alert'] : given.read('categories', Words);
  const filter = {
    categories: categories ?? null,
    types: given.read('types', Words) ?? null,
    error_codes: given.read('codes', Words) ?? null,
    min_severity: given.read('min-severity', oneOf(SEVERITIES)) ?? null,
    groups: given.read('groups', Words) ?? null,
  };
  return Object.values(filter).every((value) => value === null) ? null : filter;
}

export const Kind = oneOf(SINK_KINDS);
