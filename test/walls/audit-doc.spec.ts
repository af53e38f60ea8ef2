import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { RECORD_FIELDS } from '../../src/core/audit/index.js';
import { AUDIT_ACTIONS } from '../../src/server/audit/index.js';
import { ROOT } from './tree.js';

const page = readFileSync(join(ROOT, 'docs/audit.md'), 'utf8');
const rowsOf = (section: string): string[] => {
  const from = page.indexOf(`## ${section}\n`);
  const end = page.indexOf('\n## ', from + 1);
  return page
    .slice(from, end < 0 ? undefined : end)
    .split('\n')
    .filter((line) => /^\| (?!attack |action |field |---)/.test(line) && !line.startsWith('|---'));
};
const wordsIn = (rows: readonly string[]): string[] =>
  rows.flatMap((row) =>
    [...(row.split('|')[1] ?? '').matchAll(/`([^`]+)`/g)].map(([, word = '']) => word),
  );

describe('docs/audit.md', () => {
  it('lists each action of the code, and no others', () => {
    expect(wordsIn(rowsOf('Actions')).sort()).toEqual([...AUDIT_ACTIONS].sort());
  });

  it('lists each field of an entry, and no others', () => {
    expect(wordsIn(rowsOf('What an entry says')).sort()).toEqual([...RECORD_FIELDS].sort());
  });

  it('names for each attack a test that exists', () => {
    const rows = rowsOf('Attacks');
    expect(rows.length).toBeGreaterThanOrEqual(18);
    const wrong = rows.filter((row) => {
      const [, file = '', title = ''] = /`([\w/.-]+\.spec\.ts)` “([^”]+)” \|$/.exec(row) ?? [];
      const path = join(ROOT, file);
      return (
        title === '' || !existsSync(path) || !readFileSync(path, 'utf8').includes(`'${title}'`)
      );
    });
    expect(wrong).toEqual([]);
  });
});
