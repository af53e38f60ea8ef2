/** A JSON document that a spec takes apart and spoils. */
export type Json = Readonly<Record<string, unknown>>;

/** What stands at a path such as `logs.0.key`. */
export const valueAt = (json: unknown, path: string): unknown =>
  path.split('.').reduce((value, step) => (value as Record<string, unknown>)[step], json);

/** A copy with another value at a path, or without what stood there when no value is given. */
export function changed(json: Json, path: string, value?: unknown): Json {
  const copy = structuredClone(json);
  const steps = path.split('.');
  const last = steps.pop() ?? '';
  const parent = (steps.length === 0 ? copy : valueAt(copy, steps.join('.'))) as Record<
    string,
    unknown
  >;
  const { [last]: before, ...others } = parent;
  if (value === undefined) {
    // A list keeps its form; of an object only the others stay.
    for (const key of Object.keys(parent)) Reflect.deleteProperty(parent, key);
    Object.assign(parent, others);
  } else {
    parent[last] =
      typeof value === 'function' ? (value as (old: unknown) => unknown)(before) : value;
  }
  return copy;
}

/** For `changed`: every member of a list once more. */
export const doubled = (list: unknown): unknown[] => [
  ...(list as unknown[]),
  ...structuredClone(list as unknown[]),
];
