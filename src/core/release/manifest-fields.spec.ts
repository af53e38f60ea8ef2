import { describe, expect, it } from 'vitest';
import { canonicalJson, type JsonValue } from '../kernel/index.js';
import { parseManifest } from './index.js';

/** Every field that there is. */
const FULL = {
  schema: 'bellwether.manifest.v1',
  product: 'edge',
  version: '1.4.0',
  channel: 'stable',
  released_at: '2026-11-20T08:00:00Z',
  sequence: 14,
  expires_at: '2027-11-20T08:00:00Z',
  notes: 'Less memory.',
  compatibility: {
    min_from: '1.2.0',
    major_hops_max: 1,
    state_schema: { min: 3, max: 4 },
  },
  artifacts: [
    {
      os: 'linux',
      arch: 'x64',
      variant: 'default',
      format: 'tar.gz',
      file: 'a.tar.gz',
      url: 'https://releases.example.com/edge/1.4.0/a.tar.gz',
      size: 100,
      sha256: 'a'.repeat(64),
      content: { size: 300, sha256: 'd'.repeat(64) },
    },
  ],
  image: { reference: 'registry.example.com/fleet/edge', digest: `sha256:${'e'.repeat(64)}` },
  deltas: [
    {
      os: 'linux',
      arch: 'x64',
      variant: 'default',
      format: 'bellwether.delta.v1',
      from_version: '1.3.0',
      from_sha256: 'b'.repeat(64),
      file: 'a-from-1.3.0.delta',
      size: 10,
      sha256: 'c'.repeat(64),
    },
  ],
};

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
    expect(parse(canonicalJson(FULL))).toMatchObject({ ok: true });
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
      const mayBe = (Array.isArray(wrong) && name === 'deltas') || name === 'compatibility';
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
    const text = canonicalJson(FULL);
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
    expectRefusal(canonicalJson(FULL).replace('"Less memory."', deep.slice(0, 800_000)));
  });
});
