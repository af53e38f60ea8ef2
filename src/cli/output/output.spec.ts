import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { recordingTerminal } from '../../../test/support/recording-terminal.js';
import { changesBetween, partsByColumns, partsByPath } from './changes.js';
import { namesText, textForPrograms } from './forms.js';
import {
  cut,
  distance,
  facts,
  jsonText,
  lookOf,
  makeCanvas,
  painted,
  plain,
  render,
  spanInShort,
  table,
  width,
  yamlText,
  type Column,
  type Look,
} from './index.js';
import { sorted } from './sorting.js';

interface Row {
  readonly id: string;
  readonly name: string | null;
  readonly at: string;
  readonly state: string;
}
const NOW = Date.parse('2026-11-21T12:00:00Z');
const COLUMNS: readonly Column<Row>[] = [
  ['id', (row) => row.id],
  ['name', (row) => row.name],
  ['state', (row) => row.state, 'state'],
  ['last seen', (row) => row.at, 'time'],
  ['exact', (row) => row.at, 'wide-time'],
];
const row = (id: string, name: string | null, more: Partial<Row> = {}): Row => ({
  id,
  name,
  at: '2026-11-21T11:57:00Z',
  state: 'online',
  ...more,
});
const look = (change: Partial<Look> = {}): Look => ({
  ...lookOf(recordingTerminal({}, { now: () => NOW })),
  ...change,
});
const shown = (rows: readonly Row[], change: Partial<Look> = {}): string[] =>
  render(table(rows, COLUMNS, 'no rows'), look(change))
    .split('\n')
    .slice(0, -1);

describe('a table', () => {
  it('tells times from now, and exactly and with more columns when it is wide', () => {
    expect(shown([row('a', 'x')])).toEqual([
      'ID  NAME  STATE   LAST SEEN',
      'a   x     online  3m ago',
    ]);
    expect(shown([row('a', 'x')], { isWide: true })[1]).toBe(
      'a   x     online  2026-11-21T11:57:00Z  2026-11-21T11:57:00Z',
    );
  });

  it('shows the columns that are wanted, in their order, without headings if so asked', () => {
    expect(shown([row('a', 'x')], { columns: ['exact', 'id'], hasHeadings: false })).toEqual([
      '3m ago  a',
    ]);
    expect(shown([row('a', 'x')], { columns: ['Last-Seen'] })[0]).toBe('LAST SEEN');
    expect(() => shown([row('a', 'x')], { columns: ['nam'] })).toThrow('there is no column nam');
    expect(() => shown([], { columns: ['nam'] })).toThrow('there is no column nam');
  });

  it('is one sentence when it is empty', () => {
    expect(shown([])).toEqual(['no rows']);
  });

  it('fits into the terminal by cutting what is widest, but never an id', () => {
    const long = row('nod_0123456789abcdef', 'x'.repeat(200));
    for (const cells of [50, 60, 80, 120]) {
      const lines = shown([long, row('b', null)], { cells });
      expect(Math.max(...lines.map(width))).toBeLessThanOrEqual(cells);
      expect(lines[1]).toContain(long.id);
      expect(lines[1]).toContain('…');
    }
    expect(shown([long], { cells: 10 })[1]).toContain(long.id);
    expect(shown([long])[1]).toContain(long.name);
  });

  it('stays aligned with wide signs, emoji of several parts, accents and marks', () => {
    const names = ['漢字', '👩‍👩‍👧‍👦', 'e\u0301', '🇩🇪', '❤️', 'ﬀ', 'abc'];
    const lines = shown(names.map((name) => row('a', name)));
    const place = (line: string): number => width(line.slice(0, line.indexOf('online')));
    expect(new Set(lines.slice(1).map(place)).size).toBe(1);
    expect(names.map(width)).toEqual([4, 2, 1, 2, 2, 1, 3]);
  });

  it('keeps text from right to left within its cell, on a terminal only', () => {
    const hebrew = 'שרת';
    expect(shown([row('a', hebrew)], { cells: 80 })[1]).toContain(`\u2068${hebrew}\u2069`);
    expect(shown([row('a', hebrew)])[1]).not.toContain('\u2068');
  });

  it('shows nothing that would steer a terminal, in any form', () => {
    const evil = 'a\u001b[2Jb\u009b31mc\rd\u202ee\u2066f\u2028g\u0007';
    const rows = [row('a', evil)];
    for (const text of [
      shown(rows).join(''),
      shown(rows, { isWide: true, cells: 80 }).join(''),
      render(facts([['name', evil]]), look()),
      jsonText({ items: rows }),
      yamlText({ items: rows, [evil]: evil }),
      namesText({ items: [{ id: evil }] }),
    ]) {
      expect(text).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u2028\u202e\u2066]/);
    }
    expect(JSON.parse(jsonText({ evil }))).toEqual({ evil });
    expect(parse(yamlText({ [evil]: [evil] }))).toEqual({ [evil]: [evil] });
  });

  it('has colours only where a person looks, and wants them', () => {
    const screen = { columns: () => 80, rows: () => 24 };
    const colours = (env: Record<string, string>, isTerminal = true): boolean =>
      lookOf(recordingTerminal(env, isTerminal ? { screen } : {})).hasColours;
    expect(colours({})).toBe(true);
    expect(colours({ NO_COLOR: '1' })).toBe(false);
    expect(colours({ NO_COLOR: '' })).toBe(true);
    expect(colours({ TERM: 'dumb' })).toBe(false);
    expect(colours({}, false)).toBe(false);
    const [, line] = shown([row('a', 'x')], { hasColours: true, cells: 80 });
    expect(line).toContain('\u001b[32monline\u001b[0m');
    expect(painted('x', 'red', look())).toBe('x');
  });
});

describe('forms for programs', () => {
  it('are JSON, YAML, and names one a line', () => {
    const result = { items: [row('a', 'x'), row('b', null)], more: false };
    expect(JSON.parse(textForPrograms('json', result) ?? '')).toEqual(result);
    expect(parse(textForPrograms('yaml', result) ?? '')).toEqual(result);
    expect(textForPrograms('name', result)).toBe('a\nb\n');
    expect(textForPrograms('name', { node_id: 'nod_1', name: 'x' })).toBe('nod_1\n');
    expect(textForPrograms('table', result)).toBeNull();
    expect(namesText({ count: 3 })).toBe('');
  });

  it('keep texts that YAML would read as something else', () => {
    const odd = { a: 'yes', b: '1.10', c: 'null', d: '2026-11-21', e: '- x', f: 'a: b', g: '' };
    expect(parse(yamlText(odd))).toEqual(odd);
  });
});

describe('sorting', () => {
  const rows = [row('b', '1.10.0'), row('a', null), row('c', '1.9.0'), row('d', '1.9.0')];
  const ids = (by: string): string =>
    sorted(rows, COLUMNS, by)
      .map(({ id }) => id)
      .join('');
  it('takes columns, ways and numbers inside of text; nothing comes last', () => {
    expect([ids('id'), ids('id:desc'), ids('name'), ids('name:desc'), ids('name,id:desc')]).toEqual(
      ['abcd', 'dcba', 'cdba', 'bcda', 'dcba'],
    );
    expect(sorted(rows, COLUMNS, undefined)).toBe(rows);
    for (const wrong of ['nam', 'id:up', 'id:desc:x', '']) expect(() => ids(wrong)).toThrow();
  });
});

describe('watching', () => {
  it('tells what came, went and changed, but not that time passes', () => {
    const before = [row('a', 'x'), row('b', 'y')];
    const after = [row('c', 'z'), row('a', 'x', { state: 'offline', at: '2026-11-21T11:59:00Z' })];
    const how = { idOf: ({ id }: Row) => id, partsOf: partsByColumns(COLUMNS) };
    const told = changesBetween(before, after, how).map(({ change, id, words }) => [
      change,
      id,
      ...words,
    ]);
    expect(told).toEqual([
      ['added', 'c'],
      ['changed', 'a', 'state: online → offline'],
      ['gone', 'b'],
    ]);
    const paths = { idOf: () => 'it', partsOf: partsByPath };
    const [change] = changesBetween(
      [{ a: { b: 1, last_seen_at: 'x' }, c: [1] }],
      [{ a: { b: 2, last_seen_at: 'y' }, c: [] }],
      paths,
    );
    expect(change?.words).toEqual(['a.b: 1 → 2', 'c.0: 1 → -']);
  });

  it('draws in place, only when something is new, and never more than the screen holds', () => {
    const written: string[] = [];
    const canvas = makeCanvas(
      (text) => written.push(text),
      () => 5,
    );
    canvas.draw('a\nb\n');
    canvas.draw('a\nb\n');
    canvas.draw('1\n2\n3\n4\n5\n6\n');
    canvas.clear();
    expect(written).toEqual([
      'a\nb\n',
      '\u001b[2A\r\u001b[J1\n2\n3\n(3 more lines)\n',
      '\u001b[4A\r\u001b[J',
    ]);
  });
});

it('tells time spans in a few letters', () => {
  const cases: readonly (readonly [number, string])[] = [
    [0, '0s'],
    [59_999, '59s'],
    [61_000, '1m 1s'],
    [600_000, '10m'],
    [4_800_000, '1h 20m'],
    [104_400_000, '1d 5h'],
    [1_036_800_000, '12d'],
    [-5, '0s'],
  ];
  for (const [ms, words] of cases) expect(spanInShort(ms)).toBe(words);
  const now = Date.parse('2026-11-21T12:00:00Z');
  expect(distance('2026-11-21T12:02:00Z', now)).toBe('in 2m');
  expect(distance('2026-11-21T12:00:00.400Z', now)).toBe('now');
  expect(distance('not a moment', now)).toBe('not a moment');
});

it('cuts between signs and says so', () => {
  expect(cut('abcdef', 4)).toBe('abc…');
  expect(cut('漢字漢字', 4)).toBe('漢…');
  expect(cut('👩‍👩‍👧‍👦👩‍👩‍👧‍👦', 3)).toBe('👩‍👩‍👧‍👦…');
  expect(cut('abc', 3)).toBe('abc');
  expect(plain('a\tb')).toBe('a\ufffdb');
});
