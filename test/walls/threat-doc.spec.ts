import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ROOT } from './tree.js';

const rows = readFileSync(join(ROOT, 'docs/threat-model.md'), 'utf8')
  .split('\n')
  .filter((line) => /^\| (?!asset )/.test(line));

describe('docs/threat-model.md', () => {
  it('names for each row a test that exists', () => {
    expect(rows.length).toBeGreaterThanOrEqual(16);
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
