import { generateKeyPairSync } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  ExportVerifier,
  formatHeader,
  Frontier,
  headerOf,
  leafHash,
  leafOf,
  makeCheckpoint,
  parseCheckpoint,
  RECORD_FIELDS,
  type AuditRecord,
  type Checkpoint,
} from './index.js';

const { privateKey } = generateKeyPairSync('ed25519');
const origin = 'manager.example/audit';
const COUNT = 13;

const aRecord = (id: number): AuditRecord => ({
  id,
  at: '2026-11-21T08:00:00.000Z',
  actor_kind: 'token',
  actor_id: 'tok_00000000',
  actor_name: 'ann',
  action: 'group.create',
  target_kind: 'group',
  target_id: `grp_${id}`,
  group_id: 'grp_east00',
  outcome: 'allowed',
  details: { name: 'east', list: [1, 'two', null, true], deep: { a: 1 } },
  request_id: 'req_1',
  ip: '192.0.2.7',
  user_agent: 'curl/8',
});
const lines = Array.from({ length: COUNT }, (_, at) => leafOf(aRecord(at + 1)));

const frontierAt = (size: number): Frontier => {
  const tree = new Frontier();
  for (const line of lines.slice(0, size)) tree.append(leafHash(line));
  return tree;
};
const checkpointAt = (size: number): Checkpoint => {
  const note = makeCheckpoint({ origin, size, root: frontierAt(size).root }, privateKey);
  const read = parseCheckpoint(note);
  if (!read.ok) throw new Error(read.error.message);
  return read.value;
};
const headerFor = (after: number): string =>
  formatHeader({
    origin,
    after,
    before: frontierAt(after).hashes.map((hash) => hash.toString('base64')),
  });

interface Part {
  readonly header: string;
  readonly lines: readonly string[];
}
/** What is wrong, in words; null when all is well. */
function problemWith(parts: readonly Part[], checkpoints: readonly Checkpoint[]): string | null {
  const verifier = new ExportVerifier(checkpoints);
  for (const part of parts) {
    const header = headerOf(part.header);
    if (!header.ok) return header.error.message;
    const begun = verifier.begin(header.value);
    if (!begun.ok) return begun.error.message;
    for (const line of part.lines) {
      const taken = verifier.entry(line);
      if (!taken.ok) return taken.error.message;
    }
  }
  const ended = verifier.end();
  return ended.ok ? null : ended.error.message;
}
const whole = (changed: readonly string[]): Part[] => [{ header: headerFor(0), lines: changed }];
const newest = [checkpointAt(COUNT)];

describe('an export', () => {
  it('that is whole passes, also in parts, also without the oldest part', () => {
    expect(problemWith(whole(lines), newest)).toBeNull();
    const parts = [0, 5, 8].map((after, at) => ({
      header: headerFor(after),
      lines: lines.slice(after, [5, 8, COUNT][at]),
    }));
    expect(problemWith(parts, [checkpointAt(4), ...newest])).toBeNull();
    expect(problemWith(parts.slice(1), newest)).toBeNull();
  });

  describe.each(lines.map((_, at) => at))('with entry %i', (at) => {
    const without = lines.filter((_, index) => index !== at);
    it.each(RECORD_FIELDS)('changed in %s is found', (field) => {
      const record = aRecord(at + 1);
      const value = record[field];
      const other =
        typeof value === 'number'
          ? value + 1
          : typeof value === 'string'
            ? `${value}x`
            : { ...(value as object), more: 1 };
      const changed = lines.with(at, leafOf({ ...record, [field]: other }));
      expect(problemWith(whole(changed), newest)).not.toBeNull();
    });
    it('dropped, doubled, moved, or replaced is found', () => {
      expect(problemWith(whole(without), newest)).not.toBeNull();
      expect(problemWith(whole(lines.toSpliced(at, 0, lines[at] ?? '')), newest)).not.toBeNull();
      const next = (at + 1) % COUNT;
      const swapped = lines.with(at, lines[next] ?? '').with(next, lines[at] ?? '');
      expect(problemWith(whole(swapped), newest)).not.toBeNull();
      // With numbers that fit again: only the root can tell.
      const renumbered = without.map((line, index) =>
        leafOf({ ...(JSON.parse(line) as AuditRecord), id: index + 1 }),
      );
      expect(problemWith(whole(renumbered), newest)).not.toBeNull();
      const filled = [...renumbered, leafOf(aRecord(COUNT))];
      if (at < COUNT - 1) expect(problemWith(whole(filled), newest)).not.toBeNull();
    });
    it('written in another way is found', () => {
      const spaced = lines.with(at, (lines[at] ?? '').replace(',', ', '));
      expect(problemWith(whole(spaced), newest)).not.toBeNull();
    });
  });

  it('with any single bit changed, anywhere, is found', () => {
    fc.assert(
      fc.property(fc.nat(COUNT - 1), fc.nat(), fc.nat(7), (at, place, bit) => {
        const bytes = Buffer.from(lines[at] ?? '');
        const byte = place % bytes.length;
        bytes[byte] = (bytes[byte] ?? 0) ^ (1 << bit);
        expect(problemWith(whole(lines.with(at, bytes.toString('latin1'))), newest)).not.toBeNull();
      }),
      { numRuns: 300 },
    );
  });

  it('that was cut, at either end, or goes on, is found', () => {
    expect(problemWith(whole(lines.slice(0, -1)), newest)).toContain('ends at entry 12');
    expect(problemWith(whole([]), newest)).toContain('ends at entry 0');
    expect(problemWith(whole(lines.slice(1)), newest)).toContain('where entry 1 should be');
    const more = [...lines, leafOf(aRecord(COUNT + 1))];
    expect(problemWith(whole(more), newest)).toContain('in no checkpoint');
  });

  it('that begins after a checkpoint is not taken for what that one signed', () => {
    const rest = { header: headerFor(8), lines: lines.slice(8) };
    expect(problemWith([rest], newest)).toBeNull();
    expect(problemWith([rest], [checkpointAt(8), ...newest])).toBeNull();
    // Whoever kept an early one wants to know whether the log of now goes on from it.
    expect(problemWith([rest], [checkpointAt(5), ...newest])).toContain('checkpoint of 5 entries');
    expect(problemWith([{ header: headerFor(COUNT), lines: [] }], newest)).toContain('none of the');
  });

  it('says between which checkpoints it was changed', () => {
    const checkpoints = [checkpointAt(4), checkpointAt(9), checkpointAt(COUNT)];
    const changed = lines.with(6, leafOf({ ...aRecord(7), actor_name: 'bob' }));
    expect(problemWith(whole(changed), checkpoints)).toContain('entries 5 to 9');
  });

  it('with a header that lies, or of another log, is found', () => {
    const lie = { after: 5, before: frontierAt(5).hashes.map(() => 'A'.repeat(43) + '=') };
    const part = { header: formatHeader({ origin, ...lie }), lines: lines.slice(5) };
    expect(problemWith([part], newest)).not.toBeNull();
    const elsewhere = { header: formatHeader({ origin: 'b', after: 0, before: [] }), lines };
    expect(problemWith([elsewhere], newest)).toContain('of the log b');
    for (const bad of [
      '',
      '{}',
      '{"schema":"bellwether.audit.v1"}',
      headerFor(0).replace('0', '3'),
    ]) {
      expect(problemWith([{ header: bad, lines }], newest)).not.toBeNull();
    }
  });

  it('whose parts do not meet is found', () => {
    const first = { header: headerFor(0), lines: lines.slice(0, 5) };
    const late = { header: headerFor(8), lines: lines.slice(8) };
    expect(problemWith([first, late], newest)).toContain('ends at 5');
    const other = formatHeader({
      origin,
      after: 5,
      before: ['A'.repeat(43) + '=', 'A'.repeat(43) + '='],
    });
    expect(problemWith([first, { header: other, lines: lines.slice(5) }], newest)).not.toBeNull();
  });
});
