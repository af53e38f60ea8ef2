export type JsonValue =
  | null
  | boolean
  | number
  | string
  | readonly JsonValue[]
  | { readonly [key: string]: JsonValue | undefined };

const isList = (value: JsonValue): value is readonly JsonValue[] => Array.isArray(value);

/**
 * The one text of a value: keys sorted by code unit, no white space, no `undefined`. Two equal
 * values give equal bytes, so that a signature over them has one meaning. Numbers must be safe
 * integers: floats have more than one honest spelling and are refused with a RangeError.
 */
export function canonicalJson(value: JsonValue): string {
  if (value === null || typeof value === 'boolean') return String(value);
  if (typeof value === 'string') return JSON.stringify(value);
  if (typeof value === 'number') {
    if (!Number.isSafeInteger(value)) {
      throw new RangeError(`canonical JSON holds safe integers only, not ${value}`);
    }
    return String(value);
  }
  if (isList(value)) return `[${value.map((item) => canonicalJson(item)).join(',')}]`;
  const members: string[] = [];
  for (const key of Object.keys(value).sort()) {
    const member = value[key];
    if (member !== undefined) members.push(`${JSON.stringify(key)}:${canonicalJson(member)}`);
  }
  return `{${members.join(',')}}`;
}
