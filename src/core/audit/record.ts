import { canonicalJson, type JsonValue } from '../kernel/index.js';

/** What one entry says, as it is shown, exported and hashed: one form for all three. */
export interface AuditRecord {
  readonly id: number;
  /** RFC 3339 in UTC with milliseconds. */
  readonly at: string;
  readonly actor_kind: string;
  readonly actor_id: string;
  readonly actor_name: string;
  readonly action: string;
  readonly target_kind: string;
  readonly target_id: string;
  readonly group_id: string | null;
  readonly outcome: string;
  readonly details: Readonly<Record<string, unknown>>;
  readonly request_id: string;
  readonly ip: string;
  readonly user_agent: string;
}

/** Every field of an entry; a test holds it against the schema of the interface. */
export const RECORD_FIELDS = [
  'id',
  'at',
  'actor_kind',
  'actor_id',
  'actor_name',
  'action',
  'target_kind',
  'target_id',
  'group_id',
  'outcome',
  'details',
  'request_id',
  'ip',
  'user_agent',
] as const satisfies readonly (keyof AuditRecord)[];

/**
 * The leaf of an entry: its canonical JSON. The same line stands in an export, so whoever has one
 * can hash it without knowing what it means.
 */
export function leafOf(record: AuditRecord): string {
  const fields = RECORD_FIELDS.map((name) => [name, record[name] as JsonValue]);
  return canonicalJson(Object.fromEntries(fields) as JsonValue);
}

/** Longer text is cut: an entry is kept for ever and copied into every export. */
const TEXT_MAX = 256;
const DETAIL_TEXT_MAX = 1_000;
const DETAILS_BYTES_MAX = 8 * 1_024;
const DEPTH_MAX = 4;
const LIST_MAX = 100;

const SECRET_NAME = /passw|secret|authorization|cookie|credential|private_?key|recovery_code/i;
/**
 * Our own credentials (`bwt_…`, `bws_…`), JSON web tokens, and private keys in PEM. A token is looked for
 * once in each run of its letters, not from each of them: strangers write what is searched here, and the
 * time must grow with its length alone.
 */
const SECRET_TEXT =
  /\bbw[a-z]_[0-9a-z]{30,}|(?<![\w-])(?=[\w-]*eyJ)[\w-]{11,}\.[\w-]{8,}\.[\w-]{8,}|-----BEGIN [A-Z ]*PRIVATE KEY/;
export const REDACTED = '[redacted]';

/** Without what a database would change or a terminal obey: the hash covers what is stored. */
export function cleanText(text: string, max = TEXT_MAX): string {
  const said = redacted(text);
  // Nearly always: nothing to mend.
  if (said.length <= max && /^[\u0020-\u007e]*$/.test(said)) return said;
  return said
    .toWellFormed()
    .replace(/[\u0000-\u001f\u007f-\u009f]/g, '\ufffd')
    .slice(0, max)
    .toWellFormed();
}

const redacted = (text: string): string => (SECRET_TEXT.test(text) ? REDACTED : text);

/**
 * Details as they may be kept for ever: secrets by name or by look are taken out, numbers with a
 * fraction become text (they have more than one spelling), and what is too much is cut, with a mark.
 */
export function cleanDetails(
  details: Readonly<Record<string, JsonValue | undefined>>,
): Readonly<Record<string, JsonValue>> {
  const clean = cleanObject(details, DEPTH_MAX);
  const bytes = Buffer.byteLength(JSON.stringify(clean));
  if (bytes <= DETAILS_BYTES_MAX) return clean;
  const kept = Object.entries(clean).filter(([, value]) => typeof value !== 'object');
  const short = kept
    .slice(0, LIST_MAX / 4)
    .map(([name, value]) => [name, typeof value === 'string' ? cleanText(value, 64) : value]);
  return { ...(Object.fromEntries(short) as Record<string, JsonValue>), cut_bytes: bytes };
}

function cleanObject(
  value: { readonly [key: string]: JsonValue | undefined },
  depth: number,
): Record<string, JsonValue> {
  const members = Object.entries(value)
    .filter(([, member]) => member !== undefined)
    .slice(0, LIST_MAX)
    .map(([name, member]): [string, JsonValue] => [
      cleanText(name, 64),
      SECRET_NAME.test(name) ? REDACTED : cleanValue(member ?? null, depth - 1),
    ]);
  return Object.fromEntries(members);
}

function cleanValue(value: JsonValue, depth: number): JsonValue {
  if (typeof value === 'string') return cleanText(value, DETAIL_TEXT_MAX);
  if (typeof value === 'number') return Number.isSafeInteger(value) ? value + 0 : String(value);
  if (value === null || typeof value === 'boolean') return value;
  if (depth <= 0) return '[nested too deep]';
  if (isList(value)) return value.slice(0, LIST_MAX).map((item) => cleanValue(item, depth - 1));
  return cleanObject(value, depth);
}

const isList = (value: JsonValue): value is readonly JsonValue[] => Array.isArray(value);
