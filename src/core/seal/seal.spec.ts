import { expect, it } from 'vitest';
import {
  EventsVerifier,
  EXPORT_SCHEMA,
  makeSeal,
  NO_SEAL,
  PartHasher,
  type Seal,
  type SealPart,
} from './index.js';

const GROUPS = ['grp_east00', 'grp_west00'];
const lineOf = (id: number): string =>
  JSON.stringify({ id, group_id: GROUPS[id % 2], message: `event ${id}` });

interface Sealed {
  readonly seal: Seal;
  readonly parts: readonly SealPart[];
}

/** Ten events in two segments, and two that no segment has yet. */
function aLog(): Sealed[] {
  const segments: Sealed[] = [];
  for (const [firstId, lastId] of [
    [1, 6],
    [7, 10],
  ] as const) {
    const hasher = new PartHasher();
    for (let id = firstId; id <= lastId; id += 1) hasher.add(GROUPS[id % 2] ?? '', lineOf(id));
    const parts = hasher.end();
    const previous = segments.at(-1)?.seal.hash ?? NO_SEAL;
    segments.push({ seal: makeSeal({ firstId, lastId, previous }, parts), parts });
  }
  return segments;
}

function anExport(groups: readonly string[] | null, after = 0): string[] {
  const seen = (id: number): boolean => groups?.includes(GROUPS[id % 2] ?? '') ?? true;
  const head = { schema: EXPORT_SCHEMA, after, through: 12, sealed: 10, groups };
  const lines = [JSON.stringify(head)];
  for (let id = after + 1; id <= 12; id += 1) {
    if (seen(id)) lines.push(lineOf(id));
    const sealed = aLog().find(({ seal }) => seal.lastId === id);
    if (sealed === undefined) continue;
    const parts = sealed.parts.filter(({ groupId }) => groups?.includes(groupId) ?? true);
    lines.push(JSON.stringify({ seal: sealed.seal, parts }));
  }
  return lines;
}

function verified(lines: readonly string[], kept: Readonly<Record<number, string>> = {}) {
  const expected = new Map(Object.entries(kept).map(([id, hash]) => [Number(id), hash]));
  const verifier = new EventsVerifier(expected);
  for (const line of lines) {
    const taken = verifier.line(Buffer.from(line));
    if (!taken.ok) return taken.error.message;
  }
  const end = verifier.end();
  return end.ok ? end.value : end.error.message;
}

it.each([
  ['everything', null, 12],
  ['the own group only', ['grp_east00'], 6],
])('a reader of %s proves that he has it', (_, groups, events) => {
  expect(verified(anExport(groups))).toEqual({
    events,
    segments: 2,
    sealedThrough: 10,
    unsealed: groups === null ? 2 : 1,
    lastHash: aLog()[1]?.seal.hash,
  });
});

it('a reader who begins later proves what is behind, and the chain when he kept a hash', () => {
  const lines = anExport(null, 6);
  expect(verified(lines)).toMatchObject({ events: 6, segments: 1, sealedThrough: 10 });
  expect(verified(lines, { 6: aLog()[0]?.seal.hash ?? '' })).toMatchObject({ segments: 1 });
  expect(verified(lines, { 6: NO_SEAL })).toMatch(/^changed: .* does not continue/);
});

/** Every line but the head is dropped, doubled, changed, moved: none of it may pass. */
it.each([
  ['all', null],
  ['one group', ['grp_west00']],
])('whatever is done to the sealed part of an export of %s is found', (_, groups) => {
  const lines = anExport(groups);
  const isSealed = (line: string): boolean =>
    'seal' in (JSON.parse(line) as object) || (JSON.parse(line) as { id: number }).id <= 10;
  const sealed = lines.slice(1).filter(isSealed);
  const last = 1 + sealed.length;
  for (let at = 1; at < last; at += 1) {
    const line = lines[at] ?? '';
    const other = line.replace(/[0-9a-z]"/, (end) => (end[0] === '0' ? '1"' : '0"'));
    const ways: Readonly<Record<string, string[]>> = {
      dropped: lines.toSpliced(at, 1),
      doubled: lines.toSpliced(at, 0, line),
      changed: lines.toSpliced(at, 1, other),
      moved: lines.toSpliced(at, 1).toSpliced(at === 1 ? 2 : at - 1, 0, line),
      'cut off': lines.slice(0, at),
    };
    for (const [way, changed] of Object.entries(ways)) {
      const told = verified(changed);
      expect([way, at, typeof told]).toEqual([way, at, 'string']);
    }
  }
});

it('a part that is kept back from a reader is found, and one of others tells him nothing', () => {
  const lines = anExport(['grp_east00']);
  const without = lines
    .filter((line) => !line.includes('"id"'))
    .map((line) => {
      const json = JSON.parse(line) as { parts?: SealPart[] };
      return json.parts === undefined ? line : JSON.stringify({ ...json, parts: [] });
    });
  expect(verified(without)).toMatch(/^missing: parts of the seal/);
  expect(lines.join('')).not.toContain('grp_west00');
});

it('a log that was written anew does not lead to a hash that was kept', () => {
  const lines = anExport(null);
  const kept = { 6: aLog()[0]?.seal.hash ?? '' };
  expect(verified(lines, kept)).toMatchObject({ segments: 2 });
  expect(verified(lines, { 6: 'f'.repeat(64) })).toMatch(/another hash than was kept/);
  expect(verified(lines, { 5: 'f'.repeat(64) })).toMatch(/^missing: the segment that ends at 5/);
});

it.each([
  ['nothing', []],
  ['no head', [lineOf(1)]],
  ['bytes that are no text', ['\ud800']],
  ['a head of something else', ['{"schema":"other"}']],
  ['a list', ['[]']],
])('%s is no export', (_, lines) => {
  expect(typeof verified(lines)).toBe('string');
});
