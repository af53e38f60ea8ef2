import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { canonicalJson, type JsonValue } from '../kernel/index.js';
import { cleanDetails, cleanText, csvCell, csvLine, leafOf, REDACTED } from './index.js';

describe('details', () => {
  it('lose what is secret, by name or by look, at any depth', () => {
    const secret = `bwt_${'a1'.repeat(20)}`;
    const clean = cleanDetails({
      name: 'east',
      password: 'hunter2',
      nested: { client_secret: 'x', note: `use ${secret} today` },
      list: [`Bearer eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJub2QifQ.c2lnbmF0dXJl`, 'fine'],
      pem: '-----BEGIN PRIVATE KEY-----',
    });
    expect(clean).toEqual({
      name: 'east',
      password: REDACTED,
      nested: { client_secret: REDACTED, note: REDACTED },
      list: [REDACTED, 'fine'],
      pem: REDACTED,
    });
  });

  it('are bounded, and say when they were cut', () => {
    const clean = cleanDetails({
      version: '1.0.0',
      nodes: Array.from({ length: 90 }, () => 'x'.repeat(500)),
    });
    expect(clean).toMatchObject({ version: '1.0.0' });
    expect(Number(clean['cut_bytes'])).toBeGreaterThan(8_192);
    expect(JSON.stringify(clean).length).toBeLessThan(8_192);
  });

  it('have one text, whatever came in, and keep it through a database', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string({ unit: 'binary' }), fc.jsonValue()), (details) => {
        const clean = cleanDetails(details);
        const text = canonicalJson(clean);
        const stored = Buffer.from(JSON.stringify(clean), 'utf8').toString('utf8');
        expect(canonicalJson(JSON.parse(stored) as JsonValue)).toBe(text);
      }),
      { numRuns: 500 },
    );
  });

  it('of broken text are mended before they are hashed', () => {
    expect(cleanText('a\u0000b\ud800c')).toBe('a\ufffdb\ufffdc');
    expect(cleanText('x'.repeat(255) + '\u{1f600}')).toBe(`${'x'.repeat(255)}\ufffd`);
  });
});

describe('text that is searched for secrets', () => {
  it.each(['eyJ-', 'eyJaaaaaaaa-', 'eyJaaaaaaaa.', '-----BEGIN A', 'bwt_'])(
    'costs its length and not the square of it',
    (piece) => {
      // With a step back for each step forward this would take an hour.
      expect(cleanText(piece.repeat(2_000_000 / piece.length), 8)).toMatch(/^(.{8}|\[redacted])$/);
    },
  );

  it.each([
    'eyJhbGciOiJ9.eyJzdWIiOiJ9.c2lnbmF0dXJl',
    'token-eyJhbGciOiJ9.eyJzdWIiOiJ9.c2lnbmF0dXJl',
  ])('is found to be a token: %s', (token) =>
    expect(cleanText(`it was ${token}, they said`)).toBe(REDACTED),
  );
});

describe('a line of CSV', () => {
  it.each(['=1+1', '+1', '-1', '@SUM(A1)', '\t=1', '  =cmd', '\r=1', '\uff1d1+1'])(
    'is no formula for %j',
    (text) => {
      expect(csvCell(text)).toBe(`"'${text}"`);
    },
  );

  it('keeps quotes, commas and line feeds inside its cell', () => {
    expect(csvCell('a "b", c\nd')).toBe('"a ""b"", c\nd"');
    expect(csvCell(null)).toBe('""');
    expect(csvCell(-1)).toBe('"-1"');
  });

  it('has the fields of an entry in one order', () => {
    const record = {
      id: 7,
      at: '2026-11-21T08:00:00.000Z',
      actor_kind: 'token',
      actor_id: 'tok_1',
      actor_name: '=HYPERLINK("x")',
      action: 'group.create',
      target_kind: 'group',
      target_id: 'grp_1',
      group_id: null,
      outcome: 'allowed',
      details: { name: '=1' },
      request_id: 'req_1',
      ip: '::1',
      user_agent: '',
    };
    expect(csvLine(record)).toBe(
      '"7","2026-11-21T08:00:00.000Z","token","tok_1","\'=HYPERLINK(""x"")","group.create",' +
        '"group","grp_1","","allowed","{""name"":""=1""}","req_1","::1",""\r\n',
    );
    expect(leafOf(record)).toBe(
      '{"action":"group.create","actor_id":"tok_1","actor_kind":"token",' +
        '"actor_name":"=HYPERLINK(\\"x\\")","at":"2026-11-21T08:00:00.000Z","details":{"name":"=1"},' +
        '"group_id":null,"id":7,"ip":"::1","outcome":"allowed","request_id":"req_1",' +
        '"target_id":"grp_1","target_kind":"group","user_agent":""}',
    );
  });
});
