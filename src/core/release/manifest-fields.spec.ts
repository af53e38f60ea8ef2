import { describe, expect, it } from 'vitest';
import { canonicalJson, type JsonValue } from '../kernel/index.js';
import { FULL as MANIFEST } from '../../../test/support/release/manifests.js';
import { parseManifest } from './index.js';

const FULL: object = { ...MANIFEST, notes: 'Less memory.' };

/** What may be left out. `content` may too, but not by a release with deltas. */
const OPTIONAL = new Set([
  'expires_at',
  'notes',
  'compatibility',
  'compatibility.min_from',
  'compatibility.major_hops_max',
  'compatibility.state_schema',
  'artifacts.0.url',
  'image',
  'deltas',
]);

type Path = readonly string[];
type Tree = Record<string, unknown>;

function pathsOf(value: unknown, at: Path = []): Path[] {
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, below]) => [
    [...at, key],
    ...pathsOf(below, [...at, key]),
  ]);
}
const PATHS = pathsOf(FULL).map((path) => ({ path, name: path.join('.') }));
const FIELDS = PATHS.filter(({ name }) => !/\d$/.test(name));

/** A copy in which `change` was let loose on what holds the last word of the path. */
function changed(path: Path, change: (holder: Tree, key: string) => void): string {
  const copy = structuredClone(FULL) as Tree;
  const holder = path.slice(0, -1).reduce<Tree>((tree, key) => tree[key] as Tree, copy);
  change(holder, path.at(-1) ?? '');
  return canonicalJson(copy as JsonValue);
}
const parse = (text: string) => parseManifest(new TextEncoder().encode(text));
function expectRefusal(text: string, ...words: readonly string[]): void {
  const parsed = parse(text);
  expect(parsed).toMatchObject({ ok: false, error: { code: 'upgrade_manifest_invalid' } });
  for (const word of words) expect(parsed.ok ? '' : parsed.error.message).toContain(word);
}
const at = (path: Path): unknown => path.reduce<unknown>((tree, key) => (tree as Tree)[key], FULL);

describe('each field of a manifest', () => {
  it('is here', () => {
    expect(parse(canonicalJson(FULL as JsonValue))).toMatchObject({ ok: true });
    expect(FIELDS.length).toBeGreaterThan(30);
  });

  it.each(FIELDS)('$name: missing', ({ path, name }) => {
    const text = changed(path, (holder, key) => {
      Reflect.deleteProperty(holder, key);
    });
    if (OPTIONAL.has(name)) expect(parse(text)).toMatchObject({ ok: true });
    else if (name === 'artifacts.0.content') expectRefusal(text, 'deltas');
    else expectRefusal(text, name);
  });

  it.each(PATHS)('$name: of another type', ({ path, name }) => {
    const is = typeof at(path);
    for (const wrong of [null, true, 7, 'x', [], {}, [[]], { a: 1 }]) {
      // 7 may be a number of bytes; what is a number stays one here.
      if (typeof wrong === is && is !== 'object') continue;
      const text = changed(path, (holder, key) => {
        holder[key] = wrong;
      });
      const mayBe =
        (Array.isArray(wrong) && ['deltas', 'artifacts'].includes(name)) ||
        name === 'compatibility';
      if (mayBe && JSON.stringify(wrong).length === 2) continue;
      expectRefusal(text, name.replace(/\.0$/, ''));
    }
  });

  it.each(PATHS)('$name: too long or out of range', ({ path, name }) => {
    const value = at(path);
    const wrongs: unknown[] =
      typeof value === 'string'
        ? [value + 'x'.repeat(20_000), '', `${value}\n`, ` ${value}`, `${value}\u0000`]
        : typeof value === 'number'
          ? [-1, 1.5, Number.MAX_SAFE_INTEGER, 1e300]
          : Array.isArray(value)
            ? [Array.from({ length: 1_025 }, () => value[0] as unknown)]
            : [];
    for (const wrong of wrongs) {
      // Free text may be anything that is short, and a sequence any whole number.
      if (name === 'notes' && String(wrong).length < 16_000) continue;
      if (name === 'sequence' && wrong === Number.MAX_SAFE_INTEGER) continue;
      const isFraction = wrong === 1.5 || wrong === 1e300;
      const text = changed(path, (holder, key) => {
        holder[key] = isFraction ? 424_242 : wrong;
      });
      // What is wrong between `min` and `max` is told of both.
      // White space around an address is taken away by whoever reads it: the rest is not canonical.
      const place = name.endsWith('url') ? '' : name.replace(/\.min$/, '');
      expectRefusal(isFraction ? text.replace('424242', String(wrong)) : text, place);
    }
  });

  it.each(FIELDS)('$name: twice in one object', ({ path, name }) => {
    const key = path.at(-1) ?? '';
    const once = canonicalJson({ [key]: at(path) as JsonValue }).slice(1, -1);
    const text = canonicalJson(FULL as JsonValue);
    // The second one has another value, which one reader would take and another not.
    const twice = text.replace(once, `${once},"${key}":null`);
    expect(twice, name).not.toBe(text);
    expectRefusal(twice);
    expectRefusal(text.replace(once, `${once},${once}`), 'canonical');
  });

  it.each([
    [],
    ...PATHS.filter(({ path }) => typeof at(path) === 'object').map(({ path }) => path),
  ])('an unknown field beside those of %j', (...path) => {
    const isList = Array.isArray(at(path));
    const text = changed([...(path as Path), 'more'], (holder, key) => {
      if (!isList) holder[key] = 1;
      else (holder as unknown as unknown[]).push({ more: 1 });
    });
    expectRefusal(text, 'more');
  });

  it('a nest of lists is refused and does not overflow', () => {
    const deep = '['.repeat(500_000) + ']'.repeat(500_000);
    expectRefusal(deep);
    expectRefusal(
      canonicalJson(FULL as JsonValue).replace('"Less memory."', deep.slice(0, 800_000)),
    );
  });
});
