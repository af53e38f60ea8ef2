import { z } from 'zod';
import type { RouteName } from '../../../protocol/api/index.js';

type Json = Readonly<Record<string, unknown>>;

const DIGEST = '9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08';
const AT = '2026-11-20T08:00:00Z';

/** What people would write there, by the name of the field. */
const BY_NAME: Json = {
  id: 'grp_default',
  node_id: 'nod_5v6sdh9ive67spnpg6',
  group_id: 'grp_default',
  parent_id: 'grp_default',
  rollout_id: 'rol_7hq2m4k9w1x8c3v5b6',
  release_id: 'rel_4k9w1x8c3v5b67hq2m',
  command_id: 'cmd_1x8c3v5b67hq2m4k9w',
  name: 'edge-fra-01',
  node_name: 'edge-fra-01',
  product: 'edge',
  service: 'edge',
  version: '1.4.0',
  newest: '1.4.0',
  from_version: '1.3.2',
  to_version: '1.4.0',
  target_version: '1.4.0',
  previous_version: '1.3.2',
  start_version: '1.3.2',
  pin: '1.4.0',
  agent_version: '0.1.0',
  policy_digest: '9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08',
  channel: 'stable',
  login: 'ann',
  password: 'seven-blue-anvils-sing',
  current: 'seven-blue-anvils-sing',
  new: 'nine-green-kettles-hum',
  code: '123456',
  sha256: DIGEST,
  digest: DIGEST,
  manifest_sha256: DIGEST,
  time_zone: 'Europe/Berlin',
  start: '22:30',
  ring: 'canary',
  message: 'Rollout of edge 1.4.0 started',
  request_id: 'req_5v6sdh9ive67spnpg6',
  ip: '192.0.2.7',
  user_agent: 'bellwether/0.1.0',
  hostname: 'edge-fra-01',
  kernel: '6.12.9',
  reason: 'a fix for CVE-2026-0001',
  note: 'maintenance of the site',
  setup_token: 'bws_0000000000000000',
  token: 'bwe_0000000000000000000000000000000000000000',
  public_key: 'A'.repeat(43),
  proof: 'A'.repeat(86),
  sort: 'enrolled_at',
  url: 'https://releases.example.com/edge/1.4.0.tar.gz',
};

/** By what a field must look like, where its name says nothing. */
const BY_PATTERN: Readonly<Record<string, string>> = {
  '^[a-z]{2,8}_[0-9a-z]{6,40}$': 'usr_5v6sdh9ive67spnpg6',
  '^[0-9a-f]{64}$': DIGEST,
  '^[0-9a-f]{128}$': DIGEST + DIGEST,
  '^[A-Za-z0-9+/]{43}=$': 'n4bQgYhMfWWaL+qgxVrQFaO/TxsrC4Is0V1sFbDwCgg=',
  '^[A-Za-z0-9+/]{43}=?$': 'n4bQgYhMfWWaL+qgxVrQFaO/TxsrC4Is0V1sFbDwCgg=',
};

/** Where a schema checks more than a JSON Schema can say; whole, or a part of what would be made. */
const BODIES: Readonly<Partial<Record<RouteName, Json>>> = {
  'tokens.create': { name: 'pipeline', role: 'operator', group_id: 'grp_default' },
  'groups.change': { name: 'Frankfurt' },
  'groups.freeze': { name: 'year end', from: '2026-12-20T00:00:00Z', to: '2027-01-04T00:00:00Z' },
  'groups.upgrade': { product: 'edge', version: '1.4.0', wave_percents: [10, 50, 100] },
  'nodes.upgrade': { version: '1.4.0', only_online: true },
  'rollouts.create': {
    product: 'edge',
    version: '1.4.0',
    scope: { group_id: 'grp_default', labels: { site: 'fra' } },
    strategy: 'staged',
    wave_percents: [10, 50, 100],
    settle_seconds: 300,
  },
  'rollouts.preview': { product: 'edge', version: '1.4.0', strategy: 'canary', canary_percent: 5 },
  'plans.create': {
    name: 'careful',
    group_id: 'grp_default',
    note: 'ten nodes first, then the rest by night',
    terms: { strategy: 'custom', waves: [{ name: 'first', count: 10 }, { rest: true }] },
  },
  'plans.change': { terms: { strategy: 'staged', wave_percents: [5, 25, 100] } },
  'schedules.create': {
    name: 'nightly',
    group_id: 'grp_default',
    product: 'edge',
    channel: 'stable',
    plan_id: 'pln_5v6sdh9ive67spnpg6',
    window: {
      days: ['mon', 'tue', 'wed', 'thu'],
      start: '22:00',
      duration_minutes: 240,
      time_zone: 'Europe/Berlin',
    },
    when_busy: 'wait',
  },
  'schedules.change': { when_busy: 'supersede' },
  'sinks.create': {
    name: 'SIEM',
    kind: 'webhook',
    config: { url: 'https://siem.example.com/bellwether' },
    filter: { min_severity: 'warning' },
  },
  'invitations.create': { note: 'Kim, night shift', group_id: 'grp_default', role: 'operator' },
  'sinks.rotate_secret': { grace_hours: 24 },
  'sinks.change': { name: 'SIEM of the site' },
  'sinks.backfill': { since: AT },
  'releases.publish': {
    manifest: '{"schema":"bellwether.manifest.v1"}',
    signatures: ['untrusted comment: …'],
  },
};

const isObject = (value: unknown): value is Json => typeof value === 'object' && value !== null;

interface At {
  readonly name: string;
  readonly root: Json;
  readonly depth: number;
}

/** Deeper than any answer of ours; a schema that holds itself ends here. */
const DEPTH_MAX = 12;

function first(options: readonly unknown[], at: At): unknown {
  const meant = options.filter(isObject).find((one) => one['type'] !== 'null');
  return meant === undefined ? null : made(meant, at);
}

function text(schema: Json, { name }: At): string {
  if (schema['format'] === 'date-time') return AT;
  const known = BY_NAME[name];
  if (typeof known === 'string') return known;
  const fitting = BY_PATTERN[String(schema['pattern'])];
  if (fitting !== undefined) return fitting;
  if (schema['format'] === 'uri') return 'https://releases.example.com/edge/1.4.0.tar.gz';
  if (name.endsWith('_at') || name === 'from' || name === 'to' || name === 'at') return AT;
  if (name.endsWith('_by')) return 'ann';
  if (name.endsWith('_id') || name.endsWith('_ids')) return 'nod_5v6sdh9ive67spnpg6';
  const shortest = Number(schema['minLength'] ?? 1);
  return 'text'.padEnd(shortest, 'x');
}

function number(schema: Json): number {
  const least = Number(schema['minimum'] ?? schema['exclusiveMinimum'] ?? 0);
  const most = Number(schema['maximum'] ?? 1);
  return Math.min(Math.max(least, 1), most);
}

function object(schema: Json, at: At): Json {
  const properties = isObject(schema['properties']) ? schema['properties'] : {};
  return Object.fromEntries(
    Object.entries(properties).map(([name, each]) => [
      name,
      made(each as Json, { ...at, name, depth: at.depth + 1 }),
    ]),
  );
}

function array(schema: Json, at: At): unknown[] {
  const item = schema['items'];
  if (Array.isArray(schema['prefixItems'])) {
    return schema['prefixItems'].map((each) => made(each as Json, at));
  }
  return isObject(item) ? [made(item, { ...at, depth: at.depth + 1 })] : [];
}

const BY_TYPE: Readonly<Record<string, (schema: Json, at: At) => unknown>> = {
  string: text,
  integer: number,
  number,
  boolean: () => true,
  null: () => null,
  array,
  object,
};

function made(schema: Json, at: At): unknown {
  if (at.depth > DEPTH_MAX) return null;
  if ('const' in schema) return schema['const'];
  if ('default' in schema) return schema['default'];
  if (Array.isArray(schema['enum'])) return schema['enum'][0];
  const ref = schema['$ref'];
  if (typeof ref === 'string') {
    const defs = at.root['$defs'] as Readonly<Record<string, Json>>;
    return made(defs[ref.slice(ref.lastIndexOf('/') + 1)] ?? {}, { ...at, depth: at.depth + 1 });
  }
  for (const word of ['anyOf', 'oneOf', 'allOf']) {
    const options = schema[word];
    if (Array.isArray(options)) return first(options, at);
  }
  const types = [schema['type']].flat();
  const type = types.find((one) => one !== 'null');
  if (typeof type === 'string') return BY_TYPE[type]?.(schema, at);
  return types[0] === 'null' ? null : {};
}

const schemaOf = (schema: z.ZodType, io: 'input' | 'output'): Json =>
  z.toJSONSchema(schema, { target: 'draft-2020-12', io, unrepresentable: 'any' });

/** An example of a body: one that the route takes, as a spec shows. */
export function bodyExample(name: RouteName, schema: z.ZodType): unknown {
  const known = BODIES[name];
  if (known !== undefined) return known;
  const root = schemaOf(schema, 'input');
  return made(root, { name: '', root, depth: 0 });
}

/** An example of an answer, with every field. */
export function answerExample(schema: z.ZodType): unknown {
  const root = schemaOf(schema, 'output');
  return made(root, { name: '', root, depth: 0 });
}
